// SPDX-License-Identifier: Apache-2.0
// Finding streams and reading them.
#include "recording/recording.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <tuple>

#include "recording/byte_source.h"
#include "recording/opened_stream.h"
#include "recording/process_liveness.h"
#include "recording/region_file.h"
#include "recording/region_search.h"
#include "recording/stream_listing.h"
#include "recording/stream_reader.h"
#include "threads/read_ahead.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

// Verifying and parsing takes as long as applying: of a stream that is worth a thread, it is done meanwhile.
constexpr off_t kLargeStreamBytes = 1 << 20;
constexpr off_t kLargeCompressed = kLargeStreamBytes / 5;

std::string describe(const Damage& damage) {
  if (damage.cut) return absl::StrFormat("is cut here: the last %u bytes are part of a message", damage.skipped_bytes);
  return absl::StrFormat("is damaged: %u bytes were skipped", damage.skipped_bytes);
}

// Of a compressed file, whose own bytes are others.
std::string describe_decompressed(const Damage& damage) {
  return absl::StrFormat("at byte %u of what it decompresses to: %s", damage.offset, describe(damage));
}

// `healed`: the region says again what the end of the stream does not.
void report_problems(const ProcessRecording& process, bool healed, std::vector<Error>& problems) {
  const std::string& path = process.stream_path();
  const auto add = [&](std::optional<uint64_t> offset, const std::string& what) {
    problems.emplace_back(ExitCode::kUnreadable, path, offset, what);
  };
  for (const Damage& damage : process.damage) {
    // Somebody who is still writing is not a cut file.
    if (damage.cut && (healed || is_running(process))) continue;
    // A message that ends where decompressing does is no damage of its own.
    if (damage.cut && process.compression_damage) continue;
    if (process.compressed) add(std::nullopt, describe_decompressed(damage));
    else add(damage.offset, describe(damage));
  }
  if (process.compression_damage) add(process.compression_damage->offset, process.compression_damage->what);
  if (!process.has_header()) add(std::nullopt, "has lost its header: who was recorded is unknown");
  // Where bytes were skipped the loss has been said; a gap without any is a loss of its own.
  if (process.lost_messages > 0 && process.damage.empty()) {
    add(std::nullopt, absl::StrFormat("lacks %u messages in its middle", process.lost_messages));
  }
  if (process.contradiction()) add(std::nullopt, *process.contradiction());
}

// Of a stream that was compressed meanwhile, or since it was told of, the compressed one.
std::string as_it_is_now(const std::string& path) {
  std::error_code failed;
  const std::string compressed = path + kCompressionSuffix;
  const bool gone = fs::symlink_status(path, failed).type() == fs::file_type::not_found;
  return gone && fs::exists(compressed, failed) ? compressed : path;
}

void load_into(Recording& recording, const std::string& path) {
  try {
    recording.processes.push_back(load_stream(as_it_is_now(path), recording.problems));
  } catch (const Error& error) {
    recording.problems.push_back(error);
  }
}

bool is_known(const Recording& recording, const Identity& identity) {
  return std::any_of(recording.processes.begin(), recording.processes.end(),
                     [&](const auto& process) { return same_recording(identity, process->header()); });
}

void load_region_if_unknown(Recording& recording, const RegionFacts& facts, LivenessJudge& judge) {
  if (is_known(recording, facts.identity)) return;
  try {
    const RegionFile region(facts.path);
    recording.processes.push_back(described_by(region, kind_of_reading(judge.judge(facts))));
    if (region.problem()) recording.problems.push_back(*region.problem());
  } catch (const Error& error) {
    std::error_code failed;
    if (fs::exists(facts.path, failed)) recording.problems.push_back(error);
  }
}

bool is_empty(const std::string& path) {
  std::error_code failed;
  return fs::file_size(path, failed) == 0 && !failed;
}

// A process may have made its stream and not come to write into it. Then its region is what there is.
bool is_unwritten_stream_of(const RegionFacts& region, const fs::path& stream) {
  return is_empty(stream.string()) && fs::path(region.identity.stream_path).filename() == stream.filename();
}

