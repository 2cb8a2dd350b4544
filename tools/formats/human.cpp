// SPDX-License-Identifier: Apache-2.0
// Writing numbers, times, names and paths.
#include "formats/human.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "symbols/demangle.h"

namespace seep {
namespace {

std::string three_digits(double value) {
  if (value >= 99.95) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.*f", value >= 9.995 ? 1 : 2, value);
}

// "f<int>(char, long) const" -> "f<int>(...)"; empty where there are no parameters.
std::string with_parameters_elided(const std::string& function) {
  const size_t end = function.rfind(')');
  const bool at_end = end != std::string::npos && function.find('>', end) == std::string::npos;
  if (!at_end) return {};
  int depth = 0;
  for (size_t at = end + 1; at > 0; --at) {
    if (function[at - 1] == ')') ++depth;
    if (function[at - 1] == '(' && --depth == 0) return function.substr(0, at - 1) + "(...)";
  }
  return {};
}

const char* sign_of(double value) { return value < 0 ? "-" : "+"; }

std::string signed_bytes(double bytes) { return sign_of(bytes) + human_bytes(std::abs(bytes)); }

std::string signed_count(double count) {
  const double rounded = std::round(count);
  return sign_of(rounded) + human_count(whole_count(std::abs(rounded)));
}

}  // namespace

uint64_t whole_count(double value) {
  if (!(value > 0)) return 0;
  return value < 0x1p64 ? static_cast<uint64_t>(std::round(value)) : std::numeric_limits<uint64_t>::max();
}

int64_t whole_change(double value) {
  if (std::isnan(value)) return 0;
  if (std::abs(value) < 0x1p63) return static_cast<int64_t>(std::round(value));
  return value < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

std::string human_count(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string human_count(uint64_t count, const char* noun) {
  const std::string text = human_count(count) + " " + noun;
  return count == 1 ? text : text + (text.ends_with('s') ? "es" : "s");
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  // 1023.6 KiB would be written as 1024 KiB.
  while (bytes >= (unit == 0 ? 1024 : 1023.5) && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return (unit == 0 ? absl::StrFormat("%.0f", bytes) : three_digits(bytes)) + " " + kUnits[unit];
}

std::string human_duration(uint64_t duration_ns) {
  const double seconds = static_cast<double>(duration_ns) * 1e-9;
  if (seconds < 0.0995) return absl::StrFormat("%.0f ms", seconds * 1e3);
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<uint64_t>(std::llround(seconds));
  if (whole < 120) return absl::StrFormat("%d s", whole);
  if (whole < 7200) return absl::StrFormat("%d min %d s", whole / 60, whole % 60);
  const uint64_t minutes = whole / 60;
  if (minutes < 48 * 60) return absl::StrFormat("%d h %d min", minutes / 60, minutes % 60);
  return absl::StrFormat("%d d %d h", minutes / 1440, minutes % 1440 / 60);
}

std::string human_share(double part, double whole) {
  return whole <= 0 ? "" : absl::StrFormat("%.1f %%", 100 * part / whole);
}

std::string described_bytes(const Measure& bytes) {
  const auto interval = bytes.interval();
  if (!interval) {
    const std::string text = human_count(whole_count(bytes.value()), "byte");
    return bytes.value() < 1024 ? text : text + " (" + human_bytes(bytes.value()) + ")";
  }
  const std::string value = human_bytes(bytes.value());
  const std::string low = human_bytes(interval->low);
  const std::string high = human_bytes(interval->high);
  // Blocks that are so large that each of them is sampled.
  if (low == value && high == value) return value;
  return absl::StrFormat("about %s (95 %%: %s to %s)", value, low, high);
}

std::string described_blocks(const Measure& blocks) {
  const auto interval = blocks.interval();
  const std::string value = human_count(whole_count(blocks.value()), "block");
  if (!interval) return value;
  const uint64_t low = whole_count(std::floor(interval->low));
  const uint64_t high = whole_count(std::ceil(interval->high));
  if (low == high) return value;
  return absl::StrFormat("about %s (%s to %s)", value, human_count(low), human_count(high));
}

std::string described(const BlocksAndBytes& sum) {
  return described_bytes(sum.bytes) + " in " + described_blocks(sum.blocks);
}

std::string described_growth_of_bytes(const Change& bytes) {
  const std::string value = signed_bytes(bytes.value);
  if (!bytes.interval) return value;
  const std::string low = signed_bytes(bytes.interval->low);
  const std::string high = signed_bytes(bytes.interval->high);
  if (low == value && high == value) return value;
  return absl::StrFormat("about %s (95 %%: %s to %s)", value, low, high);
}

std::string described_growth_of_blocks(const Change& blocks) {
  const std::string value =
      signed_count(blocks.value) + (std::abs(std::round(blocks.value)) == 1 ? " block" : " blocks");
  if (!blocks.interval) return value;
  const std::string low = signed_count(std::floor(blocks.interval->low));
  const std::string high = signed_count(std::ceil(blocks.interval->high));
  if (low == high) return value;
  return absl::StrFormat("about %s (95 %%: %s to %s)", value, low, high);
}

std::string shortened_function(const std::string& function, size_t width) {
  std::string name = printable(function);
  if (columns(name) <= width) return name;
  const std::string plain = qualified_name(name);
  const std::string without_parameters = with_parameters_elided(name);
  if (!without_parameters.empty() && columns(without_parameters) <= width) return without_parameters;
  if (!plain.empty() && columns(plain) <= width) return plain;
  const std::string& longest = plain.empty() ? name : plain;
  const size_t half = (width - 3) / 2;
  return longest.substr(0, half) + "..." + longest.substr(longest.size() - half);
}

std::string shortened_path(const std::string& path, size_t width) {
  std::error_code failed;
  const std::string here = std::filesystem::current_path(failed).string() + "/";
  std::string shown = printable(path);
  if (!failed && here != "//" && shown.starts_with(here)) shown = shown.substr(here.size());
  if (columns(shown) <= width) return shown;
  // Whole components from the end, as many as fit.
  size_t start = shown.size();
  while (start > 0) {
    const size_t slash = shown.rfind('/', start - 1);
    if (slash == std::string::npos || shown.size() - slash + 3 > width) break;
    start = slash;
  }
  if (start == shown.size()) start = shown.rfind('/');
  return start == std::string::npos ? shown : "..." + shown.substr(start);
}

size_t columns(std::string_view text) {
  const auto starts_code_point = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_code_point));
}

std::string padded(std::string text, size_t width) {
  text.append(width - std::min(width, columns(text)), ' ');
  return text;
}

std::string right_aligned(std::string text, size_t width) {
  return std::string(width - std::min(width, columns(text)), ' ') + text;
}

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@%+";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

}  // namespace seep
