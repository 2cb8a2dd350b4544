// SPDX-License-Identifier: Apache-2.0
//
// Writing the stream; see snapshots.h.
#include "preload/snapshots.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <time.h>

#include <cstring>

#include "preload/clock.h"
#include "preload/recording.h"
#include "preload/stream_name.h"
#include "record/aside.h"
#include "record/memory_room.h"
#include "record/snapshot_writer.h"
#include "record/stream_thinning.h"
#include "record/system.h"

namespace seep {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr unsigned kMostWaits = 100'000;  // Each gives the processor away.

struct Workplace {  // Taken at the first snapshot.
  EncoderScratch encoder;
  alignas(64) char stack[kStackBytes];
};

constinit std::atomic<Workplace*> workplace{nullptr};
constinit std::atomic<StreamThinning*> thinning{nullptr};
constinit std::atomic<uint32_t> ended{0};  // 1: the stream has its End.
constinit void* thinning_table = nullptr;  // For it. Both are touched by the owner of the snapshot alone.
constinit size_t thinning_table_bytes = 0;
// The directory part of the stream's name stays the parent's in a fork's child: one directory is one recording.
constinit char stream_directory[2048] = "";

struct Job {
  Region region;
  SnapshotKind kind;
  const EndFacts* end;
  bool written;
};

// A slice after each snapshot, so that no thread is kept for long: some milliseconds.
void keep_stream_small(Region region, uint64_t appended_bytes) {
  constexpr uint64_t kSliceBytes = 1 << 20;
  StreamThinning* pass = thinning.load(std::memory_order_relaxed);
  if (pass == nullptr || !pass->active) {
    if (!wants_thinning(region.header())) return;
    if (pass == nullptr) pass = static_cast<StreamThinning*>(recording.memory.take(sizeof(StreamThinning)));
    if (pass == nullptr) return;
    thinning.store(pass, std::memory_order_relaxed);
    const size_t wanted_bytes = StreamThinner::table_bytes(region.header().trace_count.load());
    if (thinning_table_bytes < wanted_bytes) {
      if (thinning_table != nullptr) recording.memory.give_back(thinning_table, thinning_table_bytes);
      thinning_table = recording.memory.take(wanted_bytes);
      thinning_table_bytes = thinning_table == nullptr ? 0 : wanted_bytes;
    }
    if (!begin_thinning(region, *pass, "", thinning_table, thinning_table_bytes)) return;
  }
  // More than is appended meanwhile, lest it never come to its end.
  continue_thinning(region, *pass, "", kSliceBytes + 8 * appended_bytes);
}

// It grew although it was thinned: there is more to say than may be said.
bool is_stream_full(const RegionHeader& header) {
  const uint64_t most_bytes = header.identity.max_stream_bytes;
  return most_bytes != 0 && header.stream.now.bytes > most_bytes + most_bytes / 4;
}

void run_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  RegionHeader& header = job.region.header();
  header.private_bytes.store(recording.memory.used_bytes(), std::memory_order_relaxed);
  header.sample_bytes.store(recording.sample_bytes_now(), std::memory_order_relaxed);
  if (job.end == nullptr && is_stream_full(header)) {
    job.region.count_loss(LossKind::kSkippedSnapshot);
    header.last_snapshot_ns.store(now_ns(), std::memory_order_relaxed);
    return keep_stream_small(job.region, 0);
  }
  const uint64_t bytes_before = header.stream.now.bytes;
  job.written =
      write_snapshot(job.region, workplace.load(std::memory_order_relaxed)->encoder, "", job.kind, now_ns(), job.end);
  if (job.end == nullptr) keep_stream_small(job.region, header.stream.now.bytes - bytes_before);
  else if (StreamThinning* pass = thinning.load(std::memory_order_relaxed)) abandon_thinning(job.region, *pass, "");
}

// With all signals blocked by the caller: a handler must not run on our stack, which is small.
void run_on_own_stack(Job& job) {
  Workplace* place = workplace.load(std::memory_order_relaxed);
  if (place == nullptr) {
    place = static_cast<Workplace*>(recording.memory.take(sizeof(Workplace)));
    workplace.store(place, std::memory_order_relaxed);
  }
  if (place == nullptr) {
    job.region.count_loss(LossKind::kSkippedSnapshot);
    return;
  }
  call_aside_on(place->stack + kStackBytes, run_job, &job);
}

