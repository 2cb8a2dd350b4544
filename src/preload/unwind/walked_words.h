// SPDX-License-Identifier: Apache-2.0
//
// The words of the stack that a walk went by, in the order in which it read them, each with where it stands: while they
// are the same, a walk from the same registers comes to the same trace (trace_cache.h). Only what led the walk is here:
// return addresses, and a caller's frame pointer where a frame is found by it. Runs inside the host.
#pragma once

#include <cstdint>

namespace seep {

struct WalkedWords {
  static constexpr unsigned kMost = 160;
  static constexpr uint64_t kMostOffset = 0xFFFF;  // In words: half a MiB.
  static constexpr unsigned kWordBits = 48;        // Of what leads a walk: addresses of code and stack.

  // Where the walk left seep's own frames: the caller's registers.
  uintptr_t pc, sp, frame_pointer;
  bool usable;         // Nothing else led the walk.
  bool goes_by_start;  // The frame pointer at the start did, too.
  uint32_t count;
  uint32_t largest_offset;
  uint16_t offset[kMost];  // From sp, in words.
  uint64_t value[kMost];

  // Where the frame pointer comes from that the next frame has: it counts as read when a frame is found by it.
  enum class Source : uint8_t { kStart, kWord, kCounted };
  Source source;
  uintptr_t source_address;
  uint64_t source_value;

  void start(uintptr_t start_pc, uintptr_t start_sp, uintptr_t start_frame_pointer) noexcept {
    pc = start_pc;
    sp = start_sp;
    frame_pointer = start_frame_pointer;
    usable = true;
    goes_by_start = false;
    count = largest_offset = 0;
    source = Source::kStart;
  }
  void add(uintptr_t address, uint64_t word) noexcept {
    const uint64_t at = (address - sp) / sizeof word;
    if (!usable || (address - sp) % sizeof word != 0 || at > kMostOffset || word >> kWordBits != 0 || count == kMost) {
      usable = false;
      return;
    }
    offset[count] = static_cast<uint16_t>(at);
    value[count++] = word;
    if (at > largest_offset) largest_offset = static_cast<uint32_t>(at);
  }
  void follow_frame_pointer() noexcept {
    if (source == Source::kStart) goes_by_start = true;
    if (source == Source::kWord) add(source_address, source_value);
    if (source == Source::kWord) source = Source::kCounted;
  }
  void restore_frame_pointer(uintptr_t address, uint64_t word) noexcept {
    source = Source::kWord;
    source_address = address;
    source_value = word;
  }
};

}  // namespace seep
