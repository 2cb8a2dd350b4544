// SPDX-License-Identifier: Apache-2.0
//
// The floods; see mark.h. Memory is far away: what a step will read of the blocks that many words point at is asked for
// before the first of them is looked at.
#include "preload/leak_scan/mark.h"

#include <algorithm>

namespace seep::leak_scan {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;  // Between two looks at the clock.
constexpr unsigned kWorkPerLook = 64;
constexpr unsigned kBlocksAtOnce = 16;

// Where glibc's chunk behind a block begins (malloc/malloc.c, "A chunk of memory"): the size stands right before the
// block, with three flags in its lowest bits, and counts from 16 bytes before it.
uint64_t next_chunk(uint64_t block) {
  constexpr uint64_t kFlags = 7, kHeaderBytes = 16;
  const uint64_t size = *reinterpret_cast<const uint64_t*>(block - sizeof(uint64_t));
  return block - kHeaderBytes + (size & ~kFlags);
}

}  // namespace

Marker::Marker(PrivateMemory& memory, const BlockIndex& index, const MarkOptions& options) noexcept
    : memory_(memory),
      index_(index),
      options_(options),
      filter_(index.low(), index.span()),
      phase_(options.mode == MarkOptions::Mode::kExact ? Phase::kReach : Phase::kProve),
      stack_(memory) {}

Marker::~Marker() {
  if (state_ != nullptr) memory_.give_back(state_, std::max<uint64_t>(index_.count(), 1));
  if (leaks_memory_ != nullptr) memory_.give_back(leaks_memory_, leader_count_ * sizeof(Leak));
}

Outcome Marker::start() noexcept {
  state_ = static_cast<uint8_t*>(memory_.take(std::max<uint64_t>(index_.count(), 1)));
  if (state_ == nullptr) return Outcome::kNoMemory;
  if (options_.readable != nullptr) find_partly_readable();
  return Outcome::kDone;
}

void Marker::find_partly_readable() noexcept {
  uint64_t range = 0;
  for (uint32_t i = 0; i < index_.count(); ++i) {
    const Block& block = index_.block(i);
    while (range < options_.readable_count && options_.readable[range].end <= block.start()) ++range;
    const bool all = range < options_.readable_count && options_.readable[range].start <= block.start() &&
                     block.end() <= options_.readable[range].end;
    if (!all) state_[i] |= kPartlyReadable;
  }
}