void load_directory(Recording& recording, const std::string& directory) {
  const size_t processes = recording.processes.size();
  const size_t problems = recording.problems.size();
  std::error_code failed;
  // One that is not there yet may have been meant by processes that have not come to their first snapshot.
  const std::vector<RegionFacts> regions = regions_of(directory);
  const bool only_meant = !regions.empty() && !fs::exists(directory, failed);
  for (const std::string& stream : only_meant ? std::vector<std::string>() : streams_to_read(directory)) {
    const bool unwritten = std::any_of(regions.begin(), regions.end(), [&](const RegionFacts& region) {
      return is_unwritten_stream_of(region, stream);
    });
    if (!unwritten) load_into(recording, stream);
  }
  LivenessJudge judge;
  for (const RegionFacts& region : regions) load_region_if_unknown(recording, region, judge);
  if (recording.processes.size() == processes && recording.problems.size() == problems) {
    throw Error(ExitCode::kUnreadable, directory, "holds no recording (no *.seep in it)");
  }
}

void load_file(Recording& recording, const std::string& path) {
  const size_t processes = recording.processes.size();
  if (is_empty(path)) {
    LivenessJudge judge;
    for (const RegionFacts& region : regions_of(fs::absolute(path).parent_path().string())) {
      if (is_unwritten_stream_of(region, path)) load_region_if_unknown(recording, region, judge);
    }
  }
  if (recording.processes.size() == processes) load_into(recording, path);
}

bool is_directory_or_meant(const std::string& path) {
  std::error_code failed;
  return fs::is_directory(path, failed) || (!fs::exists(path, failed) && !regions_of(path).empty());
}

// Whether a stream knows more than another of the same recording.
bool knows_more(const ProcessRecording& left, const ProcessRecording& right) {
  const auto knowledge = [](const ProcessRecording& process) {
    const uint64_t last_ns = process.snapshots().empty() ? 0 : process.snapshots().back().snapshot.time_ns();
    return std::tuple(process.end().has_value(), last_ns, process.snapshots().size());
  };
  return knowledge(left) > knowledge(right);
}

// A process that lost the right to its stream begins another one, which says everything again; and a copy may be named
// beside its original. Each block counts once.
void keep_one_of_each(Recording& recording) {
  std::map<std::string, ProcessRecording*> best;
  for (const auto& process : recording.processes) {
    if (!process->has_header() || process->header().recording_id().empty()) continue;
    ProcessRecording*& known = best[process->header().recording_id()];
    if (known == nullptr || knows_more(*process, *known)) known = process.get();
  }
  std::erase_if(recording.processes, [&](const auto& process) {
    const auto found = best.find(process->header().recording_id());
    return process->has_header() && found != best.end() && found->second != process.get();
  });
}

}  // namespace

std::vector<std::string> places_of_orphans_here() {
  std::error_code failed;
  const std::string here = (fs::current_path(failed) / "").string();
  LivenessJudge judge;
  std::vector<std::string> places;
  for (const RegionFacts& region : regions_in(kRegionDirectory).regions) {
    const std::string stream = region.identity.stream_path;
    if (!region.ready || !stream.starts_with(here) || judge.judge(region) == Liveness::kAlive) continue;
    places.push_back(fs::path(stream).parent_path().string());
  }
  return places;
}

std::string newest_recording() {
  std::optional<fs::file_time_type> newest;
  std::string path;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(".", failed)) {
    const auto time = recording_time(entry);
    if (!time || (newest && *time <= *newest)) continue;
    newest = time;
    path = entry.path().filename().string();
  }
  if (newest) return path;
  const size_t orphans = places_of_orphans_here().size();
  if (orphans > 0) {
    throw Error(ExitCode::kUnreadable,
                absl::StrFormat("no recording in the working directory yet, but %u process%s that %s to record here "
                                "ended early: seep report --orphans",
                                orphans, orphans == 1 ? "" : "es", orphans == 1 ? "was" : "were"));
  }
  throw Error(ExitCode::kUnreadable, "no recording (seep.*/ or *.seep) in the working directory: name its path");
}