bool become_owner(RegionHeader& header, unsigned most_waits) {
  for (unsigned wait = 0;; ++wait) {
    uint32_t owner = 0;
    if (header.snapshot_owner.compare_exchange_strong(owner, kOwnedByProcess, std::memory_order_acquire)) return true;
    if (wait >= most_waits) return false;
    system_call(SYS_sched_yield);
  }
}

// From somebody outside who was killed: his lock on the file is gone, and what he owned is not.
bool take_over_from_dead(RegionHeader& header) {
  if (header.snapshot_owner.load(std::memory_order_acquire) != kOwnedFromOutside) return false;
  const long fd = sys::open(header.identity.region_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (sys::failed(fd)) return false;
  uint32_t owner = kOwnedFromOutside;
  const bool dead = !sys::failed(system_call(SYS_flock, fd, LOCK_EX | LOCK_NB)) &&
                    header.snapshot_owner.compare_exchange_strong(owner, kOwnedByProcess, std::memory_order_acquire);
  sys::close(fd);
  if (dead) header.progress.write_everything = 1;
  return dead;
}

// A region that was made ahead, of a process that sampled nothing and lost nothing: it leaves nothing.
bool holds_nothing(const RegionHeader& header) {
  if (recording.options.exact() || header.identity.not_observed_reason != 0) return false;
  uint64_t losses = header.stream.now.inode;  // Or a stream that is there already.
  for (const auto& loss : header.loss) losses += loss.load(std::memory_order_relaxed);
  return losses == 0 && header.trace_count.load(std::memory_order_relaxed) == 0;
}

// Under `seep run` that takes them, from outside; and should it end before us, we do.
uint64_t own_interval_ns() {
  const uint64_t interval_ns = recording.options.interval_ns;
  return recording.options.announce[0] == '\0' ? interval_ns : interval_ns + interval_ns / 2;
}

}  // namespace

