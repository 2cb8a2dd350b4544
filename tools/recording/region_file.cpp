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
#include "recording/stream_reader.h"

namespace seep {
namespace {

// No process maps a larger one.
constexpr uint64_t kMostRegionBytes = uint64_t{4} << 30;

bool append(void* context, const void* data, size_t bytes) {
  auto& output = *static_cast<std::vector<uint8_t>*>(context);
  const auto* first = static_cast<const uint8_t*>(data);
  output.insert(output.end(), first, first + bytes);
  return true;
}

// How far a region reaches that others can see.
uint64_t shared_bytes(const RegionHeader& header) {
  const uint64_t used = header.used_bytes.load(std::memory_order_relaxed);
  const uint64_t from = header.private_from_bytes.load(std::memory_order_relaxed);
  return from == 0 ? used : std::min(used, from);
}

}  // namespace

RegionFile::RegionFile(const std::string& path) : RegionFile(*std::make_unique<FileSource>(path)) {}

RegionFile::RegionFile(FileSource& file) : facts_(read_region_facts(file)) {
  try {
    read(file);
  } catch (...) {
    if (copy_ != nullptr) munmap(copy_, mapped_bytes_);
    throw;
  }
}

RegionFile::~RegionFile() { munmap(copy_, mapped_bytes_); }

// The header first: whatever it leads to was entered before it was read. A trace of it may meanwhile get a shard that
// lies behind; so what has been added is read last.
void RegionFile::read(FileSource& file) {
  RegionHeader header;
  const auto into = std::span(reinterpret_cast<uint8_t*>(&header), sizeof header);
  if (file.read_at(0, into) < sizeof header) throw Error(ExitCode::kUnreadable, path(), "is too short for a region");
  const uint64_t first_bytes = shared_bytes(header);
  if (first_bytes < sizeof header || first_bytes > kMostRegionBytes) {
    throw Error(ExitCode::kUnreadable, path(), facts_.ready ? "is not a region" : "holds nothing yet");
  }
  reserve(first_bytes);
  std::memcpy(copy_, &header, sizeof header);
  uint64_t bytes = read_bytes(file, sizeof header, first_bytes);
  if (bytes == first_bytes) {
    RegionHeader now;
    file.read_at(0, std::span(reinterpret_cast<uint8_t*>(&now), sizeof now));
    bytes = read_bytes(file, bytes, std::min(std::max(shared_bytes(now), bytes), kMostRegionBytes));
  }
  const RegionCheck check = check_region(copy_, bytes);
  if (!check.usable) throw Error(ExitCode::kUnreadable, path(), check.problem);
  if (*check.problem != '\0') {
    problem_.emplace(ExitCode::kUnreadable, path(), check.problem_at,
                     absl::StrFormat("%s is damaged, and some of what was entered with it is lost", check.problem));
  }
}

void RegionFile::reserve(uint64_t bytes) {
  void* memory = copy_ == nullptr
                     ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                     : mremap(copy_, mapped_bytes_, bytes, MREMAP_MAYMOVE);
  if (memory == MAP_FAILED) throw Error(ExitCode::kUnreadable, path(), "does not fit into memory");
  copy_ = memory;
  mapped_bytes_ = bytes;
}

uint64_t RegionFile::read_bytes(FileSource& file, uint64_t from, uint64_t until) {
  if (until > mapped_bytes_) reserve(until);
  return from + file.read_at(from, std::span(static_cast<uint8_t*>(copy_) + from, until - from));
}

uint64_t RegionFile::last_event_ns() const {
  const Region region = copy();
  uint64_t last_ns = region.header().last_snapshot_ns.load();
  for (Ref ref = region.header().newest[0].trace.load(); ref != 0; ref = region.at<Trace>(ref)->next_older) {
    last_ns = std::max(last_ns, TraceTable(region).sums(*region.at<Trace>(ref)).last_allocated_ns);
  }
  return last_ns;
}

std::optional<EndFacts> RegionFile::end() const {
  const RegionHeader& header = copy().header();
  if (header.has_end.load() != 1 || header.end.how > EndHow::kSignal) return std::nullopt;
  return header.end;
}

std::vector<uint8_t> RegionFile::encode(SnapshotKind kind, uint64_t first_sequence) const {
  const Region region = copy();
  EncoderProgress& progress = region.header().progress;
  progress.sequence = first_sequence;
  progress.write_everything = 1;
  std::vector<uint8_t> output;
  const auto scratch = std::make_unique<EncoderScratch>();
  const std::optional<EndFacts> end = kind == SnapshotKind::kPostMortem ? this->end() : std::nullopt;
  if (!encode_snapshot(region, *scratch, {append, &output}, kind, last_event_ns(), end ? &*end : nullptr)) {
    throw Error(ExitCode::kUnreadable, path(), "could not be encoded");
  }
  return output;
}

bool same_recording(const Identity& identity, const proto::Header& header) {
  return header.recording_id().size() == sizeof identity.recording_id &&
         std::memcmp(header.recording_id().data(), identity.recording_id, sizeof identity.recording_id) == 0;
}

std::optional<RegionFacts> find_region(const ProcessRecording& process) {
  const std::string& recorded = process.header().region_path();
  if (recorded.empty()) return std::nullopt;
  namespace fs = std::filesystem;
  std::vector<std::string> candidates = {
      (fs::path(process.stream_path()).parent_path() / fs::path(recorded).filename()).string(), recorded};
  if (is_running(process)) candidates.push_back(absl::StrFormat("/proc/%u/root%s", process.header().pid(), recorded));
  for (const std::string& candidate : candidates) {
    std::error_code failed;
    if (!fs::is_regular_file(fs::symlink_status(candidate, failed))) continue;
    try {
      RegionFacts facts = read_region_facts(candidate);
      if (facts.ready && same_recording(facts.identity, process.header())) return facts;
    } catch (const Error&) {
      // Its process may have ended meanwhile, and taken it with it.
      if (fs::exists(fs::symlink_status(candidate, failed))) throw;
    }
  }
  return std::nullopt;
}

SnapshotKind kind_of_reading(Liveness liveness) {
  return liveness == Liveness::kAlive ? SnapshotKind::kRequest : SnapshotKind::kPostMortem;
}

bool apply_region(ProcessRecording& process, const RegionFacts& facts, std::vector<Error>& problems) {
  try {
    const RegionFile region(facts.path);
    if (!same_recording(region.identity(), process.header())) return false;
    MemorySource source(region.encode(kind_of_reading(LivenessJudge().judge(facts)), process.next_sequence));
    StreamReader reader(source);
    for (proto::Message message; reader.next(message);) process.apply(message, reader.message_offset());
    if (region.problem()) problems.push_back(*region.problem());
    return !region.problem();
  } catch (const Error& error) {
    std::error_code failed;
    // Its process may have ended meanwhile, and taken it with it.
    if (std::filesystem::exists(std::filesystem::symlink_status(facts.path, failed))) problems.push_back(error);
    return false;
  }
}

bool apply_region(ProcessRecording& process, std::vector<Error>& problems) {
  try {
    const std::optional<RegionFacts> facts = find_region(process);
    return facts && apply_region(process, *facts, problems);
  } catch (const Error& error) {
    problems.push_back(error);
    return false;
  }
}

}  // namespace seep
