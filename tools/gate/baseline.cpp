// SPDX-License-Identifier: Apache-2.0
// Finding known leaks again.
#include "gate/baseline.h"

#include <algorithm>

#include "leaks/fingerprint.h"
#include "symbols/frame.h"
#include "text.h"

namespace seep {
namespace {

bool contains_in_order(const std::vector<std::string>& longer, const std::vector<std::string>& shorter) {
  auto at = longer.begin();
  for (const std::string& name : shorter) {
    at = std::find(at, longer.end(), name);
    if (at == longer.end()) return false;
    ++at;
  }
  return true;
}

// Where frames may have been left out. That the function that allocates is the same, or the figures are, keeps a new
// leak from being taken for an old one that is gone.
bool are_alike(const KnownLeak& known, const std::vector<std::string>& stack, const BlocksAndBytes& amount) {
  if (known.stack.empty() || stack.empty()) return false;
  const bool same_amount =
      known.amount.bytes.value() == amount.bytes.value() && known.amount.blocks.value() == amount.blocks.value();
  if (known.stack.front() != stack.front() && !same_amount) return false;
  return known.stack.size() > stack.size() ? contains_in_order(known.stack, stack)
                                           : contains_in_order(stack, known.stack);
}

}  // namespace

std::vector<std::string> telling_names(const ShownStack& stack) {
  std::vector<std::string> names;
  for (const Frame* frame : telling_frames(stack.frames())) {
    names.push_back(valid_utf8(frame->named ? std::string_view(frame->function) : module_base_name(frame->module)));
  }
  return names;
}

KnownLeaks::KnownLeaks(const Baseline& baseline) {
  for (const KnownLeak& leak : baseline.leaks) entries_.push_back({&leak});
}

void KnownLeaks::reserve(uint64_t fingerprint) {
  for (Entry& entry : entries_) entry.reserved |= entry.leak->fingerprint == fingerprint;
}

const KnownLeak* KnownLeaks::find(const ShownStack& stack, const BlocksAndBytes& amount) {
  for (Entry& entry : entries_) {
    if (entry.leak->fingerprint != stack.fingerprint) continue;
    entry.found = true;
    return entry.leak;
  }
  return find_alike(stack, amount);
}

const KnownLeak* KnownLeaks::find_alike(const ShownStack& stack, const BlocksAndBytes& amount) {
  const std::vector<std::string> names = telling_names(stack);
  Entry* best = nullptr;
  for (Entry& entry : entries_) {
    if (entry.reserved || entry.found || !are_alike(*entry.leak, names, amount)) continue;
    if (best == nullptr || entry.leak->stack.size() > best->leak->stack.size()) best = &entry;
  }
  if (best == nullptr) return nullptr;
  best->found = true;
  return best->leak;
}

std::vector<const KnownLeak*> KnownLeaks::gone() const {
  std::vector<const KnownLeak*> gone;
  for (const Entry& entry : entries_) {
    if (!entry.found) gone.push_back(entry.leak);
  }
  return gone;
}

}  // namespace seep
