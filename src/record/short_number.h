// SPDX-License-Identifier: Apache-2.0
//
// Estimates in few bytes: a number that is not negative, rounded to so many binary digits, as an integer that is a
// short varint. With 2^e <= value < 2^(e+1) it is
//
//     1 + (e + 32) * 2^digits + (value / 2^e - 1) * 2^digits          and 0 for what is below 2^-32
//
// so it is in the order of the values, as are the bits of a float. 14 digits take 3 bytes up to 2^95, 7 digits 2 bytes.
// Both sides; no state.
#pragma once

#include <bit>
#include <cstdint>

namespace seep {

inline constexpr unsigned kEstimateDigits = 14;  // Off by at most 2^-15 of it,
inline constexpr unsigned kVarianceDigits = 7;   // and by at most 2^-7, above.
inline constexpr int kLeastExponent = -32;

enum class Round { kNearest, kUp };

// `value` is finite and not negative.
constexpr uint32_t short_number(double value, unsigned digits, Round round) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const unsigned dropped = 52 - digits;
  // The bits behind the sign are in the order of the values: rounding carries into the exponent by itself.
  const uint64_t half = round == Round::kUp ? (uint64_t{1} << dropped) - 1 : uint64_t{1} << (dropped - 1);
  const uint64_t kept = (bits + half) >> dropped;
  const uint64_t least = static_cast<uint64_t>(1023 + kLeastExponent) << digits;
  return kept < least ? 0 : static_cast<uint32_t>(kept - least + 1);
}

// Of any integer; infinite where it is none that short_number() gives.
constexpr double value_of_short_number(uint32_t number, unsigned digits) {
  if (number == 0) return 0;
  const uint64_t kept = uint64_t{number} - 1 + (static_cast<uint64_t>(1023 + kLeastExponent) << digits);
  const uint64_t infinite = uint64_t{2047} << digits;
  return std::bit_cast<double>((kept < infinite ? kept : infinite) << (52 - digits));
}

}  // namespace seep
