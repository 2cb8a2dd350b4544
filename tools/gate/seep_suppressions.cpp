// SPDX-License-Identifier: Apache-2.0
// Our own suppressions, in TOML, of their own or in a policy file:
//
//     [[suppress]]
//     stack = ["^make_message$", "...", "main"]   # or one pattern, for any frame
//     kinds = ["definite"]                        # default: all
//     max_bytes = "4k"                            # of all that it suppresses
//     max_blocks = 2
//     expires = 2027-01-31                        # the last day
//     reason = "ticket 123"
#include <memory>

#include "gate/stack_pattern.h"
#include "gate/suppression.h"

namespace seep {
namespace {

constexpr char kTables[] = "suppress";
constexpr char kKeys[] = "stack, kinds, max_bytes, max_blocks, expires, reason";

std::shared_ptr<StackPattern> stack_pattern_in(TomlTable& table) {
  std::vector<std::string> elements;
  for (auto& [element, origin] : table.texts("stack")) elements.push_back(std::move(element));
  if (elements.empty()) throw usage_error(table.origin(), "has no stack, which names the frames of a leak");
  if (const auto problem = StackPattern::problem(elements))
    throw usage_error(table.origin_of("stack"), "stack " + *problem);
  return std::make_shared<StackPattern>(elements);
}

}  // namespace

std::vector<Suppression> suppressions_in(TomlTable& table) {
  std::vector<Suppression> suppressions;
  for (TomlTable& entry : table.tables(kTables)) {
    const auto pattern = stack_pattern_in(entry);
    Suppression suppression{.text = pattern->text(), .origin = entry.origin()};
    suppression.matches = [pattern](const ShownStack& shown) { return pattern->matches(shown); };
    if (const auto kinds = verdicts_in(entry, "kinds")) suppression.kinds = *kinds;
    suppression.most = {entry.size("max_bytes"), entry.count("max_blocks")};
    suppression.expires = entry.date("expires");
    suppression.reason = entry.text("reason").value_or("");
    entry.refuse_others(kKeys);
    suppressions.push_back(std::move(suppression));
  }
  return suppressions;
}

std::vector<Suppression> parse_seep_suppressions(const std::string& text, const std::string& path) {
  TomlTable table = parse_toml(text, path);
  std::vector<Suppression> suppressions = suppressions_in(table);
  table.refuse_others("[[suppress]] alone");
  return suppressions;
}

}  // namespace seep
