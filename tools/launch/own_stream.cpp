// SPDX-License-Identifier: Apache-2.0
// Stubs and ends.
#include "launch/own_stream.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "error.h"
#include "record/snapshot_encoder.h"
#include "recording/host_identity.h"
#include "recording/recording.h"
#include "recording/stream_listing.h"
#include "recording/stream_writer.h"

namespace seep {
namespace {

constexpr size_t kRecordingIdBytes = 16;

std::string random_recording_id() {
  std::string id(kRecordingIdBytes, '\0');
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    throw Error(ExitCode::kUnreadable, std::string("no random numbers: ") + std::strerror(errno));
  }
  return id;
}

proto::Message header_of(const StubFacts& facts) {
  proto::Message message;
  proto::Header& header = *message.mutable_header();
  header.set_version(kStreamVersion);
  header.set_recording_id(random_recording_id());
  header.set_boot_id(this_boot_id());
  header.set_pid(static_cast<uint32_t>(facts.pid));
  header.set_parent_pid(static_cast<uint32_t>(getpid()));
  header.set_pid_namespace(this_pid_namespace());
  header.set_executable(facts.executable);
  for (const std::string& word : facts.command) header.add_command(word);
  header.set_seep_version(SEEP_VERSION);
  utsname system;
  if (uname(&system) == 0) {
    header.set_host(system.nodename);
    header.set_architecture(system.machine);
  }
  header.set_sample_bytes(facts.sample_bytes);
  header.set_started_unix_ns(facts.started_unix_ns);
  header.set_started_monotonic_ns(facts.started_monotonic_ns);
  *header.mutable_not_observed() = facts.not_observed;
  return message;
}

proto::Message end_of(const ChildEnd& end, uint64_t started_monotonic_ns) {
  proto::Message message;
  proto::End& content = *message.mutable_end();
  if (end.signalled) {
    content.set_how(proto::End::SIGNAL);
    content.set_signal(static_cast<uint32_t>(end.signal));
    content.set_oom_killed(end.oom_killed);
  } else {
    content.set_how(proto::End::EXIT);
    content.set_exit_status(end.exit_status);
    content.set_exit_status_known(true);
  }
  content.set_time_ns(clock_ns(CLOCK_MONOTONIC) - started_monotonic_ns);
  return message;
}

void write_and_close(int fd, const std::string& path, const std::string& bytes) {
  if (fd < 0) throw Error(ExitCode::kUnreadable, path, std::string("cannot be written: ") + std::strerror(errno));
  try {
    append_to_file(fd, path, bytes);
  } catch (...) {
    close(fd);
    throw;
  }
  close(fd);
}

bool is_of(const proto::Header& header, const ProcessKey& process) {
  const bool same_start = process.start_ticks == 0 || header.process_start_ticks() == 0 ||
                          header.process_start_ticks() == process.start_ticks;
  return header.pid() == static_cast<uint32_t>(process.pid) && header.pid_namespace() == this_pid_namespace() &&
         same_start;
}

// Of the images of a process, and of the streams of one image, if it had to begin another.
std::pair<uint64_t, uint64_t> order_of(const ProcessRecording& process) {
  const uint64_t last_ns = process.snapshots().empty() ? 0 : process.snapshots().back().snapshot.time_ns();
  return {process.header().started_monotonic_ns(), last_ns};
}

// visit(its stream) for each process that is recorded there and can be read; of what cannot the report that follows
// tells.
template <typename Visit>
void each_stream(const std::string& directory, Visit visit) {
  for (const std::string& path : streams_to_read(directory)) {
    std::unique_ptr<ProcessRecording> process;
    try {
      std::vector<Error> problems;
      process = load_stream(path, problems);
    } catch (const Error&) {
      continue;
    }
    visit(std::move(process));
  }
}

// The stream of the process's last image.
std::unique_ptr<ProcessRecording> last_stream(const std::string& directory, const ProcessKey& wanted) {
  std::unique_ptr<ProcessRecording> last;
  each_stream(directory, [&](std::unique_ptr<ProcessRecording> process) {
    if (!is_of(process->header(), wanted)) return;
    if (last == nullptr || order_of(*process) > order_of(*last)) last = std::move(process);
  });
  return last;
}

// The images of one process that are recorded.
struct Images {
  size_t loaded = 0;  // Not begun by fork.
  uint64_t last_started_ns = 0;
  std::unique_ptr<ProcessRecording> last;
};

std::map<pid_t, Images> recorded_images(const std::string& directory) {
  std::map<pid_t, Images> images;
  each_stream(directory, [&](std::unique_ptr<ProcessRecording> process) {
    Images& known = images[static_cast<pid_t>(process->header().pid())];
    if (process->header().parent_recording_id().empty()) ++known.loaded;
    const uint64_t started_ns = process->header().started_monotonic_ns();
    if (known.last != nullptr && started_ns < known.last_started_ns) return;
    known.last_started_ns = started_ns;
    known.last = std::move(process);
  });
  return images;
}

bool ended_by_exec(const ProcessRecording& process) {
  return process.end() && process.end()->how() == proto::End::EXEC &&
         process.header().pid_namespace() == this_pid_namespace();
}

}  // namespace

void write_stubs_of_unseen_successors(const std::string& directory, const std::map<pid_t, size_t>& announcements) {
  for (const auto& [pid, images] : recorded_images(directory)) {
    const auto announced = announcements.find(pid);
    const size_t loaded = announced == announcements.end() ? 0 : announced->second;
    if (!ended_by_exec(*images.last) || loaded > images.loaded) continue;
    const proto::Header& before = images.last->header();
    proto::NotObserved not_observed;
    not_observed.set_reason(proto::NotObserved::NOT_LOADED);
    not_observed.set_detail("it replaced " + before.executable() + " by exec");
    StreamWriter stream;
    proto::Message header =
        header_of({.pid = pid,
                   .executable = "(executed by " + before.executable() + ")",
                   .sample_bytes = before.sample_bytes(),
                   .started_unix_ns = before.started_unix_ns() + images.last->end()->time_ns(),
                   .started_monotonic_ns = images.last_started_ns + images.last->end()->time_ns() + 1,
                   .not_observed = not_observed});
    header.mutable_header()->set_parent_pid(before.parent_pid());
    header.mutable_header()->set_process_start_ticks(before.process_start_ticks());
    stream.write(header);
    const std::string path = directory + "/executed." + std::to_string(pid) + ".seep";
    write_and_close(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), path,
                    stream.bytes());
  }
}

uint64_t clock_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void write_stub(const StubFacts& facts, const ChildEnd& end) {
  StreamWriter stream;
  stream.write(header_of(facts));
  stream.write(end_of(end, facts.started_monotonic_ns));
  const std::string name = facts.executable.substr(facts.executable.rfind('/') + 1);
  const std::string path = facts.directory + "/" + name + "." + std::to_string(facts.pid) + ".seep";
  write_and_close(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), path, stream.bytes());
}

std::optional<proto::NotObserved> finish_stream(const std::string& directory, const ProcessKey& wanted,
                                                const ChildEnd& end) {
  const auto process = last_stream(directory, wanted);
  if (process == nullptr) return std::nullopt;
  // Whoever compressed it meanwhile knew it for finished.
  if (!process->end() && !process->compressed) {
    StreamWriter tail(process->next_sequence);
    tail.write(end_of(end, process->header().started_monotonic_ns()));
    const std::string& path = process->stream_path();
    write_and_close(open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC), path, tail.bytes());
  }
  if (process->observed()) return std::nullopt;
  return process->header().not_observed();
}

}  // namespace seep
