// SPDX-License-Identifier: Apache-2.0
// Judging: counting, matching rules, comparing.
#include "gate/verdict.h"

#include <algorithm>
#include <optional>

namespace seep {
namespace {

// What of a site counts by verdicts. What hangs from definite blocks is theirs, unless indirect blocks count where they
// are from: no block counts twice.
BlocksAndBytes amount_of(const Site& site, VerdictSet verdicts, VerdictSet fail) {
  if (verdicts.has(Verdict::kLive)) return site.activity.live;
  BlocksAndBytes amount;
  if (verdicts.has(Verdict::kDefinite)) amount += fail.has(Verdict::kIndirect) ? site.leaked_roots : site.leaked;
  if (verdicts.has(Verdict::kIndirect)) amount += site.judgement.indirect;
  if (verdicts.has(Verdict::kPossible)) amount += site.judgement.possible;
  if (verdicts.has(Verdict::kReachable)) amount += site.judgement.reachable;
  return amount;
}

bool is_any(const BlocksAndBytes& amount) { return amount.blocks.value() > 0; }

// Those of which the site has blocks.
VerdictSet verdicts_that_count(const Site& site, VerdictSet fail) {
  if (fail.has(Verdict::kLive)) return is_any(site.activity.live) ? VerdictSet{Verdict::kLive} : VerdictSet{};
  VerdictSet counting;
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (fail.has(verdict) && is_any(amount_of(site, {verdict}, fail))) counting.add(verdict);
  }
  return counting;
}

// Surely more than the limit, which is of each of `calls`.
bool exceeds(const Measure& measure, const std::optional<uint64_t>& limit, double confidence, uint64_t calls = 1) {
  if (!limit) return false;
  const auto interval = measure.interval(confidence);
  return (interval ? interval->low : measure.value()) > static_cast<double>(*limit) * static_cast<double>(calls);
}

bool exceeds(const BlocksAndBytes& amount, const Limits& limits, double confidence, uint64_t calls = 1) {
  return exceeds(amount.bytes, limits.bytes, confidence, calls) ||
         exceeds(amount.blocks, limits.blocks, confidence, calls);
}

bool has_grown(const Change& change) { return change.interval ? change.interval->low > 0 : change.value > 0; }

size_t count(const Limits& limits) { return (limits.bytes ? 1U : 0U) + (limits.blocks ? 1U : 0U); }

template <typename Use>
void add_site(Use& use, const Site& site, const BlocksAndBytes& amount) {
  if (use.largest == nullptr) use.largest = &site;  // They come ranked.
  ++use.sites;
  use.amount += amount;
}

class Judge {
 public:
  Judge(const Profile& profile, const Policy& policy, const Baseline* baseline, std::chrono::sys_days today)
      : profile_(profile), policy_(policy), baseline_(baseline), today_(today) {
    if (baseline != nullptr) known_.emplace(*baseline);
  }

  GateVerdict judge(const std::vector<Error>& problems) {
    verdict_.obstacles = obstacles_in(profile_, problems, policy_);
    verdict_.has_baseline = baseline_ != nullptr;
    verdict_.strict = policy_.strict;
    for (const Suppression& rule : policy_.suppressions) verdict_.suppressions.push_back({.rule = &rule});
    for (const SiteBudget& budget : policy_.site_budgets) verdict_.site_budgets.push_back({.budget = &budget});
    count_sites();
    count_allocations();
    verdict_.confidence = confidence_of_each();
    compare_with_baseline();
    check_limits();
    find_unused();
    rank();
    verdict_.outcome = outcome();
    return std::move(verdict_);
  }