bool expand_stream_path(char* path, size_t path_bytes) noexcept {
  char executable[1024];
  const long length = sys::read_link("/proc/self/exe", executable, sizeof executable - 1);
  executable[sys::failed(length) ? 0 : length] = '\0';
  utsname names{};
  system_call(SYS_uname, sys::as_long(&names));
  const NameFacts facts{executable[0] == '\0' ? "unknown" : executable, recording.pid, names.nodename,
                        unix_ns() / 1'000'000'000, recording.name_generation.load(std::memory_order_relaxed)};
  if (!expand_name(recording.options.out, facts, path, path_bytes)) return false;
  const char* slash = strrchr(path, '/');
  const size_t directory_bytes = strlen(stream_directory);
  if (directory_bytes == 0 || slash == nullptr) return true;
  const size_t name_bytes = strlen(slash) + 1;
  if (directory_bytes + name_bytes > path_bytes) return false;
  memmove(path + directory_bytes, slash, name_bytes);
  memcpy(path, stream_directory, directory_bytes);
  return true;
}

void maybe_snapshot() noexcept {
  const Region region = recording.region();
  if (!region.valid()) return;
  const uint64_t last_ns = region.header().last_snapshot_ns.load(std::memory_order_relaxed);
  if (now_ns() < last_ns + own_interval_ns()) return;
  if (!is_own_process()) return;
  const sys::SignalsBlocked blocked;  // No handler on our small stack, and none that jumps out with the ownership.
  if (!become_owner(region.header(), 0)) return;
  Job job{region, SnapshotKind::kInterval, nullptr, false};
  run_on_own_stack(job);
  region.header().snapshot_owner.store(0, std::memory_order_release);
}

bool take_snapshot() noexcept {
  const Region region = recording.region();
  if (!region.valid() || !is_own_process() || ended.load(std::memory_order_relaxed) != 0) return false;
  const sys::SignalsBlocked blocked;
  if (!become_owner(region.header(), kMostWaits)) return false;
  Job job{region, SnapshotKind::kRequest, nullptr, false};
  run_on_own_stack(job);
  region.header().snapshot_owner.store(0, std::memory_order_release);
  return job.written;
}

bool final_snapshot(SnapshotKind kind, const EndFacts& end, bool keep_file, const leak_scan::HostExit* host) noexcept {
  const Region region = recording.region();
  if (!region.valid() || !is_own_process()) return false;
  RegionHeader& header = region.header();
  if (ended.load(std::memory_order_relaxed) != 0) return false;  // _exit() in a handler of exit().
  const bool scans = host != nullptr && leak_scan::wants_scan_at_exit();
  const sys::SignalsBlocked blocked;
  header.end = end;
  header.has_end.store(1, std::memory_order_release);
  if (!become_owner(header, kMostWaits) && !take_over_from_dead(header)) return false;
  if (ended.exchange(1, std::memory_order_relaxed) != 0) return false;
  if (kind == SnapshotKind::kExit && holds_nothing(header)) {
    header.closed.store(1, std::memory_order_release);
    if (header.identity.region_path[0] != '\0') sys::unlink(header.identity.region_path);
    return true;
  }
  if (scans) leak_scan::scan_at_exit(*host, blocked.before());
  else if (host != nullptr) leak_scan::wait_for_copy(monotonic_ns() + recording.options.scan_limit_ns);
  else leak_scan::end_copy();
  Job job{region, kind, &end, false};
  run_on_own_stack(job);
  if (!leak_scan::let_go()) run_on_own_stack(job);
  if (job.written) {
    header.closed.store(1, std::memory_order_release);
    if (!keep_file && header.identity.region_path[0] != '\0') sys::unlink(header.identity.region_path);
  }
  return true;  // Still its owner: nothing may be written behind the End.
}

void go_on_after_failed_exec() noexcept {
  RegionHeader& header = recording.region().header();
  header.closed.store(0, std::memory_order_release);
  header.has_end.store(0, std::memory_order_release);
  ended.store(0, std::memory_order_relaxed);
  header.snapshot_owner.store(0, std::memory_order_release);
}

void close_gate(const SystemGate::Denied& denied, bool all_threads) noexcept {
  static constexpr unsigned kNeeded[] = {SYS_openat,  SYS_write, SYS_pwrite64, SYS_pread64,
                                         SYS_close,   SYS_fstat, SYS_mmap,     SYS_mprotect,
                                         SYS_madvise, SYS_flock, SYS_getpid,   SYS_ftruncate};
  bool harms = false;
  for (const unsigned number : kNeeded) harms = harms || (denied.bits[number / 64] >> number % 64 & 1) != 0;
  // Also where nothing was recorded yet: what will be has to go somewhere.
  if (harms) make_region_ahead();
  const Region region = harms ? recording.region() : Region();
  if (!region.valid()) return system_gate.close(denied);
  const sys::SignalsBlocked blocked;
  RegionHeader& header = region.header();
  const bool owner = ended.load(std::memory_order_relaxed) == 0 && become_owner(header, kMostWaits);
  if (owner) {
    Job job{region, SnapshotKind::kInterval, nullptr, false};
    run_on_own_stack(job);
  }
  constexpr uint64_t kLeastReserve = 256 << 10;
  const uint64_t half = header.used_bytes.load(std::memory_order_relaxed) / 2;
  region.reserve(half < kLeastReserve ? kLeastReserve : half);  // What does not fit will be counted.
  allow_memory_unasked();
  const uint64_t time_ns = now_ns();
  header.sandboxed_ns.store(time_ns == 0 ? 1 : time_ns, std::memory_order_relaxed);
  system_gate.close(denied);
  if (all_threads) {
    // Whoever has passed the gate, and was interrupted before his call, gets to make it.
    const timespec pause{0, 1'000'000};
    kernel_call(SYS_nanosleep, sys::as_long(&pause), 0, 0, 0, 0, 0);
  }
  if (owner) header.snapshot_owner.store(0, std::memory_order_release);
}

void leave_parents_stream() noexcept {
  char path[sizeof stream_directory];
  if (stream_directory[0] == '\0' && expand_stream_path(path, sizeof path)) {
    const char* slash = strrchr(path, '/');
    if (slash != nullptr) memcpy(stream_directory, path, static_cast<size_t>(slash - path));
  }
  if (StreamThinning* pass = thinning.load(std::memory_order_relaxed)) pass->active = false;
  ended.store(0, std::memory_order_relaxed);
}

}  // namespace seep
