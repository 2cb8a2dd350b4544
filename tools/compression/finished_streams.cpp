// SPDX-License-Identifier: Apache-2.0
// What the stream, its region and /proc say about its process.
#include "compression/finished_streams.h"

#include <sys/utsname.h>

#include "error.h"
#include "recording/opened_stream.h"
#include "recording/process_recording.h"
#include "recording/region_file.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

constexpr char kRuns[] = "still running";
constexpr char kUndecided[] = "it cannot be decided here whether its process still runs";

// A stream without what it counts.
struct Outline {
  ProcessRecording process;
  bool any = false;     // Messages.
  bool closed = false;  // Its last word is how the process ended, or was said after its death.
};

Outline outline_of(const std::string& path) {
  Outline outline{ProcessRecording(path)};
  OpenedStream stream(path);
  StreamReader reader(stream.bytes());
  for (proto::Message message; reader.next(message); outline.any = true) {
    if (message.has_header()) outline.process.apply(message, 0);
    outline.closed = message.has_end() || message.snapshot().kind() == proto::Snapshot::POST_MORTEM;
  }
  return outline;
}

std::optional<std::string> why_region_is_in_the_way(const RegionFacts& region, LivenessJudge& judge) {
  switch (judge.judge(region)) {
    case Liveness::kAlive: return kRuns;
    case Liveness::kUndecided: return std::string(kUndecided) + " (another pid namespace)";
    case Liveness::kDead: break;
  }
  return "the end of it is still in " + region.path + ", and could not be folded into it";
}

// The machine was started anew since, or the process can be looked for. The same name is no proof that it is the same
// machine; but who records on into a stream that is gone begins another one, and nothing is lost.
bool is_certainly_dead(const proto::Header& header) {
  const Viewpoint view = this_viewpoint();
  if (header.boot_id().empty() || view.boot_id.empty()) return false;
  if (header.boot_id() == view.boot_id) return header.pid_namespace() == view.pid_namespace && view.pid_namespace != 0;
  utsname system;
  return uname(&system) == 0 && header.host() == system.nodename;
}

}  // namespace

std::optional<std::string> why_not_finished(const std::string& path, LivenessJudge& judge) {
  const Outline outline = outline_of(path);
  if (!outline.any) throw Error(ExitCode::kUnreadable, path, "is not a seep recording, or nothing of it is whole");
  if (const auto region = find_region(outline.process)) return why_region_is_in_the_way(*region, judge);
  if (outline.closed) return std::nullopt;
  if (is_running(outline.process)) return kRuns;
  if (!is_certainly_dead(outline.process.header())) return kUndecided;
  return std::nullopt;
}

}  // namespace seep
