// SPDX-License-Identifier: Apache-2.0
// Verdicts of traces as sums.
#include "leaks/judgement.h"

namespace seep {

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDefinite: return "definite";
    case Verdict::kIndirect: return "indirect";
    case Verdict::kPossible: return "possible";
    case Verdict::kReachable: return "reachable";
    case Verdict::kLive: break;
  }
  return "live";
}

Verdict Judgement::worst() const {
  if (definite.blocks.value() > 0) return Verdict::kDefinite;
  if (indirect.blocks.value() > 0) return Verdict::kIndirect;
  if (possible.blocks.value() > 0) return Verdict::kPossible;
  return reachable.blocks.value() > 0 ? Verdict::kReachable : Verdict::kLive;
}

BlocksAndBytes Judgement::lost() const {
  BlocksAndBytes lost = definite;
  lost += held;
  return lost;
}

Judgement& Judgement::operator+=(const Judgement& other) {
  definite += other.definite;
  indirect += other.indirect;
  possible += other.possible;
  reachable += other.reachable;
  held += other.held;
  by_scan |= other.by_scan;
  in_classes |= other.in_classes;
  return *this;
}

Judgement judgement_of(const proto::TraceCounters& counters, bool exact) {
  const proto::Verdicts& verdicts = counters.verdicts();
  Judgement judgement{.by_scan = true, .in_classes = exact};
  if (!exact) {
    judgement.definite =
        part_of_samples(counters, verdicts.definite_blocks(), verdicts.definite_bytes(), verdicts.definite_estimate());
    return judgement;
  }
  if (!counters.has_verdicts()) return judgement;
  judgement.definite = counted(verdicts.definite_blocks(), verdicts.definite_bytes());
  judgement.indirect = counted(verdicts.indirect_blocks(), verdicts.indirect_bytes());
  judgement.possible = counted(verdicts.possible_blocks(), verdicts.possible_bytes());
  judgement.reachable = counted(verdicts.reachable_blocks(), verdicts.reachable_bytes());
  judgement.held = counted(verdicts.held_blocks(), verdicts.held_bytes());
  return judgement;
}

}  // namespace seep
