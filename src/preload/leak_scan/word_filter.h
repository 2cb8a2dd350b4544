// SPDX-License-Identifier: Apache-2.0
//
// Which words of a piece of memory may be pointers into the heap. Most are not, so eight at a time are looked at by
// their high halves alone (two vector instructions for two words, on the oldest x86-64, too); where none of the eight
// is near the heap, that was all.
//
// Runs inside the host while its other threads stand still, or in a copy of it. Reads the program's memory as it is.
#pragma once

#include <bit>
#include <cstdint>

namespace seep::leak_scan {

static_assert(std::endian::native == std::endian::little, "the high half of a word is its second lane");

using Word = uint64_t __attribute__((may_alias));

// Room for words that were found, in the order of their places. It must take kSlack more than are asked for.
struct FoundWords {
  static constexpr unsigned kEnough = 64;  // What is asked for ahead, for so many, fits the first-level cache.
  static constexpr unsigned kSlack = 8;
  uint64_t word[kEnough + kSlack];
  const Word* place[kEnough + kSlack];  // Where it stood; not filled by gather<false>.
  unsigned count = 0;
};

class WordFilter {
 public:
  // Words in [low, low + span) pass.
  WordFilter(uint64_t low, uint64_t span) noexcept : low_(low), span_(span) {
    const auto first = static_cast<uint32_t>(low >> 32);
    const auto last = static_cast<uint32_t>((low + (span == 0 ? 0 : span - 1)) >> 32);
    // Shifted so that a signed comparison, the only one that the processor has, orders them as they are; and such that
    // no low half is less than its limit.
    subtract_ = Halves{0, first + kSign, 0, first + kSign};
    limit_ = SignedHalves{kLeast, as_signed(last - first + 1 + kSign), kLeast, as_signed(last - first + 1 + kSign)};
  }

  // Adds the words of [at, end) that pass, with `tag` in their unused bits, until there are kEnough or more; returns
  // where it stopped.
  template <bool kPlaces>
  __attribute__((no_sanitize("address"))) const Word* gather(const Word* at, const Word* end, uint64_t tag,
                                                             FoundWords& found) const noexcept {
    unsigned count = found.count;
    while (end - at >= 8 && count < FoundWords::kEnough) {
      if (__builtin_expect(any_near(at), false)) {
        for (unsigned i = 0; i < 8; ++i) add<kPlaces>(at + i, tag, found, count);
      }
      at += 8;
    }
    while (at < end && count < FoundWords::kEnough) add<kPlaces>(at++, tag, found, count);
    found.count = count;
    return at;
  }

 private:
  using Halves = uint32_t __attribute__((vector_size(16)));
  using SignedHalves = int32_t __attribute__((vector_size(16)));
  using Pair = uint64_t __attribute__((vector_size(16)));
  // Aligned as words are. (Of a vector type alone clang takes no smaller alignment.)
  struct __attribute__((packed, aligned(8), may_alias)) LoadedHalves {
    Halves value;
  };
  static constexpr uint32_t kSign = uint32_t{1} << 31;
  static constexpr int32_t kLeast = INT32_MIN;

  static int32_t as_signed(uint32_t value) noexcept { return std::bit_cast<int32_t>(value); }

  [[nodiscard]] SignedHalves near(const LoadedHalves* words) const noexcept {
    return std::bit_cast<SignedHalves>(words->value - subtract_) < limit_;
  }

  __attribute__((no_sanitize("address"), always_inline)) bool any_near(const Word* at) const noexcept {
    const auto* halves = reinterpret_cast<const LoadedHalves*>(at);
    const Pair any = std::bit_cast<Pair>((near(halves) | near(halves + 1)) | (near(halves + 2) | near(halves + 3)));
    return (any[0] | any[1]) != 0;
  }

  // Without a branch: in memory full of pointers nothing foretells which.
  template <bool kPlaces>
  __attribute__((no_sanitize("address"), always_inline)) void add(const Word* at, uint64_t tag, FoundWords& found,
                                                                  unsigned& count) const noexcept {
    const uint64_t word = *at;
    found.word[count] = word | tag;
    if constexpr (kPlaces) found.place[count] = at;
    count += word - low_ < span_ ? 1 : 0;
  }

  uint64_t low_;
  uint64_t span_;
  Halves subtract_;
  SignedHalves limit_;
};

}  // namespace seep::leak_scan
