// SPDX-License-Identifier: Apache-2.0
// The baseline's file:
//
//     schema = "seep.baseline/1"
//     fail = ["definite"]
//
//     [[leak]]
//     fingerprint = "2ff70c1dffabc517"
//     bytes = 400800
//     blocks = 100
//     stack = ["(anonymous namespace)::load_page", "main"]
//     note = "whatever somebody writes here is kept"
//
//     [[allocations]]                      # of each allocation budget
//     function = "AsFlags"
//     calls = 1000
//     bytes = 650000
//     blocks = 1000
//
// Sampled, the file says so with `sampled = true`, and each table has what the intervals of its estimates are made of:
//
//     samples = {count = 3, bytes = 1572864.0, bytes_deviation = 908093.5, proven_bytes = 300, blocks = ..., ...}
#include <absl/strings/str_format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <tuple>

#include "gate/baseline.h"
#include "gate/policy.h"
#include "gate/toml_file.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

constexpr char kSchema[] = "seep.baseline/1";
constexpr size_t kColumns = 120;
// More than any machine has; and such numbers add up without becoming infinite.
constexpr double kMostValue = 0x1p80;

uint64_t rounded(const Measure& measure) {
  return static_cast<uint64_t>(std::min(std::round(measure.value()), 0x1p62));
}

double estimate_in(TomlTable& table, const std::string& key) {
  const double value = table.number(key).value_or(0);
  if (value >= 0 && value <= kMostValue) return value;
  throw usage_error(table.origin_of(key), key + " must be a number from 0 on");
}

uint64_t count_in(TomlTable& table, const std::string& key) {
  const auto count = table.count(key);
  if (!count) throw usage_error(table.origin(), "has no " + key);
  return *count;
}

// What the estimate leaves of the whole is exact.
Measure sampled_measure(TomlTable& table, const std::string& unit, uint64_t samples, uint64_t all) {
  Measure measure{.estimate = estimate_in(table, unit),
                  .variance = std::pow(estimate_in(table, unit + "_deviation"), 2),
                  .samples = samples,
                  .sampled = true};
  const uint64_t estimated = rounded(measure);
  measure.exact = static_cast<double>(all - std::min(all, estimated));
  return measure;
}

BlocksAndBytes amount_in(TomlTable& table) {
  const uint64_t bytes = count_in(table, "bytes");
  const uint64_t blocks = count_in(table, "blocks");
  auto samples = table.table("samples");
  if (!samples) return counted(blocks, bytes);
  const uint64_t count = count_in(*samples, "count");
  if (count == 0) throw usage_error(samples->origin(), "count must be 1 or more");
  BlocksAndBytes amount{sampled_measure(*samples, "blocks", count, blocks),
                        sampled_measure(*samples, "bytes", count, bytes)};
  amount.blocks.proven = static_cast<double>(count);
  amount.bytes.proven = std::min(estimate_in(*samples, "proven_bytes"), amount.bytes.estimate);
  samples->refuse_others("count, bytes, bytes_deviation, proven_bytes, blocks, blocks_deviation");
  return amount;
}

uint64_t fingerprint_in(TomlTable& table) {
  const std::string text = table.text("fingerprint").value_or("");
  uint64_t fingerprint = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), fingerprint, 16);
  const bool whole = text.size() == 16 && failed == std::errc() && end == text.data() + text.size();
  if (!whole) throw usage_error(table.origin_of("fingerprint"), "fingerprint must be 16 hexadecimal digits in quotes");
  return fingerprint;
}

KnownLeak leak_in(TomlTable& table) {
  KnownLeak leak{.fingerprint = fingerprint_in(table), .amount = amount_in(table)};
  for (const auto& [function, origin] : table.texts("stack")) leak.stack.push_back(function);
  leak.note = table.text("note").value_or("");
  table.refuse_others("fingerprint, bytes, blocks, stack, note, samples");
  return leak;
}

KnownAllocations allocations_in(TomlTable& table) {
  KnownAllocations allocations{.function = table.text("function").value_or(""),
                               .calls = table.count("calls").value_or(1),
                               .amount = amount_in(table)};
  if (allocations.function.empty()) throw usage_error(table.origin(), "has no function");
  if (allocations.calls == 0) throw usage_error(table.origin_of("calls"), "calls must be 1 or more");
  table.refuse_others("function, calls, bytes, blocks, samples");
  return allocations;
}

