// SPDX-License-Identifier: Apache-2.0
//
// The recording: one block of memory that holds everything that must outlive the process. Normally a MAP_SHARED file,
// so that any death of the process leaves it to be read; private memory where no file can be made.
//
//      0            header_bytes                      used_bytes     committed_bytes            capacity_bytes
//      | RegionHeader | trace | module | trie node | ... |   (zeros)   |  not accessible, no room taken  |
//
// Position-independent: entries name each other by `Ref`, their offset in units of 16 bytes (0: none). Append-only:
// space is never given back, and an entry is reachable only after all of it has been written (a release store or CAS of
// the Ref that leads to it), so that the region is valid at any instant and whatever ends the process. What changes
// afterwards are single aligned words. The order of stores that makes it so is said at each table: trace_table.h,
// module_table.h, counters.h; for the header: all that is plain in it is written before `ready`, but for `progress` and
// `stream`, which belong to the owner of `snapshot_owner` and say "write everything again" while they are in between.
//
// Space is taken from the kernel (committed) in steps before it is touched, so that a full file system is an error here
// and not a SIGBUS in the host. Where the file cannot grow any more, what follows lies in private memory at the same
// addresses (`private_from_bytes`):
//
//      0                          private_from_bytes                    capacity_bytes
//      | in the file: survives     | private: lost with the process      |
//
// A reader from outside must follow no Ref into the second part. So an entry of the first never leads there: entries
// of the two parts hang in lists of their own. What does not fit at all is refused, and the caller counts it.
//
// Runs inside the host (any thread, signal handlers, lock-free) and in the analyzer. Never calls malloc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep {

using Ref = uint32_t;
inline constexpr size_t kRefUnitBytes = 16;

inline constexpr uint32_t kRegionVersion = 5;
inline constexpr char kRegionMagic[8] = {'s', 'e', 'e', 'p', 'r', 'g', 'n', '1'};

// Fields of the stream's Header that are known when recording begins; see proto/seep.proto for each. Written once,
// before `RegionHeader::ready`.
struct Identity {
  uint8_t recording_id[16];
  uint8_t parent_recording_id[16];
  uint8_t boot_id[16];
  uint32_t pid;
  uint32_t parent_pid;
  uint32_t has_parent_recording;
  uint32_t depth_limit;
  uint64_t pid_namespace;
  uint64_t process_start_ticks;
  uint64_t sample_bytes;
  uint64_t interval_ns;
  uint64_t clock_resolution_ns;
  uint64_t started_unix_ns;
  uint64_t started_monotonic_ns;
  uint64_t inherited_blocks;
  uint64_t inherited_bytes;
  uint64_t seed;
  uint64_t stream_base_bytes;  // Of stream_path: directories are made only behind them.
  uint64_t max_stream_bytes;   // Above it the stream is thinned; 0: never.
  uint32_t not_observed_reason;
  uint32_t command_bytes;  // Of `command`: arguments, each ended by NUL.
  char not_observed_detail[256];
  char executable[1024];
  char command[4096];
  char host[72];
  char region_path[512];   // Empty: private memory.
  char stream_path[2048];  // Where snapshots go, or will; its name may still get a suffix when it is made.
  char options[1024];
};

// Loss, in the order of the stream's message of that name.
enum class LossKind : unsigned {
  kLiveTableFull,
  kRegionFull,
  kNested,
  kNoRegion,
  kCutRecord,
  kMissedFree,
  kUnknownFree,
  kFailedWrite,
  kSkippedSnapshot,
  kUnsharedRecord,  // Counted by a reader from outside alone: what lay in private memory.
  kCheckedTrace,    // With option check_traces: a trace of the cache that a walk has confirmed,
  kWrongTrace,      // or has not.
  kCount,
};

// The newest entries of the three lists; each runs from the newest to the oldest.
struct Newest {
  std::atomic<Ref> trace;
  std::atomic<Ref> module;
  std::atomic<Ref> thread_name;
};

// How far the stream is written. One writer at a time (RegionHeader::snapshot_owner), in the process or outside.
struct EncoderProgress {
  uint64_t sequence;  // Messages so far.
  uint32_t snapshots;
  uint32_t write_everything;  // The last attempt failed: repeat all.
  Ref newest_module[2];       // Written up to here, as the lists hang from RegionHeader: the shared and the private.
  Ref newest_thread_name[2];
  uint64_t private_alloc_blocks;  // Of RegionHeader's, so many are in the stream.
};

