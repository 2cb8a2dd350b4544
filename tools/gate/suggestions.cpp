// SPDX-License-Identifier: Apache-2.0
// Writing suppressions.
#include "gate/suggestions.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>

#include "gate/stack_pattern.h"
#include "gate/toml_file.h"
#include "leaks/fingerprint.h"
#include "text.h"

namespace seep {
namespace {

constexpr size_t kLeastFrames = 3;

// A name that would be read as a sign of the pattern's language, or has one in it, is matched by its other letters.
std::string pattern_of(const Frame& frame) {
  std::string name(frame.named ? std::string_view(frame.function) : module_base_name(frame.module));
  name = valid_utf8(name);
  if (name.empty()) return "*";
  if (name.starts_with('^') || name.starts_with('*')) name.front() = '*';
  if (name.ends_with('$') || name.ends_with('*')) name.back() = '*';
  return frame.named ? "^" + name + "$" : "/" + name + "$";
}

// The stack from the code that asked for the memory outwards, as far as `frames` reach: "^" and what they are.
std::vector<std::string> elements_of(const Stack& stack, size_t begin, size_t frames) {
  std::vector<std::string> elements = {"^"};
  const size_t end = std::min(begin + frames, stack.size());
  for (size_t index = begin; index < end; ++index) elements.push_back(pattern_of(*stack[index]));
  return elements;
}

// So many frames that no other site that counts matches.
std::vector<std::string> telling_elements(const GateVerdict& verdict, const Site& site) {
  const Stack stack = site.frames();
  const size_t own = stack.size() - site.runtime_frames - site.starting_frames;
  for (size_t frames = std::min(kLeastFrames, own); frames < own; ++frames) {
    StackPattern pattern(elements_of(stack, site.runtime_frames, frames));
    const bool alone = std::none_of(verdict.sites.begin(), verdict.sites.end(), [&](const SiteVerdict& other) {
      return other.site != &site && pattern.matches(*other.site);
    });
    if (alone) return elements_of(stack, site.runtime_frames, frames);
  }
  return elements_of(stack, site.runtime_frames, own);
}

uint64_t most(const Measure& measure) {
  const auto interval = measure.interval();
  return static_cast<uint64_t>(std::min(std::ceil(interval ? interval->high : measure.value()), 0x1p62));
}

void write_suppression(std::string& text, const SiteVerdict& judged, const std::vector<std::string>& elements) {
  std::string stack, kinds;
  for (const std::string& element : elements) stack += (stack.empty() ? "" : ", ") + toml_text(element);
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (judged.verdicts.has(verdict)) kinds += (kinds.empty() ? "\"" : ", \"") + std::string(word(verdict)) + "\"";
  }
  absl::StrAppendFormat(&text,
                        "[[suppress]]  # %s\nstack = [%s]\nkinds = [%s]\nmax_bytes = %d\nmax_blocks = %d\n"
                        "reason = \"\"  # why it is none, or who will mend it; expires = 2027-01-31 sets a date\n\n",
                        fingerprint_text(judged.site->fingerprint), stack, kinds, most(judged.amount.bytes),
                        most(judged.amount.blocks));
}

}  // namespace

std::string suggested_suppressions(const GateVerdict& verdict) {
  std::string text;
  for (const SiteVerdict& judged : verdict.sites) {
    if (judged.fails()) write_suppression(text, judged, telling_elements(verdict, *judged.site));
  }
  return text;
}

}  // namespace seep
