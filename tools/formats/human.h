// SPDX-License-Identifier: Apache-2.0
// Numbers, times, names and paths as people read them. Pure, but for the working directory that paths are shown
// relative to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "leaks/estimate.h"
#include "text.h"

namespace seep {

// To the nearest whole number that the type holds: an estimate is a double, and may be larger. Nothing becomes 0 but
// what rounds to it, is negative without a sign to hold it, or is no number.
uint64_t whole_count(double value);
int64_t whole_change(double value);

std::string human_count(uint64_t count);                    // "1,234,567"
std::string human_count(uint64_t count, const char* noun);  // "1 site", "2,345 sites", "2 processes".
std::string human_bytes(double bytes);                      // "11.8 MiB"
std::string human_duration(uint64_t duration_ns);           // "0.25 s", "41 s", "3 min 20 s"
std::string human_share(double part, double whole);         // "68.2 %"

// Exact: "12,345 bytes (12.1 KiB)" or "12,345 blocks"; sampled: "about 11.8 MiB (95 %: 10.2 MiB to 13.6 MiB)".
std::string described_bytes(const Measure& bytes);
std::string described_blocks(const Measure& blocks);
std::string described(const BlocksAndBytes& sum);  // "1,000 bytes in 10 blocks"

// With their sign. Exact: "+118 MiB", "-3 blocks"; sampled: "about +118 MiB (95 %: +102 MiB to +136 MiB)".
std::string described_growth_of_bytes(const Change& bytes);
std::string described_growth_of_blocks(const Change& blocks);

// At most about `width` columns: parameters go first, then template arguments, then the middle.
std::string shortened_function(const std::string& function, size_t width);

// Relative to the working directory where the file is below it; else the end of the path.
std::string shortened_path(const std::string& path, size_t width);

// How many columns a UTF-8 text takes, as far as code points tell.
size_t columns(std::string_view text);
std::string padded(std::string text, size_t width);         // Spaces behind.
std::string right_aligned(std::string text, size_t width);  // Spaces in front.

// As a shell would need it to be typed.
std::string shell_quoted(const std::string& word);

}  // namespace seep
