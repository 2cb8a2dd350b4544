// SPDX-License-Identifier: Apache-2.0
//
// The verdicts; see judge.h.
#include "preload/leak_scan/judge.h"

#include <sys/auxv.h>

#include <algorithm>
#include <cstring>

#include "preload/recording.h"
#include "record/module_table.h"
#include "record/trace_table.h"

namespace seep::leak_scan {
namespace {

ScanFailure failure_of(Outcome outcome) {
  if (outcome == Outcome::kDone) return ScanFailure::kNone;
  return outcome == Outcome::kOutOfTime ? ScanFailure::kOutOfTime : ScanFailure::kNoMemory;
}

// The loader's number among the modules; 0: none of its code has allocated.
uint32_t find_loader(Region region) {
  const uint64_t start = getauxval(AT_BASE);
  for (const Newest& newest : region.header().newest) {
    for (Ref ref = newest.module.load(std::memory_order_acquire); ref != 0; ref = region.at<Module>(ref)->next_older) {
      if (start != 0 && region.at<Module>(ref)->start == start) return region.at<Module>(ref)->id;
    }
  }
  return 0;
}

using Mappings = GrowingArray<Mapping>;

const Mapping* find_file(const void* context, uintptr_t address) {
  const Mappings& mappings = *static_cast<const Mappings*>(context);
  const Mapping* found = std::upper_bound(mappings.begin(), mappings.end(), address,
                                          [](uintptr_t at, const Mapping& mapping) { return at < mapping.end; });
  const bool inside = found != mappings.end() && found->start <= address;
  return inside && found->kind == MappingKind::kFilePrivate ? found : nullptr;
}

uintptr_t readable_end(const void* context, uintptr_t address) {
  const Mapping* file = find_file(context, address);
  return file != nullptr && file->readable ? file->end : 0;
}

bool is_code(const void* context, uintptr_t address) {
  const Mapping* file = find_file(context, address);
  return file != nullptr && file->executable;
}

VerdictClass class_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDefinite: return VerdictClass::kDefinite;
    case Verdict::kIndirect: return VerdictClass::kIndirect;
    case Verdict::kPossible: return VerdictClass::kPossible;
    default: return VerdictClass::kReachable;
  }
}

}  // namespace

ScanFailure Judge::run(Deadline deadline) noexcept {
  const ScanFailure indexed = fill_index(deadline);
  if (indexed != ScanFailure::kNone) return indexed;
  RootSet& roots = *evidence_.roots;
  const RootsResult touched = roots.find_touched(deadline);
  if (touched == RootsResult::kOutOfTime) return ScanFailure::kOutOfTime;
  if (touched != RootsResult::kDone) return ScanFailure::kNoMemory;
  MarkOptions options;
  const bool exact = recording.options.exact();
  options.mode = exact ? MarkOptions::Mode::kExact : MarkOptions::Mode::kSampled;
  options.heuristics = evidence_.heuristics;
  options.files = {&roots.mappings(), readable_end, is_code};
  options.glibc_heap = !evidence_.allocator.is_empty();
  options.readable = roots.readable().data();
  options.readable_count = roots.readable().size();
  options.deadline = deadline;
  Marker marker(memory_, index_, options);
  if (marker.start() != Outcome::kDone) return ScanFailure::kNoMemory;
  add_threads(marker);
  add_kept_blocks(marker);
  add_roots(marker);
  const Outcome marked = marker.finish();
  if (marked != Outcome::kDone) return failure_of(marked);
  fill_facts(marker);
  return sum_up(marker) ? ScanFailure::kNone : ScanFailure::kNoMemory;
}

ScanFailure Judge::fill_index(Deadline deadline) noexcept {
  uint64_t blocks = 0;
  recording.live.each([&](uintptr_t, const LiveEntry&) { ++blocks; });
  bool fits = index_.reserve(blocks);
  const uint32_t loader = find_loader(region_);
  if (fits) {
    recording.live.each([&](uintptr_t address, const LiveEntry& entry) {
      fits = fits && index_.add(address, entry.size_bytes, entry.trace);
      if (entry.ignored || is_allocated_in(entry.trace, loader)) fits = fits && ignored_.add(address);
    });
  }
  return fits ? failure_of(index_.build(deadline)) : ScanFailure::kNoMemory;
}

// The loader keeps its own in ways of its own: tables that it points into the middle of, thread-local storage of
// threads that have ended and may come again.
bool Judge::is_allocated_in(Ref trace, uint32_t module) const noexcept {
  if (module == 0 || trace < recording.first_own_trace.load(std::memory_order_relaxed)) return false;
  Trace& allocated = *region_.at<Trace>(trace);
  return allocated.frame_count != 0 && frame_module(allocated.frames(region_.header())[0]) == module;
}

