// SPDX-License-Identifier: Apache-2.0
// Taking a snapshot from outside.
#include "recovery/outside_snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <optional>
#include <span>

#include "error.h"
#include "record/trace_table.h"
#include "recording/byte_source.h"
#include "recording/region_file.h"
#include "recovery/acting_as.h"
#include "recovery/region_claim.h"
#include "recovery/region_writer.h"
#include "recovery/stream_place.h"
#include "recovery/stream_tail.h"

namespace seep {
namespace {

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// By the clock of the recording, which never goes back; another time namespace may have another zero.
uint64_t time_of(const RegionFile& region) {
  const uint64_t now = monotonic_ns(), start = region.identity().started_monotonic_ns;
  return std::max(region.last_event_ns(), now > start ? now - start : 0);
}

double sum_of(const std::atomic<uint64_t>& bits) { return std::bit_cast<double>(bits.load(std::memory_order_relaxed)); }

void add_estimate(const CounterBlock& shard, TakenSnapshot& taken) {
  taken.live_bytes += sum_of(shard.alloc.bytes) - sum_of(shard.freed.bytes);
  taken.live_blocks += sum_of(shard.alloc.blocks) - sum_of(shard.freed.blocks);
}

void sum_live(Region region, TakenSnapshot& taken) {
  taken.exact = region.header().counters_bytes == kExactCounterBytes;
  const TraceTable table(region);
  for (Ref ref = region.header().newest[0].trace.load(); ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    if (taken.exact) {
      const TraceSums sums = table.sums(trace);
      taken.live_bytes += static_cast<double>(static_cast<int64_t>(sums.alloc_bytes - sums.free_bytes));
      taken.live_blocks += static_cast<double>(static_cast<int64_t>(sums.alloc_blocks - sums.free_blocks));
    } else {
      table.each_shard(trace, [&](const CounterBlock& shard) { add_estimate(shard, taken); });
    }
  }
}

// A process that is ending has written its last snapshot, and only then removes its region.
bool is_removed(const FileSource& file) {
  struct stat status;
  return fstat(file.descriptor(), &status) != 0 || status.st_nlink == 0;
}

// Its stream has its End, and the process keeps the right to take snapshots: nothing may be written behind it.
bool is_closed(FileSource& file) {
  uint32_t closed = 0;
  const auto into = std::span(reinterpret_cast<uint8_t*>(&closed), sizeof closed);
  return file.read_at(offsetof(RegionHeader, closed), into) == sizeof closed && closed != 0;
}

// What the region says to be its stream must be that; an inode's number is used again. Where another file has its name,
// the stream is begun anew under another one.
void check_stream(const StreamPlace& place, const RegionFile& region) {
  StreamState& state = region.copy().header().stream;
  struct stat status;
  if (lstat(place.open_path().c_str(), &status) != 0 || status.st_dev != state.device) return;
  if (status.st_ino != state.now.inode && status.st_ino != state.replacement.inode) return;
  if (S_ISREG(status.st_mode) && status.st_size == 0) return;
  try {
    FileSource stream(place.open_path());
    if ((status.st_uid == region.facts().owner || status.st_uid == geteuid()) &&
        begins_recording(stream, region.identity()))
      return;
  } catch (const Error&) {
    // Not one to be opened, so not ours.
  }
  region.copy().count_loss(LossKind::kFailedWrite);
  state = {};
}

// Between two interval snapshots nothing is lost where one is left out: all numbers are absolute.
bool has_no_room(const RegionHeader& header, SnapshotKind kind) {
  const uint64_t most_bytes = header.identity.max_stream_bytes;
  return kind == SnapshotKind::kInterval && most_bytes != 0 && header.stream.now.bytes > most_bytes + most_bytes / 4;
}

}  // namespace

TakenSnapshot take_snapshot(const SnapshotRequest& request) {
  FileSource file(request.region_path, FileSource::Access::kReadAndWrite);
  if (!read_region_facts(file).ready) throw Error(ExitCode::kUnreadable, file.path(), "holds nothing yet");
  if (is_closed(file)) throw Error(ExitCode::kUnreadable, file.path(), "its process is just ending");
  RegionClaim claim(file, request.most_wait);
  if (is_removed(file)) throw Error(ExitCode::kUnreadable, file.path(), "its process has just ended");
  const RegionFile region(file);
  if (region.problem()) throw *region.problem();
  TakenSnapshot taken{.time_ns = time_of(region)};
  sum_live(region.copy(), taken);

  std::optional<ActingAs> owner;
  const bool own = is_own_directory(request.own_directory, region.identity());
  if (!own) owner.emplace(region.facts().owner, region.facts().group);
  const StreamPlace place(request.root, region.identity().stream_path, StreamPlace::Missing::kIsMade);
  check_stream(place, region);
  RegionWriter writer(file, region, place);
  writer.announce();
  const bool full = has_no_room(region.copy().header(), request.kind);
  const bool written = full || writer.write(request.kind, taken.time_ns, nullptr);
  if (written && request.thinning != nullptr) request.thinning->step(region.copy(), place);
  taken.stream_path = writer.stream_path();
  writer.carry_back(claim);
  if (!written) throw Error(ExitCode::kUnreadable, taken.stream_path, "could not be written");
  return taken;
}

}  // namespace seep
