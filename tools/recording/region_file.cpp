// SPDX-License-Identifier: Apache-2.0
// Reading a region from outside its process.
#include "recording/region_file.h"

#include <absl/strings/str_format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "record/region_check.h"
#include "record/trace_table.h"
#include "recording/byte_source.h"
#include "recording/process_liveness.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

// No process maps a larger one.
constexpr uint64_t kMostRegionBytes = uint64_t{16} << 30;

// When the process last did something that was recorded: a dead one has no clock.
uint64_t last_event_ns(Region region) {
  uint64_t last_ns = 0;
  for (Ref ref = region.header().newest[0].trace.load(); ref != 0; ref = region.at<Trace>(ref)->next_older) {
    last_ns = std::max(last_ns, region.at<Trace>(ref)->last_allocated_ns.load());
  }
  return last_ns;
}

bool append(void* context, const void* data, size_t bytes) {
  auto& output = *static_cast<std::vector<uint8_t>*>(context);
  const auto* first = static_cast<const uint8_t*>(data);
  output.insert(output.end(), first, first + bytes);
  return true;
}

}  // namespace

RegionFile::RegionFile(const std::string& path) : path_(path) {
  FileSource file(path);
  RegionHeader header;
  const auto into = std::span(reinterpret_cast<uint8_t*>(&header), sizeof header);
  if (file.read_at(0, into) < sizeof header) throw Error(ExitCode::kUnreadable, path, "is too short for a region");
  const uint64_t used = header.used_bytes.load();
  if (used < sizeof header || used > kMostRegionBytes) throw Error(ExitCode::kUnreadable, path, "is not a region");
  copy_ = mmap(nullptr, used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (copy_ == MAP_FAILED) throw Error(ExitCode::kUnreadable, path, "does not fit into memory");
  bytes_ = used;
  const size_t read = file.read_at(0, std::span(static_cast<uint8_t*>(copy_), used));
  const RegionCheck check = check_region(copy_, read);
  if (!check.usable) {
    munmap(copy_, bytes_);
    throw Error(ExitCode::kUnreadable, path, check.problem);
  }
  if (*check.problem != '\0') {
    problem_.emplace(ExitCode::kUnreadable, path, check.problem_at,
                     absl::StrFormat("%s is damaged: what was entered before it is lost", check.problem));
  }
}

RegionFile::~RegionFile() { munmap(copy_, bytes_); }

const Identity& RegionFile::identity() const { return Region(copy_).header().identity; }

std::vector<uint8_t> RegionFile::encode(SnapshotKind kind, uint64_t first_sequence) const {
  const Region region(copy_);
  EncoderProgress& progress = region.header().progress;
  progress.sequence = first_sequence;
  progress.write_everything = 1;
  std::vector<uint8_t> output;
  const auto scratch = std::make_unique<EncoderScratch>();
  if (!encode_snapshot(region, *scratch, {append, &output}, kind, last_event_ns(region), nullptr)) {
    throw Error(ExitCode::kUnreadable, path_, "could not be encoded");
  }
  return output;
}

bool same_recording(const Identity& identity, const proto::Header& header) {
  return header.recording_id().size() == sizeof identity.recording_id &&
         std::memcmp(header.recording_id().data(), identity.recording_id, sizeof identity.recording_id) == 0;
}

std::unique_ptr<RegionFile> find_region(const ProcessRecording& process) {
  const std::string& recorded = process.header().region_path();
  if (recorded.empty()) return nullptr;
  namespace fs = std::filesystem;
  std::vector<std::string> candidates = {
      (fs::path(process.stream_path()).parent_path() / fs::path(recorded).filename()).string(), recorded};
  if (is_running(process)) candidates.push_back(absl::StrFormat("/proc/%u/root%s", process.header().pid(), recorded));
  for (const std::string& candidate : candidates) {
    std::error_code failed;
    if (!fs::is_regular_file(fs::symlink_status(candidate, failed))) continue;
    auto region = std::make_unique<RegionFile>(candidate);
    if (same_recording(region->identity(), process.header())) return region;
  }
  return nullptr;
}

void apply_region(ProcessRecording& process, std::vector<Error>& problems) {
  try {
    const std::unique_ptr<RegionFile> region = find_region(process);
    if (!region) return;
    const SnapshotKind kind = is_running(process) ? SnapshotKind::kRequest : SnapshotKind::kPostMortem;
    MemorySource source(region->encode(kind, process.next_sequence));
    StreamReader reader(source);
    for (proto::Message message; reader.next(message);) process.apply(message, reader.message_offset());
    if (region->problem()) problems.push_back(*region->problem());
  } catch (const Error& error) {
    problems.push_back(error);
  }
}

}  // namespace seep