namespace {

struct ReadMessage {
  proto::Message message;
  uint64_t offset = 0;
};

// False where there is not one message.
bool apply_all(StreamReader& reader, bool large, ProcessRecording& process) {
  const auto read = [&reader](ReadMessage& into) {
    if (!reader.next(into.message)) return false;
    into.offset = reader.message_offset();
    return true;
  };
  bool any = false;
  if (large) {
    ReadAhead<ReadMessage> messages(read);
    for (; const ReadMessage* next = messages.next(); any = true) process.apply(next->message, next->offset);
  } else {
    for (ReadMessage next; read(next); any = true) process.apply(next.message, next.offset);
  }
  return any;
}

std::unique_ptr<ProcessRecording> read_stream(const std::string& path) {
  OpenedStream stream(path);
  StreamReader reader(stream.bytes());
  auto process = std::make_unique<ProcessRecording>(path);
  const bool large = stream.file().status().st_size >= (stream.compressed() ? kLargeCompressed : kLargeStreamBytes);
  const bool any = apply_all(reader, large, *process);
  process->compressed = stream.compressed();
  process->compression_damage = stream.damage();
  if (!any && stream.damage()) {
    throw Error(ExitCode::kUnreadable, path, stream.damage()->offset, stream.damage()->what);
  }
  if (!any) throw Error(ExitCode::kUnreadable, path, "is not a seep recording, or nothing of it is whole");
  process->damage = reader.damage();
  process->lost_messages = reader.lost_messages();
  process->next_sequence = reader.next_sequence();
  return process;
}

// Its process may have written its end, and removed its region, after the stream was read and before the region was
// looked for.
bool has_grown(const std::string& path, uint64_t bytes_before) {
  std::error_code failed;
  const auto bytes = fs::file_size(path, failed);
  return !failed && bytes > bytes_before;
}

}  // namespace

std::unique_ptr<ProcessRecording> load_stream(const std::string& path, std::vector<Error>& problems) {
  constexpr int kMostReadings = 3;
  for (int reading = 1;; ++reading) {
    std::error_code failed;
    const auto bytes_before = fs::file_size(path, failed);
    std::unique_ptr<ProcessRecording> process = read_stream(path);
    const bool needs_region = !process->end() && process->observed();
    std::vector<Error> of_region;
    const bool healed = needs_region && apply_region(*process, of_region);
    if (needs_region && !healed && reading < kMostReadings && has_grown(path, bytes_before)) continue;
    problems.insert(problems.end(), of_region.begin(), of_region.end());
    report_problems(*process, healed, problems);
    return process;
  }
}

namespace {

void sort_by_start(Recording& recording) {
  std::stable_sort(recording.processes.begin(), recording.processes.end(), [](const auto& left, const auto& right) {
    return left->header().started_unix_ns() < right->header().started_unix_ns();
  });
}

// The stream that a region was written to, if it is there.
std::unique_ptr<ProcessRecording> stream_of(const RegionFacts& region) {
  const fs::path recorded = region.identity.stream_path;
  const fs::path beside = fs::path(region.path).parent_path() / recorded.filename();
  const std::string compressed_beside = beside.string() + kCompressionSuffix;
  for (const fs::path& path :
       {beside, fs::path(compressed_beside), recorded, fs::path(recorded.string() + kCompressionSuffix)}) {
    std::error_code failed;
    if (!fs::is_regular_file(fs::symlink_status(path, failed)) || fs::file_size(path, failed) == 0) continue;
    try {
      std::unique_ptr<ProcessRecording> process = read_stream(path.string());
      if (same_recording(region.identity, process->header())) return process;
    } catch (const Error&) {
      continue;  // Another's, or nothing in it is whole: the region knows it all.
    }
  }
  return nullptr;
}

void load_orphan(Recording& recording, const RegionFacts& region, LivenessJudge& judge) {
  if (is_known(recording, region.identity)) return;
  std::unique_ptr<ProcessRecording> process = stream_of(region);
  if (process == nullptr) return load_region_if_unknown(recording, region, judge);
  const bool healed = apply_region(*process, region, recording.problems);
  report_problems(*process, healed, recording.problems);
  recording.processes.push_back(std::move(process));
}

}  // namespace

Recording load_orphans(const std::vector<std::string>& directories) {
  Recording recording;
  recording.paths = directories;
  LivenessJudge judge;
  for (const std::string& directory : directories) {
    RegionListing listing = regions_in(directory);
    for (const RegionFacts& region : listing.regions) {
      if (region.ready && judge.judge(region) != Liveness::kAlive) load_orphan(recording, region, judge);
    }
    recording.problems.insert(recording.problems.end(), listing.problems.begin(), listing.problems.end());
  }
  sort_by_start(recording);
  return recording;
}

Recording load_recording(const std::vector<std::string>& paths) {
  Recording recording;
  recording.paths = paths;
  for (const std::string& path : paths) {
    try {
      if (is_directory_or_meant(path)) load_directory(recording, path);
      else load_file(recording, path);
    } catch (const Error& error) {
      recording.problems.push_back(error);
    }
  }
  keep_one_of_each(recording);
  sort_by_start(recording);
  return recording;
}

}  // namespace seep