void Judge::add_roots(Marker& marker) const noexcept {
  for (const Root& root : evidence_.roots->roots()) add_root(marker, root);
  for (const Range& range : *evidence_.kept) marker.add_roots(range.start, range.end);
}

void Judge::add_root(Marker& marker, const Root& root) const noexcept {
  const uint64_t from = std::clamp(evidence_.allocator.start, root.start, root.end);
  const uint64_t to = std::clamp(evidence_.allocator.end, from, root.end);
  if (root.start < from) marker.add_roots(root.start, from);
  if (from < to) marker.add_allocator_roots(from, to);
  if (to < root.end) marker.add_roots(to, root.end);
}

void Judge::add_threads(Marker& marker) const noexcept {
  const StoppedThreads& threads = *evidence_.threads;
  for (uint32_t i = 0; i < threads.size(); ++i) {
    const StoppedThread& thread = threads[i];
    if (!thread.stands_still()) continue;
    for (uint32_t word = 0; word < thread.word_count; ++word) marker.add_root(thread.words[word]);
    // A stack that the program made of a block of the heap: what it runs on is in use.
    const uint32_t stack = index_.count() == 0 ? BlockIndex::kNone : index_.find(thread.sp);
    if (stack == BlockIndex::kNone) continue;
    marker.add_root(index_.block(stack).start());
    marker.add_roots(thread.sp, index_.block(stack).end());
  }
  for (const uint64_t word : evidence_.roots->thread_words()) marker.add_root(word);
  for (const uint64_t word : evidence_.roots->kernel_words()) marker.add_root(word);
}

// Those that the program does not want to be called leaked, or that are the loader's; and of two blocks that overlap
// one has been freed, and we do not know which.
void Judge::add_kept_blocks(Marker& marker) noexcept {
  for (const uint64_t block : ignored_) marker.add_root(block);
  if (index_.overlapping() == 0) return;
  for (uint32_t i = 0; i + 1 < index_.count(); ++i) {
    if (index_.block(i).end() <= index_.block(i + 1).start()) continue;
    marker.add_root(index_.block(i).start());
    marker.add_root(index_.block(i + 1).start());
  }
}

TraceVerdicts* Judge::verdicts_of(const Block& block) const noexcept {
  if (block.trace() < recording.first_own_trace.load(std::memory_order_relaxed)) return nullptr;
  const uint32_t id = region_.at<Trace>(block.trace())->id;
  return id == 0 || id > result_.capacity ? nullptr : region_.at<TraceVerdicts>(result_.verdicts) + (id - 1);
}

bool Judge::sum_up(const Marker& marker) noexcept {
  memset(region_.at<TraceVerdicts>(result_.verdicts), 0, result_.capacity * sizeof(TraceVerdicts));
  for (uint32_t i = 0; i < index_.count(); ++i) sum_up(index_.block(i), marker.verdict(i));
  if (!recording.options.exact() || marker.leak_count() == 0) return true;
  if (marker.leaks() == nullptr) return false;
  for (uint32_t i = 0; i < marker.leak_count(); ++i) {
    const Leak& leak = marker.leaks()[i];
    TraceVerdicts* verdicts = verdicts_of(index_.block(leak.block));
    if (verdicts == nullptr) continue;
    verdicts->held_blocks += leak.indirect_blocks;
    verdicts->held_bytes += leak.indirect_bytes;
  }
  return true;
}

void Judge::sum_up(const Block& block, Verdict verdict) noexcept {
  TraceVerdicts* verdicts = verdicts_of(block);
  if (verdicts == nullptr || verdict == Verdict::kLive) return;
  const unsigned index = static_cast<unsigned>(class_of(verdict));
  ++verdicts->blocks[index];
  verdicts->bytes[index] += block.size_bytes();
  LiveEntry entry;
  if (recording.options.exact() || !recording.live.look_up(block.start(), entry)) return;
  const Weight weight = recording.weight_of(entry);
  verdicts->definite_blocks += weight.blocks;
  verdicts->definite_bytes += weight.bytes;
  verdicts->definite_blocks_variance += weight.blocks_variance;
  verdicts->definite_bytes_variance += weight.bytes_variance;
}

void Judge::fill_facts(const Marker& marker) noexcept {
  const RootGaps& gaps = evidence_.roots->gaps();
  ScanFacts& facts = result_.facts;
  facts.searched_bytes = marker.scanned_bytes();
  facts.unread_bytes = gaps.unread.device + gaps.unread.perhaps_gone + gaps.unread.refused;
  facts.unknown_stacks = gaps.unknown_stacks;
  facts.epoll_unread = gaps.epoll ? 1 : 0;
  facts.timers_unread = gaps.timers ? 1 : 0;
  facts.overlapping_blocks = index_.overlapping();
}

}  // namespace seep::leak_scan