// What the stream's file holds, as its writer knows it.
struct StreamContents {
  uint64_t inode;              // 0: not made yet.
  uint64_t bytes;              // Less than that in the file, and somebody has cut it; more: one died while appending.
  uint64_t next_sequence;      // Of the message that follows.
  uint64_t thinned_snapshots;  // So many were taken out again, to keep it below Identity::max_stream_bytes.
};

// Which file the stream is. Same owner as `progress`. Its path is in Identity.
struct StreamState {
  uint64_t device;
  StreamContents now;
  uint64_t bytes_after_thinning;  // How long the last pass left it.
  StreamContents replacement;  // A thinned file that may have taken its place: both are true until it is opened again.
};

// Values of proto End.How.
enum class EndHow : uint32_t { kUnknown, kExit, kExec, kSignal };

struct EndFacts {
  EndHow how;
  uint32_t exit_status_known;  // No bool: any value may stand in a region.
  int exit_status;
  uint32_t signal;
  uint64_t time_ns;
};

// Values of proto Scan.Trigger, Scan.Stop and Scan.Failure.
enum class ScanTrigger : uint32_t { kUnknown, kExit, kRequest, kSignal };
enum class ScanStop : uint32_t { kNotStopped, kAlone, kByPtrace, kBySignal };
enum class ScanFailure : uint32_t { kNone, kThreadsRanOn, kOutOfTime, kNoMemory, kNoMaps, kCopyDied };

// Of one leak scan; see proto Scan for each.
struct ScanFacts {
  uint32_t number;
  ScanTrigger trigger;
  uint64_t time_ns;
  ScanFailure failure;
  ScanStop stop;
  uint32_t in_copy;  // No bools: any value may stand in a region.
  uint32_t stopped_threads;
  uint32_t missed_threads;
  uint32_t epoll_unread;
  uint32_t timers_unread;
  uint32_t heap_as_roots;
  uint32_t unknown_stacks;
  uint64_t pause_ns;
  uint64_t duration_ns;
  uint64_t searched_bytes;
  uint64_t unread_bytes;
  uint64_t overlapping_blocks;
};

// What a scan said of the blocks of one trace; see proto Verdicts. By index: definite, indirect, possible, reachable.
inline constexpr unsigned kVerdictClasses = 4;
enum class VerdictClass : unsigned { kDefinite, kIndirect, kPossible, kReachable };
struct TraceVerdicts {
  uint64_t blocks[kVerdictClasses];
  uint64_t bytes[kVerdictClasses];
  uint64_t held_blocks, held_bytes;
  double definite_blocks, definite_bytes, definite_blocks_variance, definite_bytes_variance;  // Sampled.
};
static_assert(sizeof(TraceVerdicts) % kRefUnitBytes == 0);

// The verdicts of a scan: an array of TraceVerdicts, by Trace::id - 1.
struct ScanResult {
  ScanFacts facts;
  Ref verdicts;
  uint32_t capacity;  // Of the array.
};

// Two results, of which a scan fills the one that does not stand, and then lets it stand: so that one is whole at any
// death, and while a reader from outside copies. Filled by one scan at a time, in the process or in a copy of it that
// shares the region's file.
struct ScanState {
  std::atomic<uint32_t> standing;  // 0: there is none; else results[standing - 1].
  std::atomic<uint32_t> scans;     // How many were begun.
  ScanResult results[2];
  std::atomic<uint32_t> has_failed;  // 1: `failed` is written, of a scan after the one that stands.
  ScanFacts failed;
  char default_suppressions[4096];
};

inline constexpr size_t kTrieRootSlots = 4096;

inline constexpr uint32_t kOwnedByProcess = 1;
inline constexpr uint32_t kOwnedFromOutside = 2;  // By who has the file locked (flock): if nobody has, he is dead.

