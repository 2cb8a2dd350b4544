// SPDX-License-Identifier: Apache-2.0
// A comparison for people: in all, then what is new or has grown, then what has shrunk or gone; and its words.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/difference_report.h"
#include "formats/format.h"
#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

constexpr size_t kDefaultSites = 10;

std::string sites_of(const Difference& difference, Direction direction) {
  const size_t count = difference.count(direction);
  return count == 0 ? "" : human_count(static_cast<uint64_t>(count)) + " " + word(direction);
}

// What is as before is only counted.
size_t changed_sites(const Difference& difference) {
  return difference.sites.size() - difference.count(Direction::kSame);
}

}  // namespace

const char* word(Direction direction) {
  switch (direction) {
    case Direction::kNew: return "new";
    case Direction::kGrown: return "grown";
    case Direction::kShrunk: return "shrunk";
    case Direction::kGone: return "gone";
    case Direction::kSame: break;
  }
  return "as before";
}

const char* word(Quantity quantity) {
  switch (quantity) {
    case Quantity::kLeaked: return "leaked";
    case Quantity::kLive: return "live";
    case Quantity::kAllocated: break;
  }
  return "allocated";
}

std::string counts_text(const Difference& difference) {
  std::string text;
  for (const Direction direction : {Direction::kNew, Direction::kGrown, Direction::kShrunk, Direction::kGone}) {
    const std::string part = sites_of(difference, direction);
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  const size_t same = difference.count(Direction::kSame);
  if (text.empty()) text = difference.sampled ? "no difference is proved" : "no difference";
  if (same > 0) text += "; " + human_count(static_cast<uint64_t>(same), "site") + " as before";
  return text;
}

std::string totals_text(const Difference& difference) {
  return absl::StrFormat("%s: %s, after %s: %s, %s", word(difference.quantity), described(difference.after),
                         described(difference.before), described_growth_of_bytes(difference.bytes),
                         described_growth_of_blocks(difference.blocks));
}

std::string change_text(const SiteDifference& site) {
  const std::string change = described_growth_of_bytes(site.bytes) + ", " + described_growth_of_blocks(site.blocks);
  if (site.direction == Direction::kNew) return change;
  if (site.direction == Direction::kGone) return change;
  return change + ": " + described(site.amount_after) + ", after " + described(site.amount_before);
}

void write_difference_text(const DifferenceReport& report, const ReportOptions& options, std::string& output) {
  const Difference& difference = report.difference;
  const Style style(options.color);
  absl::StrAppendFormat(&output, "%sseep diff: %s%s\n%s\n\n", style.bold, counts_text(difference), style.plain,
                        totals_text(difference));
  const size_t changed = options.full ? difference.sites.size() : changed_sites(difference);
  const size_t shown = std::min(changed, options.top.value_or(options.full ? changed : kDefaultSites));
  for (size_t index = 0; index < shown; ++index) {
    const SiteDifference& site = difference.sites[index];
    absl::StrAppendFormat(&output, "  %s%s%s %s\n", style.accent, word(site.direction), style.plain, change_text(site));
    const Profile& profile = site.after != nullptr ? report.after : report.before;
    write_stack({.profile = profile, .options = options, .style = style, .output = output}, site.site());
    output += '\n';
  }
  if (shown < changed) {
    absl::StrAppendFormat(&output, "      and %s\n\n",
                          human_count(static_cast<uint64_t>(changed - shown), "more site"));
  }
  if (difference.sampled) {
    absl::StrAppendFormat(&output,
                          "Sampled: a site is told as different only where the interval of its difference says so, at "
                          "%.6g %%\nconfidence for all sites together.\n",
                          100 * difference.confidence);
  }
  for (const std::string& problem : report.problems) {
    absl::StrAppendFormat(&output, "%sNot read whole%s: %s\n", style.accent, style.plain, printable(problem));
  }
  absl::StrAppendFormat(&output, "%sNext: seep report --full %s%s\n", style.dim, options.next_command_paths,
                        style.plain);
}

}  // namespace seep