// The first range that ends behind `address`.
uint64_t Marker::first_readable(uint64_t address) const noexcept {
  uint64_t low = 0, high = options_.readable_count;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (options_.readable[middle].end > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

bool Marker::is_readable(uint32_t block, uint64_t start, uint64_t bytes) const noexcept {
  if ((state_[block] & kPartlyReadable) == 0) return true;
  const uint64_t range = first_readable(start);
  return range < options_.readable_count && options_.readable[range].start <= start &&
         start + bytes <= options_.readable[range].end;
}

void Marker::add_roots(uint64_t start, uint64_t end) noexcept {
  if (phase_ == Phase::kProve) scan<true>(start, end, kFromReachable);
  else scan<false>(start, end, kFromReachable);
}

void Marker::add_root(uint64_t word) noexcept {
  const Word held = word;
  const unsigned before = found_.count;
  filter_.gather<false>(&held, &held + 1, kFromReachable, found_);
  if (found_.count > before) found_.place[before] = nullptr;
  if (found_.count >= FoundWords::kEnough) resolve();
}

void Marker::add_allocator_roots(uint64_t start, uint64_t end) noexcept {
  resolve();
  in_allocator_ = true;
  add_roots(start, end);
  resolve();
  in_allocator_ = false;
}

template <bool kPlaces>
void Marker::scan(uint64_t start, uint64_t end, uint64_t tag) noexcept {
  const auto* at = reinterpret_cast<const Word*>((start + sizeof(Word) - 1) & ~(sizeof(Word) - 1));
  const auto* last = reinterpret_cast<const Word*>(end & ~(sizeof(Word) - 1));
  while (at < last && !out_of_time_) {
    const Word* piece_end = std::min<uint64_t>(static_cast<uint64_t>(last - at), kPieceBytes / sizeof(Word)) + at;
    scanned_bytes_ += static_cast<uint64_t>(piece_end - at) * sizeof(Word);
    while (at < piece_end) {
      at = filter_.gather<kPlaces>(at, piece_end, tag, found_);
      if (found_.count >= FoundWords::kEnough) resolve();
    }
    if (at < last) check_clock();
  }
}

void Marker::scan_block(uint32_t number) noexcept {
  const Block& block = index_.block(number);
  state_[number] &= static_cast<uint8_t>(~kPending);
  const uint64_t tag = verdict(number) == Verdict::kReachable ? kFromReachable : 0;
  if ((state_[number] & kPartlyReadable) == 0) return scan<false>(block.start(), block.end(), tag);
  for (uint64_t i = first_readable(block.start());
       i < options_.readable_count && options_.readable[i].start < block.end(); ++i) {
    scan<false>(std::max(block.start(), options_.readable[i].start), std::min(block.end(), options_.readable[i].end),
                tag);
  }
}

void Marker::resolve() noexcept {
  const unsigned count = found_.count;
  for (unsigned i = 0; i < count; ++i) {
    entry_[i] = index_.entry(found_.word[i] & ~kFromReachable);
    __builtin_prefetch(entry_[i]);
  }
  for (unsigned i = 0; i < count; ++i) {
    const uint32_t guess = *entry_[i];
    if (guess == 0) continue;
    __builtin_prefetch(&index_.block(guess - 1));
    __builtin_prefetch(&state_[guess - 1]);
  }
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t word = found_.word[i] & ~kFromReachable;
    const uint32_t guess = *entry_[i];
    if (guess != 0) hit(index_.search(guess - 1, word), word, found_.word[i] & kFromReachable, found_.place[i]);
  }
  found_.count = 0;
  if (++work_since_clock_ >= kWorkPerLook) check_clock();
}

// `number` is the last block that starts at or before `word`.
void Marker::hit(uint32_t number, uint64_t word, uint64_t tag, const Word* place) noexcept {
  const Block& block = index_.block(number);
  const bool definite = tag != 0;
  if (word >= block.pointed_end()) return hit_end(number, word, false, definite, place);
  if (in_allocator_ && word == next_chunk(block.start())) return;
  const bool is_start = word == block.start();
  // It may as well be the end of an empty array before it, where the allocator leaves no gap: that may not be lost.
  if (is_start && number > 0 && may_change(number - 1)) hit_end(number - 1, word, true, false, place);
  touch(number, word, is_start, definite, place);
}

// Whether a pointer that does not make it reachable says something new about the block.
bool Marker::may_change(uint32_t number) const noexcept {
  return phase_ == Phase::kFollow ? verdict(number) == follow_from_ : verdict(number) == Verdict::kUnreached;
}

void Marker::hit_end(uint32_t number, uint64_t word, bool is_start_of_next, bool definite, const Word* place) noexcept {
  const Block& block = index_.block(number);
  if (word != block.end() || !is_readable(number, block.start(), block.size_bytes())) return;
  if (!is_empty_array(block, is_start_of_next)) return;
  touch(number, word, true, definite, place);
}

void Marker::touch(uint32_t number, uint64_t word, bool is_start, bool definite, const Word* place) noexcept {
  if (phase_ == Phase::kReach) return reach(number, word, is_start, definite);
  if (phase_ == Phase::kFollow) return follow(number);
  const Block& block = index_.block(number);
  const uint64_t from = reinterpret_cast<uint64_t>(place);
  const bool outside = from < block.start() || from >= block.end();
  if (outside && !is_list_of_allocator(block, word, place)) set(number, Verdict::kLive);
}

// In sampled mode freed memory is searched, too. Free chunks form lists, linked both ways, whose pointers lead to the
// last word of the block before a chunk, as said at add_allocator_roots. The neighbour in the list must point back.
bool Marker::is_list_of_allocator(const Block& block, uint64_t word, const Word* place) const noexcept {
  constexpr uint64_t kPageBytes = 4096, kForward = 16, kBack = 24;  // fd and bk in a chunk.
  if (!options_.glibc_heap || place == nullptr || word != next_chunk(block.start())) return false;
  if (word % kPageBytes + kBack + sizeof(Word) > kPageBytes) return false;  // Nobody knows whether it can be read.
  const uint64_t from = reinterpret_cast<uint64_t>(place);
  const Word* chunk = reinterpret_cast<const Word*>(word);
  return chunk[kBack / sizeof(Word)] == from - kForward || chunk[kForward / sizeof(Word)] == from - kBack;
}

void Marker::reach(uint32_t number, uint64_t word, bool is_start, bool definite) noexcept {
  const Verdict before = verdict(number);
  if (before == Verdict::kReachable || (before == Verdict::kPossible && !definite)) return;
  if (definite && !is_start && options_.heuristics != kNoHeuristic) {
    const Block& block = index_.block(number);
    const bool readable =
        is_readable(number, block.start(), std::min<uint64_t>(block.size_bytes(), 2 * sizeof(Word))) &&
        is_readable(number, word, std::min<uint64_t>(block.end() - word, sizeof(Word)));
    is_start = readable && start_by_heuristic(word, block, options_.heuristics, options_.files) != kNoHeuristic;
  }
  const Verdict now = definite && is_start ? Verdict::kReachable : Verdict::kPossible;
  if (now == before) return;
  set(number, now);
  push(number);
}

void Marker::follow(uint32_t number) noexcept {
  if (verdict(number) != follow_from_) return;
  set(number, follow_to_);
  ++indirect_blocks_;
  indirect_bytes_ += index_.block(number).size_bytes();
  push(number);
}

void Marker::push(uint32_t number) noexcept {
  if ((state_[number] & kPending) != 0) return;
  state_[number] |= kPending;
  if (stack_.push(number)) return;
  overflow_first_ = std::min(overflow_first_, number);
  overflow_last_ = std::max(overflow_last_, number);
}

// The stack is empty, so whatever is pending had no room on it. True: now there is something on it.
bool Marker::push_overflowed() noexcept {
  if (overflow_first_ == BlockIndex::kNone) return false;
  for (uint32_t i = overflow_first_; i <= overflow_last_; ++i) {
    if ((state_[i] & kPending) == 0 || stack_.push(i)) continue;
    overflow_first_ = i;
    return true;
  }
  overflow_first_ = BlockIndex::kNone;
  overflow_last_ = 0;
  return !stack_.empty();
}

void Marker::look_into_some() noexcept {
  uint32_t blocks[kBlocksAtOnce];
  unsigned count = 0;
  for (; count < kBlocksAtOnce && !stack_.empty(); ++count) {
    blocks[count] = stack_.pop();
    __builtin_prefetch(&index_.block(blocks[count]));
    __builtin_prefetch(&state_[blocks[count]]);
  }
  for (unsigned i = 0; i < count; ++i) {
    const char* memory = reinterpret_cast<const char*>(index_.block(blocks[i]).start());
    __builtin_prefetch(memory);
    __builtin_prefetch(memory + 64);
  }
  for (unsigned i = 0; i < count; ++i) scan_block(blocks[i]);
  resolve();
}

// False: out of time.
bool Marker::flood() noexcept {
  do {
    while (!stack_.empty() && !out_of_time_) look_into_some();
  } while (!out_of_time_ && push_overflowed());
  return !out_of_time_;
}

void Marker::check_clock() noexcept {
  work_since_clock_ = 0;
  out_of_time_ = out_of_time_ || options_.deadline.passed();
}

bool Marker::flood_from(uint32_t number, Verdict verdict) noexcept {
  set(number, verdict);
  indirect_blocks_ = 0;
  indirect_bytes_ = 0;
  push(number);
  return flood();
}

bool Marker::find_leaders() noexcept {
  phase_ = Phase::kFollow;
  follow_from_ = Verdict::kUnreached;
  follow_to_ = Verdict::kFollowed;
  for (uint32_t i = 0; i < index_.count(); ++i) {
    if (verdict(i) != Verdict::kUnreached) continue;
    state_[i] |= kLeader;
    ++leader_count_;
    if (!flood_from(i, Verdict::kFollowed)) return false;
  }
  return true;
}

bool Marker::find_definite() noexcept {
  follow_from_ = Verdict::kFollowed;
  follow_to_ = Verdict::kIndirect;
  if (leader_count_ > 0) leaks_memory_ = static_cast<Leak*>(memory_.take(leader_count_ * sizeof(Leak)));
  for (uint32_t i = index_.count(); i-- > 0;) {
    if ((state_[i] & kLeader) == 0 || verdict(i) != Verdict::kFollowed) continue;
    if (!flood_from(i, Verdict::kDefinite)) return false;
    note_leak(i);
  }
  return true;
}

// They come from the highest address down.
void Marker::note_leak(uint32_t block) noexcept {
  ++leak_count_;
  if (leaks_memory_ == nullptr) return;
  leaks_ = leaks_memory_ + leader_count_ - leak_count_;
  *leaks_ = Leak{block, indirect_blocks_, indirect_bytes_};
}

void Marker::prove() noexcept {
  for (uint32_t i = 0; i < index_.count(); ++i) {
    if (verdict(i) != Verdict::kLive) set(i, Verdict::kDefinite);
  }
}

Outcome Marker::finish() noexcept {
  resolve();
  check_clock();
  if (phase_ == Phase::kProve && !out_of_time_) prove();
  if (phase_ == Phase::kReach && !(flood() && find_leaders() && find_definite())) out_of_time_ = true;
  return out_of_time_ ? Outcome::kOutOfTime : Outcome::kDone;
}

}  // namespace seep::leak_scan
