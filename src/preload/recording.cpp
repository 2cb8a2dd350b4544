// SPDX-License-Identifier: Apache-2.0
//
// The life of this process's recording; see recording.h.
#include "preload/recording.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "preload/clock.h"
#include "preload/identity.h"
#include "preload/next_allocator.h"
#include "preload/other_tools.h"
#include "preload/recorder.h"
#include "preload/region_place.h"
#include "preload/snapshots.h"
#include "preload/stream_name.h"
#include "record/aside.h"
#include "record/counters.h"
#include "record/system.h"
#include "record/text.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

namespace seep {

constinit Recording recording;

namespace {

constexpr uint64_t kMostRegionBytes = uint64_t{1} << 30;  // Counts against a RLIMIT_AS that the host may set later.
constexpr unsigned kFirstRowsLog2 = 9, kExactRowsLog2 = 16, kSampledRowsLog2 = 12;
constexpr unsigned kExactBucketsLog2 = 8, kSampledBucketsLog2 = 7;

void complain(void*, const char* key, const char* value) {
  if (parent_is_observed()) return;  // It has said so already.
  if (value == nullptr) say("unknown key in SEEP_OPTIONS: ", key, "; ignored");
  else say("bad value in SEEP_OPTIONS: ", key, "=", value);
}

// Writes to stderr where somebody reads it, and at once: else the host would hang, or be killed by SIGPIPE, for a line
// that is not its own. A pipe that can be written to has room for PIPE_BUF, which is more than a line.
void write_if_heard(const char* line, size_t bytes) {
  constexpr int kStandardError = 2;
  pollfd polled{kStandardError, POLLOUT, 0};
  if (system_call(SYS_poll, sys::as_long(&polled), 1, 0) != 1 || polled.revents != POLLOUT) return;
  const sys::SignalsBlocked blocked;
  const uint64_t broken_pipe = uint64_t{1} << (SIGPIPE - 1);
  uint64_t pending = 0;
  system_call(SYS_rt_sigpending, sys::as_long(&pending), sizeof pending);
  const long put = system_call(SYS_write, kStandardError, sys::as_long(line), static_cast<long>(bytes));
  if (put != -EPIPE || (pending & broken_pipe) != 0) return;
  const timespec at_once{};  // Whoever read it has just gone; the signal is ours to take off.
  system_call(SYS_rt_sigtimedwait, sys::as_long(&broken_pipe), 0, sys::as_long(&at_once), sizeof broken_pipe);
}

// How long the region may become. It is sparse and not accessible until used, so generous; but the host may have little
// address space.
uint64_t most_region_bytes() {
  const Options& options = recording.options;
  uint64_t capacity = options.max_memory_bytes == 0 ? kMostRegionBytes : options.max_memory_bytes / 8 * 3;
  if (capacity > kMostRegionBytes) capacity = kMostRegionBytes;
  const uint64_t address_limit = sys::resource_limit(RLIMIT_AS);
  if (address_limit != RLIM64_INFINITY && capacity > address_limit / 16) capacity = address_limit / 16;
  // A fork's child lays its own over its parent's.
  if (recording.inherited_base != nullptr && capacity > recording.capacity_bytes) capacity = recording.capacity_bytes;
  return capacity;
}

void make_process_page() {
  void* page = sys::map(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (page == nullptr) return;
  if (sys::failed(sys::advise(page, 4096, MADV_WIPEONFORK))) {
    sys::unmap(page, 4096);
    return;
  }
  recording.process_page = static_cast<ProcessPage*>(page);
  recording.process_page->canary.store(ProcessPage::kNoticed, std::memory_order_relaxed);
}

void prepare() {
  Options& options = recording.options;
  start_clock();
  char* buffer = static_cast<char*>(recording.memory.take(kEnvironmentBytes));
  parse_options(options, buffer == nullptr ? nullptr : find_options(buffer), complain, nullptr);
  if (buffer != nullptr) recording.memory.give_back(buffer, kEnvironmentBytes);
  recording.memory.set_limit(options.max_memory_bytes / 8 * 5);
  recording.next_pressure_bytes.store(options.max_memory_bytes / 8 * 3, std::memory_order_relaxed);
  recording.base_seed = options.seed;
  if (options.seed == 0) fill_random(&recording.base_seed, sizeof recording.base_seed);
  recording.pid = static_cast<uint32_t>(sys::process_id());
  recording.working_directory_bytes = make_absolute(options.out, sizeof options.out);
  recording.live.set_first_buckets_log2(options.exact() ? kExactBucketsLog2 : kSampledBucketsLog2);
  recording.rows.start(recording.memory, kFirstRowsLog2, options.exact() ? kExactRowsLog2 : kSampledRowsLog2);
  ModuleTables own;
  if (LoadedModules::find_tables(reinterpret_cast<uintptr_t>(&prepare_recording), own)) {
    recording.unwinder.skip_frames_in(own.start, own.end);
  }
  const ProcessStat stat = read_process_stat();
  process_stack_start = stat.initial_stack;
  recording.start_ticks = stat.start_ticks;
  make_process_page();
  start_filter();
  if (!options.exact()) return;
  live_filter.match_everything();
  find_tick_words();
  // Where address space is limited, tables by address take too much of it.
  if (sys::resource_limit(RLIMIT_AS) == RLIM64_INFINITY) recording.live.use_addresses();
}

void add_early_loss(Region region) {
  for (unsigned i = 0; i < static_cast<unsigned>(LossKind::kCount); ++i) {
    region.count_loss(static_cast<LossKind>(i), recording.early_loss[i].exchange(0, std::memory_order_relaxed));
  }
  RegionHeader& header = region.header();
  add(header.freed_inherited_blocks, recording.freed_inherited_blocks.exchange(0, std::memory_order_relaxed));
  add(header.freed_inherited_bytes, recording.freed_inherited_bytes.exchange(0, std::memory_order_relaxed));
}

// What the parent had live when it forked: what is still in our copy of its table, and what was freed since.
void sum_inherited(Identity& identity) {
  if (recording.first_own_trace.load(std::memory_order_relaxed) == 0) return;
  double blocks = 0, bytes = 0;
  recording.live.each([&](uintptr_t, const LiveEntry& entry) {
    const Weight weight = recording.weight_of(entry);
    blocks += weight.blocks;
    bytes += weight.bytes;
  });
  identity.inherited_blocks = static_cast<uint64_t>(blocks + 0.5) + recording.freed_inherited_blocks.load();
  identity.inherited_bytes = static_cast<uint64_t>(bytes + 0.5) + recording.freed_inherited_bytes.load();
}

// In smaller sizes, too: address space counts against RLIMIT_MEMLOCK once the host has called mlockall(MCL_FUTURE).
Region make_region_of(const char* path, uint64_t most_bytes) {
  constexpr uint64_t kLeastRegionBytes = 512 << 10;
  for (uint64_t capacity = most_bytes & ~uint64_t{4095}; capacity >= kLeastRegionBytes;
       capacity = capacity / 4 & ~uint64_t{4095}) {
    const Region region = make_region({capacity, path, recording.inherited_base, recording.inherited_used_bytes});
    if (!region.valid()) continue;
    if (capacity > recording.capacity_bytes) recording.capacity_bytes = capacity;
    return region;
  }
  return Region();
}

Region make_region_somewhere(char (&path)[sizeof(Identity::region_path)]) {
  const uint64_t most_bytes = most_region_bytes();
  constexpr unsigned kMostNames = 4;
  for (unsigned attempt = 1; attempt <= kMostNames && region_path(attempt, path, sizeof path); ++attempt) {
    if (is_region_path_taken(path)) continue;
    // Growing a file past this limit raises SIGXFSZ, which kills.
    const uint64_t file_limit = sys::resource_limit(RLIMIT_FSIZE);
    const Region region = make_region_of(path, most_bytes < file_limit ? most_bytes : file_limit);
    if (region.valid()) return region;
    break;
  }
  path[0] = '\0';  // No room there, or no right to it: private memory, which still reaches the stream.
  return make_region_of(path, most_bytes);
}

// Not by sched_yield, which would starve whom we wait for where our priority is a real-time one.
void wait_briefly() {
  const timespec briefly{0, 50'000};
  system_call(SYS_nanosleep, sys::as_long(&briefly), 0);
}

// Where nobody could tell a fork's child, and where each trace is to be checked, there is none.
void open_fast_path(Region region) {
  const Options& options = recording.options;
  if (recording.process_page == &recording.no_page || !options.exact() || options.check_traces) return;
  recording.process_page->region.store(reinterpret_cast<char*>(&region.header()), std::memory_order_release);
}

Region make_recording() {
  const uint32_t pid = static_cast<uint32_t>(sys::process_id());
  if (!recording.has_recording_id) fill_random(recording.recording_id, sizeof recording.recording_id);
  recording.has_recording_id = true;
  char path[sizeof(Identity::region_path)];
  Region region = make_region_somewhere(path);
  if (!region.valid()) return region;
  RegionHeader& header = region.header();
  memcpy(header.identity.region_path, path, sizeof path);
  header.counters_bytes = recording.options.exact() ? kExactCounterBytes : sizeof(CounterBlock);
  header.sample_bytes.store(recording.sample_bytes_now(), std::memory_order_relaxed);
  fill_identity(header.identity);
  sum_inherited(header.identity);
  add_early_loss(region);
  header.ready.store(1, std::memory_order_release);
  ProcessPage& page = *recording.process_page;
  page.first_own_trace = recording.first_own_trace.load(std::memory_order_relaxed);
  page.started_ns = header.identity.started_monotonic_ns;
  // A signal handler may have forked meanwhile, and this be its child, or have made one: then this is none of ours.
  void* none = nullptr;
  const bool same_process = static_cast<uint32_t>(sys::process_id()) == pid;
  if (same_process && recording.region_base.compare_exchange_strong(none, &header, std::memory_order_acq_rel)) {
    open_fast_path(region);
    return region;
  }
  if (same_process && path[0] != '\0') sys::unlink(path);
  sys::unmap(&header, header.capacity_bytes.load());
  return recording.region();
}

}  // namespace

bool prepare_recording() noexcept {
  uint32_t state = recording.state.load(std::memory_order_acquire);
  if (state == Recording::kOn) return true;
  if (state != Recording::kUnprepared) return false;
  if (sanitizer_runtime() != nullptr) {
    find_next_allocator();
    match_nothing();
    recording.state.store(Recording::kOff, std::memory_order_release);
    return false;
  }
  const sys::SignalsBlocked blocked;  // A handler must not leave this half done by a jump.
  if (recording.state.compare_exchange_strong(state, Recording::kPreparing, std::memory_order_acq_rel)) {
    find_next_allocator();
    prepare();
    recording.state.store(Recording::kOn, std::memory_order_release);
    return true;
  }
  return false;  // Off; or this is a call out of prepare() itself, or of a thread that runs this early.
}

Region open_region() noexcept {
  const Region there = recording.region();
  if (there.valid()) return there;
  // Where it cannot be made now, it is tried less and less often: each attempt takes a hundred microseconds.
  const uint32_t failures = recording.region_failures.load(std::memory_order_relaxed);
  if (failures != 0 && std::popcount(recording.region_failures.fetch_add(1, std::memory_order_relaxed)) != 1) {
    return there;
  }
  const sys::SignalsBlocked blocked;  // A handler may fork, whose child would finish this, too, or leave it for good.
  // The maker needs a few hundred microseconds of processor time, and on a loaded machine gets them late. To go on
  // without it would lose a record, and with it the judgement of an exact recording.
  constexpr unsigned kMostYields = 1000, kMostWaits = kMostYields + 40'000;
  for (unsigned wait = 0; recording.opening.exchange(1, std::memory_order_acquire) != 0; ++wait) {
    if (recording.region_base.load(std::memory_order_acquire) != nullptr) return recording.region();
    if (wait == kMostWaits) return Region();
    if (wait < kMostYields) system_call(SYS_sched_yield);
    else wait_briefly();
  }
  Region region = recording.region();
  // Where there is no memory for a stack, there is none for a region.
  if (!region.valid() && !call_aside([&] { region = make_recording(); })) region = Region();
  recording.region_failures.store(region.valid() ? 0 : failures + 1, std::memory_order_relaxed);
  recording.opening.store(0, std::memory_order_release);
  return region;
}

bool is_own_process() noexcept {
  const long pid = sys::process_id();
  return sys::failed(pid) || static_cast<uint32_t>(pid) == recording.pid;
}

void make_region_ahead() noexcept {
  if (!prepare_recording()) return;
  (void)notice_fork();
  if (!is_own_process() || !open_region().valid()) return;
  recording.live.make_first_table();
  unsigned index;
  const auto sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (recording.scratches.acquire(thread_state, sp, index) != nullptr) recording.scratches.release(index);
}

void give_back_address_space() noexcept {
  recording.live.be_frugal();
  // A fork's child still has its parent's, as long as it has none of its own.
  const Region region = notice_fork() || recording.inherited_base != nullptr ? open_region() : recording.region();
  if (!region.valid() || !is_own_process()) return;
  recording.capacity_bytes = region.give_back_address_space();
}

void leave_stub(uint32_t not_observed_reason, const char* detail) noexcept {
  if (recording.pid == 0) prepare();  // It was not even begun.
  const Region region = open_region();
  recording.state.store(Recording::kOff, std::memory_order_release);
  match_nothing();
  if (!region.valid()) return;
  Identity& identity = region.header().identity;
  identity.not_observed_reason = not_observed_reason;
  strncpy(identity.not_observed_detail, detail, sizeof identity.not_observed_detail - 1);
  const EndFacts end{EndHow::kUnknown, false, 0, 0, now_ns()};
  final_snapshot(SnapshotKind::kExit, end, false);
}

namespace {

void forget_parents_region() {
  const Region parents = recording.region();
  if (parents.valid()) {
    RegionHeader& header = parents.header();
    recording.inherits_unknown_blocks = recording.inherits_unknown_blocks || dropped_records(header) != 0;
    void* base = &header;
    const uint64_t used = header.used_bytes.load(std::memory_order_relaxed);
    // From here on a stale write lands in private zeros. The child's entries begin behind what the parent had used, so
    // it can meet none of them; and a Ref below that is known for the parent's.
    if (sys::map(base, recording.capacity_bytes, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE) !=
        nullptr) {
      sys::protect(base, (used + 4095) & ~uint64_t{4095}, PROT_READ | PROT_WRITE);
    }
    recording.inherited_base = base;
    recording.inherited_used_bytes = used;
    recording.first_own_trace.store(static_cast<uint32_t>((used + kRefUnitBytes - 1) / kRefUnitBytes),
                                    std::memory_order_relaxed);
    memcpy(recording.parent_recording_id, recording.recording_id, sizeof recording.recording_id);
    recording.has_parent_recording = true;
  }
  recording.region_base.store(nullptr, std::memory_order_release);
  recording.has_recording_id = false;
  recording.opening.store(0, std::memory_order_relaxed);
  recording.region_failures.store(0, std::memory_order_relaxed);
  recording.freed_inherited_blocks.store(0, std::memory_order_relaxed);
  recording.freed_inherited_bytes.store(0, std::memory_order_relaxed);
  for (auto& loss : recording.early_loss) loss.store(0, std::memory_order_relaxed);
  (void)call_aside(leave_parents_stream);
  recording.pid = static_cast<uint32_t>(sys::process_id());
  recording.start_ticks = 0;
  uint64_t seed = recording.base_seed ^ uint64_t { recording.pid } << 32;  // Not in step with its siblings.
  recording.base_seed = next_random(seed);
  recording.name_generation.fetch_add(1, std::memory_order_relaxed);
  recording.forget_loaded_code();
  recording.traces.clear();
  recording.leases.clear();
  live_filter.forget_builder();
}

}  // namespace

bool notice_fork() noexcept {
  if (recording.process_page == &recording.no_page) return false;
  std::atomic<uint32_t>& canary = recording.process_page->canary;
  if (canary.load(std::memory_order_acquire) == ProcessPage::kNoticed) return false;
  const sys::SignalsBlocked blocked;  // Half-way there is no region that a handler could record to.
  uint32_t state = ProcessPage::kUnnoticed;
  if (!canary.compare_exchange_strong(state, ProcessPage::kNoticing, std::memory_order_acq_rel)) {
    while (canary.load(std::memory_order_acquire) != ProcessPage::kNoticed) wait_briefly();  // Another thread is at it.
    return false;
  }
  forget_parents_region();
  canary.store(ProcessPage::kNoticed, std::memory_order_release);
  return true;
}

bool notice_fork_in_child() noexcept {
  if (recording.process_page != &recording.no_page) return notice_fork();
  const sys::SignalsBlocked blocked;
  forget_parents_region();
  return true;
}

void count_loss(LossKind kind, uint64_t by) noexcept {
  const Region region = recording.region();
  if (region.valid()) region.count_loss(kind, by);
  else add(recording.early_loss[static_cast<unsigned>(kind)], by);
}

void say(const char* part1, const char* part2, const char* part3, const char* part4) noexcept {
  char line[512];
  TextBuilder text(line, sizeof line);
  text.add("seep: ");
  for (const char* part : {part1, part2, part3, part4}) text.add(part);
  text.add_character('\n');
  if (!text.complete()) line[sizeof line - 2] = '\n';
  write_if_heard(line, text.length());
}

}  // namespace seep
