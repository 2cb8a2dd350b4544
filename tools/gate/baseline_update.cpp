// SPDX-License-Identifier: Apache-2.0
// The ratchet: what a baseline becomes. Without leave it only loses leaks, and figures only fall.
#include <algorithm>

#include "gate/verdict.h"

namespace seep {
namespace {

bool is_lower(const Change& change) { return change.interval ? change.interval->high < 0 : change.value < 0; }

bool is_sampled(const BlocksAndBytes& amount) { return amount.bytes.sampled || amount.blocks.sampled; }

// Exact figures fall each for itself. Estimates fall together, and only if it is sure: the lowest of many would be low
// by chance.
BlocksAndBytes lowered(const BlocksAndBytes& before, const BlocksAndBytes& now, double confidence) {
  const Change bytes = change_between(before.bytes, now.bytes, confidence);
  const Change blocks = change_between(before.blocks, now.blocks, confidence);
  if (is_sampled(before) || is_sampled(now)) return is_lower(bytes) || is_lower(blocks) ? now : before;
  return {is_lower(blocks) ? now.blocks : before.blocks, is_lower(bytes) ? now.bytes : before.bytes};
}

// A leak of which a sampled run has no sample may be there all the same.
bool is_surely_gone(const KnownLeak& leak, bool sampled, double confidence) {
  if (!sampled) return true;
  if (!is_sampled(leak.amount)) return false;
  const Measure none{.unseen_weight = unseen_weight(leak.amount.bytes), .sampled = true};
  return is_lower(change_between(leak.amount.bytes, none, confidence));
}

KnownLeak known_leak(const SiteVerdict& judged, const BlocksAndBytes& amount) {
  return {.fingerprint = judged.site->fingerprint,
          .amount = amount,
          .stack = telling_names(*judged.site),
          .note = judged.known == nullptr ? "" : judged.known->note};
}

bool is_the_baselines(Standing standing) {
  return standing != Standing::kSuppressed && standing != Standing::kBudgeted;
}

void update_leak(const SiteVerdict& judged, bool accept, double confidence, Baseline& baseline) {
  if (!is_the_baselines(judged.standing)) return;
  if (accept) {
    baseline.leaks.push_back(known_leak(judged, judged.amount));
  } else if (judged.known != nullptr) {
    baseline.leaks.push_back(known_leak(judged, lowered(judged.known->amount, judged.amount, confidence)));
  }
}

BlocksAndBytes lowered_allocations(const AllocationBudgetUse& use, double confidence) {
  // Of another number of calls: figures are not of the same.
  if (use.before->calls != use.budget->calls) return use.amount;
  return lowered(use.before->amount, use.amount, confidence);
}

}  // namespace

Baseline updated_baseline(const GateVerdict& verdict, const Policy& policy, const Baseline* old, bool accept,
                          bool sampled) {
  Baseline baseline{.fail = policy.fail, .sampled = sampled && (old == nullptr || old->sampled)};
  const bool take_all = accept || old == nullptr;
  for (const SiteVerdict& judged : verdict.sites) update_leak(judged, take_all, verdict.confidence, baseline);
  for (const KnownLeak* leak : verdict.gone) {
    if (!is_surely_gone(*leak, sampled, verdict.confidence)) baseline.leaks.push_back(*leak);
  }
  for (const AllocationBudgetUse& use : verdict.allocation_budgets) {
    const bool as_now = take_all || use.before == nullptr;
    baseline.allocations.push_back({.function = use.budget->function->text(),
                                    .calls = use.budget->calls,
                                    .amount = as_now ? use.amount : lowered_allocations(use, verdict.confidence)});
  }
  return baseline;
}

}  // namespace seep