struct RegionHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint64_t counters_bytes;               // Of one CounterBlock of this recording.
  std::atomic<uint32_t> ready;           // 1: all above and `identity` are written.
  std::atomic<uint32_t> snapshot_owner;  // 0, or who takes a snapshot: one of the two below.
  std::atomic<uint32_t> closed;          // 1: the stream holds everything, up to an End.
  std::atomic<uint64_t> capacity_bytes;
  std::atomic<uint64_t> committed_bytes;     // Lowest bit: the rest is being made private.
  std::atomic<uint64_t> private_from_bytes;  // 0: nothing of it is private.
  std::atomic<uint64_t> used_bytes;
  std::atomic<uint64_t> sample_bytes;  // T now.
  std::atomic<uint32_t> trace_count;
  std::atomic<uint32_t> module_count;
  std::atomic<uint32_t> thread_name_count;
  Newest newest[2];                            // Of entries in the file, and of those in private memory.
  std::atomic<uint64_t> last_snapshot_ns;      // When the last one was taken, by whomsoever; 0: none yet.
  std::atomic<uint64_t> private_alloc_blocks;  // Allocations that were counted for traces in private memory.
  std::atomic<uint64_t> sandboxed_ns;          // When the host's sandbox ended the growth of this; 0: it has not.
  std::atomic<uint64_t> private_bytes;         // Of seep's working memory, which is not in the region.
  std::atomic<uint64_t> freed_inherited_blocks;
  std::atomic<uint64_t> freed_inherited_bytes;
  std::atomic<uint64_t> loss[static_cast<unsigned>(LossKind::kCount)];
  EncoderProgress progress;
  StreamState stream;
  std::atomic<uint32_t> has_end;  // 1: `end` is written. It may be that it could not be written to the stream.
  EndFacts end;
  Identity identity;
  ScanState scan;
  std::atomic<uint32_t> trie_root[kTrieRootSlots];  // See trace_table.h.
};

// Allocations that are in no trace.
[[nodiscard]] inline uint64_t dropped_records(const RegionHeader& header) noexcept {
  uint64_t dropped = 0;
  for (const LossKind kind :
       {LossKind::kLiveTableFull, LossKind::kRegionFull, LossKind::kNested, LossKind::kNoRegion}) {
    dropped += header.loss[static_cast<unsigned>(kind)].load(std::memory_order_relaxed);
  }
  return dropped;
}

// A view of a region that is mapped in this process. Cheap to copy.
class Region {
 public:
  constexpr Region() = default;
  explicit Region(void* base) noexcept : base_(static_cast<char*>(base)) {}

  [[nodiscard]] bool valid() const noexcept { return base_ != nullptr; }
  [[nodiscard]] RegionHeader& header() const noexcept { return *reinterpret_cast<RegionHeader*>(base_); }

  template <typename T>
  [[nodiscard]] T* at(Ref ref) const noexcept {
    return reinterpret_cast<T*>(base_ + static_cast<size_t>(ref) * kRefUnitBytes);
  }

  // `bytes` of zeros, aligned to a power of two from 16 to 4096; 0 where there is no more room. Lock-free; the space of
  // a caller that dies between this and publishing is lost, nothing else.
  [[nodiscard]] Ref allocate(size_t bytes, size_t alignment = kRefUnitBytes) const noexcept;

  [[nodiscard]] Ref ref_of(const void* entry) const noexcept {
    return static_cast<Ref>(static_cast<uint64_t>(static_cast<const char*>(entry) - base_) / kRefUnitBytes);
  }

  // Takes so much room now that more entries of that size will fit, while that can still be done; false if it cannot.
  bool reserve(uint64_t bytes) const noexcept;

  // Gives back the address space that is kept for growth, but for a little. How much is kept from then on.
  uint64_t give_back_address_space() const noexcept;

  // Whether an entry lies in private memory: index of RegionHeader::newest.
  [[nodiscard]] unsigned part_of(Ref ref) const noexcept {
    const uint64_t from = header().private_from_bytes.load(std::memory_order_relaxed);
    return from != 0 && uint64_t{ref} * kRefUnitBytes >= from;
  }

  void count_loss(LossKind kind, uint64_t by = 1) const noexcept {
    header().loss[static_cast<unsigned>(kind)].fetch_add(by, std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] bool commit(uint64_t until) const noexcept;
  [[nodiscard]] bool go_private(uint64_t committed, uint64_t until) const noexcept;

  char* base_ = nullptr;
};

struct RegionPlan {
  uint64_t capacity_bytes;   // Address space to keep; the file is as long, and sparse.
  const char* path;          // Of the file to make; null or "": private memory.
  void* at;                  // Over this mapping of the same capacity; null: anywhere.
  uint64_t first_byte_used;  // Entries are laid from here on, at least behind the header.
};

// Makes a region: the mapping, the first step of its space, magic, version and the bounds; the caller fills `identity`
// and then sets `ready`. An invalid Region where there is no room or the file cannot be made; then nothing is left.
[[nodiscard]] Region make_region(const RegionPlan& plan) noexcept;

}  // namespace seep
