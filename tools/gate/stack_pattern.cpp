// SPDX-License-Identifier: Apache-2.0
// Taking patterns apart, and matching stacks.
#include "gate/stack_pattern.h"

#include "sequence_match.h"
#include "symbols/demangle.h"

namespace seep {
namespace {

constexpr char kAny[] = "...";
constexpr char kInnermost[] = "^";
constexpr char kOutermost[] = "$";

bool is_anchor(const std::string& element) { return element == kInnermost || element == kOutermost; }

}  // namespace

std::optional<std::string> StackPattern::problem(const std::vector<std::string>& elements) {
  bool names = false;
  for (size_t index = 0; index < elements.size(); ++index) {
    const std::string& element = elements[index];
    if (element.empty()) return "has an empty name in it, which would match everything";
    if (element == kInnermost && index != 0) return "has \"^\" elsewhere than before its first name";
    if (element == kOutermost && index + 1 != elements.size()) return "has \"$\" elsewhere than behind its last name";
    names |= element != kAny && !is_anchor(element);
  }
  if (!names) return "names no frame, and would match everything";
  return std::nullopt;
}

StackPattern::StackPattern(const std::vector<std::string>& elements) {
  const auto add_any = [this] { elements_.push_back({.any = true, .pattern = NamePattern("")}); };
  if (elements.front() != kInnermost) add_any();
  for (const std::string& element : elements) {
    text_ += (text_.empty() ? "" : " < ") + element;
    if (is_anchor(element)) continue;
    if (element == kAny) {
      add_any();
    } else {
      elements_.push_back({.pattern = NamePattern(element)});
    }
  }
  if (elements.back() != kOutermost) add_any();
}

bool StackPattern::Element::matches(const Frame& frame) {
  const auto [entry, is_new] = known.try_emplace(&frame, false);
  if (is_new) {
    entry->second = pattern.matches_frame(frame) || (frame.named && pattern.matches(qualified_name(frame.function)));
  }
  return entry->second;
}

bool StackPattern::matches(const ShownStack& shown) {
  const Stack stack = shown.frames();
  const bool tied_inside = !elements_.front().any;
  const bool tied_outside = !elements_.back().any;
  const size_t own_end = stack.size() - shown.starting_frames;
  for (const size_t begin : {size_t{0}, shown.runtime_frames}) {
    for (const size_t end : {stack.size(), own_end}) {
      if (matches(stack, begin, end)) return true;
      if (!tied_outside) break;
    }
    if (!tied_inside) break;
  }
  return false;
}

bool StackPattern::matches(const Stack& stack, size_t begin, size_t end) {
  return matches_sequence(elements_, end - begin,
                          [&](Element& element, size_t index) { return element.matches(*stack[begin + index]); });
}

}  // namespace seep
