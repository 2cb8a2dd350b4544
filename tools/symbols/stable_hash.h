// SPDX-License-Identifier: Apache-2.0
// FNV-1a with a final mix, written down here so that it never depends on a library: baselines hold what it makes, and
// changing anything invalidates them. Pure; any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace seep {

class StableHash {
 public:
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<uint8_t>(c));
  }

  // A hash of something, whose bits need no more mixing than that each reaches all of the next number's.
  void add(uint64_t hash) { state_ = std::rotl(state_ ^ hash, 29) * 0x9E3779B97F4A7C15; }

  // FNV's high bits know little of the last bytes; the mix spreads them.
  uint64_t value() const {
    uint64_t mixed = state_;
    mixed ^= mixed >> 33;
    mixed *= 0xFF51AFD7ED558CCD;
    mixed ^= mixed >> 33;
    mixed *= 0xC4CEB9FE1A85EC53;
    return mixed ^ (mixed >> 33);
  }

 private:
  void add_byte(uint8_t byte) { state_ = (state_ ^ byte) * 0x00000100000001B3; }

  uint64_t state_ = 0xCBF29CE484222325;
};

}  // namespace seep