 private:
  // Suppressions and site budgets; what they leave is kLeak for the time being.
  void count_sites() {
    for (const Site& site : profile_.sites) {
      VerdictSet counting = verdicts_that_count(site, policy_.fail);
      if (counting.empty()) continue;
      const VerdictSet all = counting;
      for (SuppressionUse& use : verdict_.suppressions) suppress(use, site, counting);
      if (counting.empty()) {
        verdict_.sites.push_back({&site, Standing::kSuppressed, all, amount_of(site, all, policy_.fail)});
        continue;
      }
      SiteVerdict judged{&site, Standing::kLeak, counting, amount_of(site, counting, policy_.fail)};
      if (spend_budget(site, judged.amount)) judged.standing = Standing::kBudgeted;
      verdict_.sites.push_back(judged);
    }
  }

  void suppress(SuppressionUse& use, const Site& site, VerdictSet& counting) {
    const VerdictSet covered = counting.in(use.rule->kinds.has(Verdict::kLive) ? VerdictSet::all() : use.rule->kinds);
    if (covered.empty() || !use.rule->matches(site)) return;
    if (use.rule->expires && *use.rule->expires < today_) {
      use.expired = true;
      return;
    }
    add_site(use, site, amount_of(site, covered, policy_.fail));
    counting = counting.without(covered);
  }

  bool spend_budget(const Site& site, const BlocksAndBytes& amount) {
    for (SiteBudgetUse& use : verdict_.site_budgets) {
      if (!use.budget->pattern->matches(site)) continue;
      add_site(use, site, amount);
      return true;
    }
    return false;
  }

  void count_allocations() {
    for (const AllocationBudget& budget : policy_.allocation_budgets) {
      AllocationBudgetUse use{.budget = &budget};
      for (const Site& site : profile_.sites) {
        if (budget.function->matches(site)) add_site(use, site, site.activity.alloc);
      }
      if (baseline_ != nullptr) {
        for (const KnownAllocations& before : baseline_->allocations) {
          if (before.function == budget.function->text()) use.before = &before;
        }
      }
      verdict_.allocation_budgets.push_back(use);
    }
  }

  // Only what is told from samples can be wrong by chance. Without a baseline a leak is not: its samples are leaked.
  double confidence_of_each() const {
    size_t comparisons = 0;
    const bool sampled_before = baseline_ != nullptr && baseline_->sampled;
    if (!profile_.sampled && !sampled_before) return policy_.confidence;
    if (baseline_ != nullptr) comparisons += 2 * (verdict_.sites.size() + baseline_->leaks.size());
    comparisons += count(policy_.leaks);
    for (const Suppression& rule : policy_.suppressions) comparisons += count(rule.most);
    for (const SiteBudget& budget : policy_.site_budgets) comparisons += count(budget.most);
    for (const AllocationBudget& budget : policy_.allocation_budgets) comparisons += count(budget.most);
    return 1 - (1 - policy_.confidence) / static_cast<double>(std::max<size_t>(comparisons, 1));
  }

  void compare_with_baseline() {
    if (!known_) return;
    const auto needs_it = [](const SiteVerdict& judged) { return judged.standing == Standing::kLeak; };
    // Also those that something else accounts for are there, so that nothing else is taken for them.
    for (const SiteVerdict& judged : verdict_.sites) known_->reserve(judged.site->fingerprint);
    for (SiteVerdict& judged : verdict_.sites) {
      const KnownLeak* known = known_->find(*judged.site, judged.amount);
      if (!needs_it(judged)) continue;
      if (known == nullptr && !baseline_->sampled) continue;
      judged.known = known;
      judged.before = known == nullptr ? not_seen(judged.amount) : known->amount;
      judged.bytes = change_between(judged.before.bytes, judged.amount.bytes, verdict_.confidence);
      judged.blocks = change_between(judged.before.blocks, judged.amount.blocks, verdict_.confidence);
      const bool grown = has_grown(judged.bytes) || has_grown(judged.blocks);
      if (known == nullptr) {
        judged.standing = grown ? Standing::kLeak : Standing::kNotProved;
      } else {
        judged.standing = grown ? Standing::kGrown : Standing::kKnown;
      }
    }
    verdict_.gone = known_->gone();
  }

