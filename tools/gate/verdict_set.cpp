// SPDX-License-Identifier: Apache-2.0
// The words for verdicts.
#include "gate/verdict_set.h"

namespace seep {

std::optional<Verdict> verdict_of(std::string_view name) {
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (name == word(verdict)) return verdict;
  }
  return std::nullopt;
}

std::string VerdictSet::text() const {
  std::string text;
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (has(verdict)) text += (text.empty() ? "" : ", ") + std::string(word(verdict));
  }
  return text;
}

}  // namespace seep
