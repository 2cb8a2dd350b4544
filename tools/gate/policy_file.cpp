// SPDX-License-Identifier: Apache-2.0
// Policy files. All keys, each of which is an option, too:
//
//     fail = ["definite"]                  # which verdicts fail; [] for none
//     max_bytes = 0                        # what may be leaked where no other rule says anything
//     max_blocks = 0
//     suppressions = ["known.supp"]        # files
//     baseline = "leaks.toml"
//     min_coverage = 1.0
//     allow_unjudged = ["redis-server"]
//     confidence = 0.95
//     strict = false
//
//     [[site_budget]]
//     stack = "load_page"
//     max_bytes = "4k"
//     max_blocks = 2
//     reason = "ticket 123"
//
//     [[allocation_budget]]
//     function = "AsFlags"
//     max_bytes = 650
//     max_blocks = 1
//     calls = 1000
//
//     [[suppress]]                         # as in a suppression file
#include <charconv>
#include <filesystem>

#include "gate/policy.h"
#include "gate/text_file.h"
#include "text.h"

namespace seep {
namespace {

constexpr char kKeys[] =
    "fail, max_bytes, max_blocks, suppressions, baseline, min_coverage, allow_unjudged, confidence, strict, "
    "[[site_budget]], [[allocation_budget]], [[suppress]]";

std::shared_ptr<StackPattern> pattern_of(const std::vector<std::string>& elements, const Origin& origin) {
  if (const auto problem = StackPattern::problem(elements)) throw usage_error(origin, "the pattern " + *problem);
  return std::make_shared<StackPattern>(elements);
}

std::shared_ptr<StackPattern> pattern_in(TomlTable& table, const std::string& key) {
  std::vector<std::string> elements;
  for (auto& [element, origin] : table.texts(key)) elements.push_back(std::move(element));
  if (elements.empty()) throw usage_error(table.origin(), "has no " + key);
  return pattern_of(elements, table.origin_of(key));
}

// A size, or 0.
std::optional<uint64_t> bytes_in(std::string_view text) {
  return text == "0" ? std::optional<uint64_t>(0) : size_in(text);
}

std::optional<uint64_t> count_in(std::string_view text) {
  uint64_t count = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return count;
}

Limits limits_in(TomlTable& table) {
  const Limits limits{table.size("max_bytes"), table.count("max_blocks")};
  if (!limits.any()) throw usage_error(table.origin(), "has neither max_bytes nor max_blocks");
  return limits;
}

SiteBudget site_budget_in(TomlTable& table) {
  SiteBudget budget{pattern_in(table, "stack"), limits_in(table), table.text("reason").value_or(""), table.origin()};
  table.refuse_others("stack, max_bytes, max_blocks, reason");
  return budget;
}

AllocationBudget allocation_budget_in(TomlTable& table) {
  AllocationBudget budget{pattern_in(table, "function"), limits_in(table), table.count("calls").value_or(1),
                          table.origin()};
  if (budget.calls == 0) throw usage_error(table.origin_of("calls"), "calls must be 1 or more");
  table.refuse_others("function, max_bytes, max_blocks, calls");
  return budget;
}

// "PATTERN=BYTES/BLOCKS", of which the last two may be missing.
struct BudgetText {
  std::string pattern;
  Limits most;
};

BudgetText parse_budget(const Origin& origin, const std::string& text) {
  const size_t equals = text.rfind('=');
  const auto wrong = [&] {
    return usage_error(origin,
                       "'" + printable(text) + "' is not as PATTERN=BYTES/BLOCKS, such as parse=4k/2 or parse=/2");
  };
  if (equals == text.npos || equals == 0) throw wrong();
  const std::string_view limits = std::string_view(text).substr(equals + 1);
  const size_t slash = std::min(limits.find('/'), limits.size());
  const std::string_view bytes = limits.substr(0, slash);
  const std::string_view blocks = limits.substr(std::min(slash + 1, limits.size()));
  BudgetText budget{text.substr(0, equals), {bytes_in(bytes), count_in(blocks)}};
  const bool understood = (bytes.empty() || budget.most.bytes) && (blocks.empty() || budget.most.blocks);
  if (!understood || !budget.most.any()) throw wrong();
  return budget;
}

}  // namespace

std::optional<VerdictSet> verdicts_in(TomlTable& table, const std::string& key) {
  const auto keys = table.keys();
  if (std::find(keys.begin(), keys.end(), key) == keys.end()) return std::nullopt;
  VerdictSet verdicts;
  for (const auto& [name, origin] : table.texts(key)) verdicts.add(parse_verdicts(origin, name));
  return verdicts;
}

VerdictSet parse_verdicts(const Origin& origin, const std::string& text) {
  VerdictSet verdicts;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view name = trimmed(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const auto verdict = verdict_of(name);
    if (!verdict && name != "none") {
      throw usage_error(origin, "'" + printable(name) + "' is none of " + VerdictSet::all().text() + ", none");
    }
    if (verdict) verdicts.add(*verdict);
  }
  return verdicts;
}

SiteBudget parse_site_budget(const Origin& origin, const std::string& text) {
  const BudgetText budget = parse_budget(origin, text);
  return {pattern_of({budget.pattern}, origin), budget.most, "", origin};
}

AllocationBudget parse_allocation_budget(const Origin& origin, const std::string& text) {
  const size_t at = text.rfind('@');
  const bool has_calls = at != text.npos && at > text.rfind('=');
  const BudgetText budget = parse_budget(origin, has_calls ? text.substr(0, at) : text);
  const auto calls = has_calls ? count_in(std::string_view(text).substr(at + 1)) : 1;
  if (calls.value_or(0) == 0) {
    throw usage_error(origin, "'" + printable(text) + "' does not end in @CALLS, such as AsFlags=650/1@1000");
  }
  return {pattern_of({budget.pattern}, origin), budget.most, *calls, origin};
}

void check_share(const Origin& origin, double share) {
  if (!(share >= 0 && share <= 1)) throw usage_error(origin, "must be from 0 to 1");
}

void check_confidence(const Origin& origin, double confidence) {
  if (!(confidence >= 0.5 && confidence <= 0.999999)) throw usage_error(origin, "must be from 0.5 to 0.999999");
}

std::vector<NamedFile> parse_policy(const std::string& text, const std::string& path, Policy& policy) {
  TomlTable table = parse_toml(text, path);
  const auto beside = [&path](const std::string& name) {
    return (std::filesystem::path(path).parent_path() / name).string();
  };
  if (const auto fail = verdicts_in(table, "fail")) policy.fail = *fail;
  if (const auto bytes = table.size("max_bytes")) policy.leaks.bytes = bytes;
  if (const auto blocks = table.count("max_blocks")) policy.leaks.blocks = blocks;
  if (const auto baseline = table.text("baseline")) policy.baseline = beside(*baseline);
  if (const auto share = table.number("min_coverage")) {
    check_share(table.origin_of("min_coverage"), *share);
    policy.min_coverage = share;
  }
  if (const auto confidence = table.number("confidence")) {
    check_confidence(table.origin_of("confidence"), *confidence);
    policy.confidence = *confidence;
  }
  policy.strict |= table.boolean("strict").value_or(false);
  for (const auto& [program, origin] : table.texts("allow_unjudged")) policy.allow_unjudged.push_back(program);
  for (TomlTable& each : table.tables("site_budget")) policy.site_budgets.push_back(site_budget_in(each));
  for (TomlTable& each : table.tables("allocation_budget")) {
    policy.allocation_budgets.push_back(allocation_budget_in(each));
  }
  for (Suppression& each : suppressions_in(table)) policy.suppressions.push_back(std::move(each));
  std::vector<NamedFile> files;
  for (const auto& [name, origin] : table.texts("suppressions")) files.push_back({beside(name), origin});
  table.refuse_others(kKeys);
  return files;
}

void read_policy(const std::string& path, Policy& policy) {
  for (const NamedFile& file : parse_policy(read_text_file(path), path, policy)) {
    std::string text;
    try {
      text = read_text_file(file.path);
    } catch (const Error& error) {
      throw usage_error(file.origin, error.what());
    }
    for (Suppression& each : parse_suppressions(text, file.path)) policy.suppressions.push_back(std::move(each));
  }
}

}  // namespace seep
