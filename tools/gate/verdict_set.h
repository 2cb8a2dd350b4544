// SPDX-License-Identifier: Apache-2.0
// Some of the verdicts that blocks may have. Plain value.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "leaks/judgement.h"

namespace seep {

constexpr Verdict kVerdictsFromWorst[] = {Verdict::kDefinite, Verdict::kIndirect, Verdict::kPossible,
                                          Verdict::kReachable, Verdict::kLive};

std::optional<Verdict> verdict_of(std::string_view word);

class VerdictSet {
 public:
  constexpr VerdictSet() = default;
  constexpr VerdictSet(std::initializer_list<Verdict> verdicts) {
    for (const Verdict verdict : verdicts) add(verdict);
  }
  static constexpr VerdictSet all() {
    return {Verdict::kDefinite, Verdict::kIndirect, Verdict::kPossible, Verdict::kReachable, Verdict::kLive};
  }

  constexpr void add(Verdict verdict) { bits_ |= bit(verdict); }
  constexpr void add(VerdictSet other) { bits_ |= other.bits_; }
  constexpr bool has(Verdict verdict) const { return (bits_ & bit(verdict)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr VerdictSet without(VerdictSet other) const { return VerdictSet(bits_ & ~other.bits_); }
  constexpr VerdictSet in(VerdictSet other) const { return VerdictSet(bits_ & other.bits_); }
  constexpr bool operator==(const VerdictSet&) const = default;

  // "definite, possible", from the worst.
  std::string text() const;

 private:
  constexpr explicit VerdictSet(unsigned bits) : bits_(bits) {}
  static constexpr unsigned bit(Verdict verdict) { return 1U << static_cast<unsigned>(verdict); }

  unsigned bits_ = 0;
};

}  // namespace seep