  // A sampled baseline without a leak says that no sample of it was seen.
  static BlocksAndBytes not_seen(const BlocksAndBytes& amount) {
    return {Measure{.unseen_weight = amount.blocks.unseen_weight, .sampled = true},
            Measure{.unseen_weight = amount.bytes.unseen_weight, .sampled = true}};
  }

  void check_limits() {
    for (const SiteVerdict& judged : verdict_.sites) {
      if (judged.standing == Standing::kLeak) verdict_.tolerated += judged.amount;
    }
    if (policy_.leaks.any()) {
      verdict_.over_limits = exceeds(verdict_.tolerated, policy_.leaks, verdict_.confidence);
      for (SiteVerdict& judged : verdict_.sites) {
        if (judged.standing == Standing::kLeak && !verdict_.over_limits) judged.standing = Standing::kTolerated;
      }
    }
    for (SuppressionUse& use : verdict_.suppressions) {
      use.exceeded = exceeds(use.amount, use.rule->most, verdict_.confidence);
    }
    for (SiteBudgetUse& use : verdict_.site_budgets) {
      use.exceeded = exceeds(use.amount, use.budget->most, verdict_.confidence);
    }
    for (AllocationBudgetUse& use : verdict_.allocation_budgets) {
      use.exceeded = exceeds(use.amount, use.budget->most, verdict_.confidence, use.budget->calls);
    }
  }

  void find_unused() {
    for (const SuppressionUse& use : verdict_.suppressions) {
      if (use.sites > 0) continue;
      const std::string expired = use.expired ? "expired on " + date_text(*use.rule->expires) : "";
      verdict_.unused.push_back({use.rule->text, use.rule->origin, use.expired ? expired : use.rule->trouble});
    }
    for (const SiteBudgetUse& use : verdict_.site_budgets) {
      if (use.sites == 0) verdict_.unused.push_back({use.budget->pattern->text(), use.budget->origin, {}});
    }
    for (const AllocationBudgetUse& use : verdict_.allocation_budgets) {
      if (use.sites == 0) verdict_.unused.push_back({use.budget->function->text(), use.budget->origin, {}});
    }
  }

  void rank() {
    std::stable_sort(verdict_.sites.begin(), verdict_.sites.end(),
                     [](const SiteVerdict& left, const SiteVerdict& right) { return left.fails() && !right.fails(); });
    for (const SiteVerdict& judged : verdict_.sites) {
      if (judged.fails()) verdict_.failing += judged.amount;
    }
  }

  Outcome outcome() const {
    if (verdict_.obstacles.any()) return Outcome::kNotJudged;
    const auto exceeded = [](const auto& uses) {
      return std::any_of(uses.begin(), uses.end(), [](const auto& use) { return use.exceeded; });
    };
    const bool failed = verdict_.failing_sites() > 0 || exceeded(verdict_.suppressions) ||
                        exceeded(verdict_.site_budgets) || exceeded(verdict_.allocation_budgets) ||
                        (policy_.strict && !verdict_.unused.empty());
    return failed ? Outcome::kFailed : Outcome::kPassed;
  }

  const Profile& profile_;
  const Policy& policy_;
  const Baseline* baseline_;
  std::chrono::sys_days today_;
  std::optional<KnownLeaks> known_;
  GateVerdict verdict_;
};

}  // namespace

size_t GateVerdict::failing_sites() const {
  return static_cast<size_t>(
      std::count_if(sites.begin(), sites.end(), [](const SiteVerdict& judged) { return judged.fails(); }));
}

const SiteVerdict* GateVerdict::worst() const {
  return sites.empty() || !sites.front().fails() ? nullptr : &sites.front();
}

GateVerdict judge(const Profile& profile, const std::vector<Error>& problems, const Policy& policy,
                  const Baseline* baseline, std::chrono::sys_days today) {
  return Judge(profile, policy, baseline, today).judge(problems);
}

}  // namespace seep
