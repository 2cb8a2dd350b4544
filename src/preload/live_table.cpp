// SPDX-License-Identifier: Apache-2.0
//
// The table of live blocks; see live_table.h.
#include "preload/live_table.h"

namespace seep {
namespace {

constexpr unsigned kSizeBits = 43;
constexpr uint64_t kIgnored = uint64_t{1} << kSizeBits;
constexpr unsigned kShiftAt = kSizeBits + 1;
constexpr unsigned kShiftBits = 4;
constexpr unsigned kBirthUnitBits = 10;

uint64_t hash_address(uintptr_t address, unsigned choice) {
  // Multiplicative (Knuth 6.4): the high bits are good. Two odd constants, one a choice.
  return address * (choice == 0 ? 0x9E3779B97F4A7C15ull : 0xD6E8FEB86659FD93ull);
}

}  // namespace

LiveTable::Bucket& LiveTable::bucket(unsigned level, uintptr_t address, unsigned choice) const noexcept {
  Bucket* buckets = levels_[level].load(std::memory_order_acquire);
  return buckets[hash_address(address, choice) >> (64 - first_buckets_log2_ - level)];
}

void LiveTable::write(Value& value, const LiveEntry& entry) noexcept {
  const uint64_t largest = (uint64_t{1} << kSizeBits) - 1;
  const uint64_t size = entry.size_bytes < largest ? entry.size_bytes : largest;
  const uint64_t birth = entry.birth_ns >> kBirthUnitBits;
  const uint64_t ignored = entry.ignored ? kIgnored : 0;
  value.size_and_birth.store(
      size | ignored | uint64_t{entry.interval_shift} << kShiftAt | birth << (kShiftAt + kShiftBits),
      std::memory_order_relaxed);
  value.trace_and_birth.store(entry.trace | (birth >> 16) << 32, std::memory_order_relaxed);
}

LiveEntry LiveTable::read(const Value& value) noexcept {
  const uint64_t first = value.size_and_birth.load(std::memory_order_relaxed);
  const uint64_t second = value.trace_and_birth.load(std::memory_order_relaxed);
  const uint64_t birth = first >> (kShiftAt + kShiftBits) | (second >> 32) << 16;
  return {first & ((uint64_t{1} << kSizeBits) - 1), birth << kBirthUnitBits, static_cast<uint32_t>(second),
          static_cast<uint32_t>(first >> kShiftAt) & ((1u << kShiftBits) - 1), (first & kIgnored) != 0};
}

// Newest level first: it holds the most.
LiveTable::Slot LiveTable::find(uintptr_t address) const noexcept {
  for (unsigned level = level_count_.load(std::memory_order_acquire); level-- > 0;) {
    for (unsigned choice = 0; choice < 2; ++choice) {
      Bucket& place = bucket(level, address, choice);
      for (unsigned i = 0; i < kSlots; ++i) {
        if (place.key[i].load(std::memory_order_acquire) == address) return {&place, i};
      }
    }
  }
  return {};
}

LiveTable::Slot LiveTable::claim_in_level(unsigned level, uintptr_t address) noexcept {
  for (unsigned choice = 0; choice < 2; ++choice) {
    Bucket& place = bucket(level, address, choice);
    for (unsigned i = 0; i < kSlots; ++i) {
      uintptr_t empty = 0;
      if (place.key[i].load(std::memory_order_relaxed) == 0 &&
          place.key[i].compare_exchange_strong(empty, kReserved, std::memory_order_acquire)) {
        return {&place, i};
      }
    }
  }
  return {};
}

LiveTable::Slot LiveTable::claim(uintptr_t address) noexcept {
  for (;;) {
    const unsigned levels = level_count_.load(std::memory_order_acquire);
    for (unsigned level = levels; level-- > 0;) {
      const Slot slot = claim_in_level(level, address);
      if (slot.bucket != nullptr) return slot;
    }
    if (!add_level(levels)) return {};
  }
}

// True if there is a level beyond `seen` now, whoever added it.
bool LiveTable::add_level(unsigned seen) noexcept {
  if (seen >= kMaxLevels) return false;
  Bucket* there = levels_[seen].load(std::memory_order_acquire);
  if (there == nullptr) {
    const size_t bytes = bucket_count(seen) * sizeof(Bucket);
    void* memory = memory_.take(bytes);
    if (memory == nullptr) return level_count_.load(std::memory_order_acquire) > seen;
    if (!levels_[seen].compare_exchange_strong(there, static_cast<Bucket*>(memory), std::memory_order_acq_rel)) {
      memory_.give_back(memory, bytes);
    }
  }
  unsigned count = seen;  // Whoever comes first; the level itself is there in any case.
  level_count_.compare_exchange_strong(count, seen + 1, std::memory_order_acq_rel);
  return true;
}

bool LiveTable::insert_by_address(uintptr_t address, const LiveEntry& entry) noexcept {
  if (!uses_addresses_ || !AddressTable::fits(address, entry)) return false;
  const bool large = entry.size_bytes > AddressTable::kMostSmallBytes;
  AddressTable::Word* word = large ? by_address_.word_of(address) : by_address_.make_word(address);
  if (word == nullptr || word->load(std::memory_order_relaxed) > AddressTable::kFree) return false;
  if (large && (!by_address_.is_used_around(address) || by_address_.is_last_of_leaf(address) ||
                word[1].load(std::memory_order_relaxed) > AddressTable::kFree)) {
    return false;
  }
  if (!by_address_.is_noted(address)) by_address_.note(address);
  AddressTable::put(word, address, entry);
  return true;
}

LiveTable::Insert LiveTable::insert(uintptr_t address, const LiveEntry& entry, LiveEntry& old) noexcept {
  const bool replaced = remove(address, old);
  if (insert_by_address(address, entry)) return replaced ? Insert::kReplaced : Insert::kDone;
  const Slot slot = claim(address);
  if (slot.bucket == nullptr) return Insert::kNoRoom;
  write(slot.bucket->value[slot.index], entry);
  slot.bucket->key[slot.index].store(address, std::memory_order_release);
  return replaced ? Insert::kReplaced : Insert::kDone;
}

bool LiveTable::remove(uintptr_t address, LiveEntry& entry) noexcept {
  AddressTable::Word* word = by_address_.find(address);
  if (word != nullptr) {
    const uint64_t there = word->load(std::memory_order_acquire);
    entry = AddressTable::unpack(word, there);
    AddressTable::take(word, there);
    return true;
  }
  const Slot slot = find(address);
  if (slot.bucket == nullptr) return false;
  entry = read(slot.bucket->value[slot.index]);
  // Fails only where the program frees a block twice at once: one of the two frees is unknown then.
  return slot.bucket->key[slot.index].compare_exchange_strong(address, 0, std::memory_order_acq_rel);
}

uintptr_t LiveTable::find_block_around(uintptr_t address) const noexcept {
  uintptr_t found = 0;
  each([&](uintptr_t start, const LiveEntry& entry) {
    if (start <= address && address - start < entry.size_bytes) found = start;
  });
  return found;
}

// Of a small block that moves it out of the table by address, which has no room for it.
bool LiveTable::set_ignored(uintptr_t address) noexcept {
  if (address <= kReserved) return false;
  LiveEntry entry, old;
  if (by_address_.find(address) != nullptr && remove(address, entry)) {
    entry.ignored = true;
    return insert(address, entry, old) != Insert::kNoRoom;
  }
  Slot slot = find(address);
  if (slot.bucket == nullptr) {
    const uintptr_t around = find_block_around(address);
    if (around != 0 && around != address) return set_ignored(around);
  }
  if (slot.bucket == nullptr) return false;
  slot.bucket->value[slot.index].size_and_birth.fetch_or(kIgnored, std::memory_order_relaxed);
  return true;
}

bool LiveTable::look_up(uintptr_t address, LiveEntry& entry) const noexcept {
  if (const AddressTable::Word* word = by_address_.find(address)) {
    entry = AddressTable::unpack(word, word->load(std::memory_order_relaxed));
    return true;
  }
  const Slot slot = find(address);
  if (slot.bucket != nullptr) entry = read(slot.bucket->value[slot.index]);
  return slot.bucket != nullptr;
}

bool LiveTable::contains(uintptr_t address) const noexcept {
  return by_address_.find(address) != nullptr || find(address).bucket != nullptr;
}

}  // namespace seep