std::string number_text(double value) {
  std::string text = absl::StrFormat("%.17g", value);
  if (text.find_first_of(".en") == text.npos) text += ".0";
  return text;
}

void write_amount(std::string& text, const BlocksAndBytes& amount) {
  absl::StrAppendFormat(&text, "bytes = %d\nblocks = %d\n", rounded(amount.bytes), rounded(amount.blocks));
  if (amount.bytes.samples == 0) return;
  const auto sampled = [](const char* unit, const Measure& measure) {
    const double estimate = std::max(measure.estimate, measure.proven);
    return absl::StrFormat("%s = %s, %s_deviation = %s", unit, number_text(estimate), unit,
                           number_text(std::sqrt(measure.variance)));
  };
  absl::StrAppendFormat(&text, "samples = {count = %d, %s, proven_bytes = %s, %s}\n", amount.bytes.samples,
                        sampled("bytes", amount.bytes), number_text(amount.bytes.proven),
                        sampled("blocks", amount.blocks));
}

void write_stack(std::string& text, const std::vector<std::string>& stack) {
  std::string one_line, lines;
  for (const std::string& function : stack) {
    one_line += (one_line.empty() ? "" : ", ") + toml_text(function);
    lines += "  " + toml_text(function) + ",\n";
  }
  const bool fits = one_line.size() + sizeof "stack = []" <= kColumns;
  text += fits ? "stack = [" + one_line + "]\n" : "stack = [\n" + lines + "]\n";
}

void write_leak(std::string& text, const KnownLeak& leak) {
  absl::StrAppendFormat(&text, "\n[[leak]]\nfingerprint = \"%s\"\n", fingerprint_text(leak.fingerprint));
  write_amount(text, leak.amount);
  write_stack(text, leak.stack);
  if (!leak.note.empty()) text += "note = " + toml_text(leak.note) + "\n";
}

}  // namespace

Baseline parse_baseline(const std::string& text, const std::string& path) {
  TomlTable table = parse_toml(text, path);
  const auto schema = table.text("schema");
  if (schema.value_or("") != kSchema) {
    throw usage_error(table.origin_of("schema"),
                      std::string("is no baseline that this version reads: schema = \"") + kSchema + "\" is missing");
  }
  Baseline baseline;
  baseline.fail = verdicts_in(table, "fail").value_or(VerdictSet{});
  baseline.sampled = table.boolean("sampled").value_or(false);
  std::set<uint64_t> known;
  for (TomlTable& each : table.tables("leak")) {
    baseline.leaks.push_back(leak_in(each));
    if (!known.insert(baseline.leaks.back().fingerprint).second) {
      throw usage_error(each.origin_of("fingerprint"), "this fingerprint is there twice");
    }
  }
  for (TomlTable& each : table.tables("allocations")) baseline.allocations.push_back(allocations_in(each));
  table.refuse_others("schema, fail, sampled, [[leak]], [[allocations]]");
  return baseline;
}

std::string baseline_text(Baseline baseline) {
  // By stack, so that a change of one number changes one line.
  std::sort(baseline.leaks.begin(), baseline.leaks.end(), [](const KnownLeak& left, const KnownLeak& right) {
    return std::tie(left.stack, left.fingerprint) < std::tie(right.stack, right.fingerprint);
  });
  std::string text =
      "# Leaks that are known: seep gate --baseline FILE fails for new and grown ones only.\n"
      "# --update removes what is gone and lowers what has shrunk; --accept also adds and raises.\n";
  text += std::string("schema = \"") + kSchema + "\"\nfail = [";
  bool first = true;
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (!baseline.fail.has(verdict)) continue;
    text += std::string(first ? "" : ", ") + "\"" + word(verdict) + "\"";
    first = false;
  }
  text += baseline.sampled ? "]\nsampled = true\n" : "]\n";
  for (const KnownLeak& leak : baseline.leaks) write_leak(text, leak);
  for (const KnownAllocations& each : baseline.allocations) {
    absl::StrAppendFormat(&text, "\n[[allocations]]\nfunction = %s\ncalls = %d\n", toml_text(each.function),
                          each.calls);
    write_amount(text, each.amount);
  }
  return text;
}

}  // namespace seep
