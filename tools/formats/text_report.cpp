// SPDX-License-Identifier: Apache-2.0
// The text report. Its first screen answers: is there a leak, how much, in how many sites, which, since when, and how
// sure we are. "Live" is never called leaked: where no scan has looked for pointers, the answers are about what is
// live.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

constexpr size_t kDefaultSites = 10;
constexpr size_t kMissingSymbolFiles = 5;
// Of what grew before the end: so many sites, each at least such a share of all that grew; and so many processes by
// name.
constexpr size_t kGrownSites = 3;
constexpr double kSmallestShare = 0.01;
constexpr size_t kGrownFunctionColumns = 50;
constexpr size_t kNamedProcesses = 3;

bool is_live(const Site& site) { return site.activity.live.blocks.value() > 0; }

// What was leaked at a scan is news, even if it has been freed since.
bool is_news(const Site& site) { return site.is_leak() || site.judgement.possible.blocks.value() > 0 || is_live(site); }

// "at exit", or whatever the last word was about.
std::string moment(const Profile& profile) {
  if (profile.still_running()) return "so far";
  std::string when = "at exit";
  for (const ProcessSummary& process : profile.processes) {
    if (!process.observed) continue;
    if (process.tail_lost) return "at the last snapshot";
    const bool died = process.ended == Ended::kUnknown || process.ended == Ended::kSignal;
    if (died) when = process.ended == Ended::kUnknown && profile.processes.size() == 1 ? "when it died" : "at the end";
  }
  return when;
}

std::string command_line(const ProcessSummary& process) {
  std::string text;
  for (const std::string& word : process.command) text += (text.empty() ? "" : " ") + shell_quoted(printable(word));
  constexpr size_t kColumns = 70;
  if (columns(text) > kColumns) text = text.substr(0, kColumns - 3) + "...";
  return text.empty() ? program_name(process) : text;
}

std::string mode(const Profile& profile) {
  uint64_t sample_bytes = 0;
  for (const ProcessSummary& process : profile.processes) {
    if (process.observed) sample_bytes = std::max(sample_bytes, process.sample_bytes);
  }
  if (sample_bytes == 0) return {};
  if (sample_bytes == 1) return "exact, ";
  return "sampled every " + human_bytes(static_cast<double>(sample_bytes)) + ", ";
}

void write_title(const TextReport& report) {
  if (report.profile.processes.empty()) return;
  absl::StrAppendFormat(&report.output, "%s%s%s\n%s%s%s\n\n", report.style.bold, who_ran(report.profile),
                        report.style.plain, report.style.dim, how_it_ran(report.profile), report.style.plain);
}

void write_nothing_live(const TextReport& report) {
  const Profile& profile = report.profile;
  if (profile.sampled) {
    absl::StrAppendFormat(&report.output, "No sampled block was live %s. Small leaks can hide from sampling.\n",
                          moment(profile));
  } else {
    absl::StrAppendFormat(&report.output, "Nothing was live %s: all %s blocks that were recorded had been freed.\n",
                          moment(profile), human_count(whole_count(profile.totals.alloc.blocks.value())));
  }
}

// From the first allocation of the sites that still hold something to their last.
std::string since_when(const TextReport& report) {
  uint64_t first_ns = std::numeric_limits<uint64_t>::max();
  uint64_t last_ns = 0;
  for (const Site& site : report.profile.sites) {
    if (!is_live(site)) continue;
    first_ns = std::min(first_ns, site.first_allocated_ns);
    last_ns = std::max(last_ns, site.last_allocated_ns);
  }
  return absl::StrFormat("the first of which allocated after %s, the last after %s of %s", human_duration(first_ns),
                         human_duration(last_ns), human_duration(report.profile.duration_ns));
}

void write_headline(const TextReport& report) {
  const Profile& profile = report.profile;
  if (profile.judged() && report.news_sites > 0) return write_verdicts(report);
  if (report.news_sites == 0) {
    write_nothing_live(report);
  } else {
    absl::StrAppendFormat(&report.output, "%sStill live %s: %s%s in %s, from %s,\n%s.\n", report.style.bold,
                          moment(profile), described_bytes(profile.totals.live.bytes), report.style.plain,
                          described_blocks(profile.totals.live.blocks), human_count(report.news_sites, "site"),
                          since_when(report));
  }
  const char* sure = profile.sampled ? "Sampled: figures are estimates, with the 95 % interval beside them."
                                     : "Exact: every byte of every recorded allocation is counted.";
  const bool open = report.news_sites > 0 && !profile.judged();
  absl::StrAppendFormat(&report.output, "%s%s\n\n", sure, open ? " " + no_verdict(profile) : "");
}

// Where there are several processes: which of them the growth is of.
std::string whose_growth(const Profile& profile) {
  if (profile.processes.size() == 1) return {};
  std::vector<std::string> names;
  for (const ProcessSummary& process : profile.processes) {
    if (process.growth_span) names.push_back(absl::StrFormat("%s (%d)", program_name(process), process.pid));
  }
  if (names.size() > kNamedProcesses) {
    const std::string others = human_count(names.size() - kNamedProcesses, "more process");
    names.resize(kNamedProcesses);
    names.push_back(others);
  }
  std::string text = " of " + names.front();
  for (size_t index = 1; index < names.size(); ++index) {
    text += (index + 1 == names.size() ? " and " : ", ") + names[index];
  }
  return text;
}

// "12 s", or "10 s to 12 s" of several processes, "before the end", or as much as is known of when that was.
struct GrowthTimes {
  std::string length;
  const char* until = "";
  bool from_start = true;
};

GrowthTimes growth_times(const Profile& profile) {
  uint64_t shortest_ns = std::numeric_limits<uint64_t>::max();
  uint64_t longest_ns = 0;
  bool to_the_end = true;
  GrowthTimes times;
  for (const ProcessSummary& process : profile.processes) {
    if (!process.growth_span) continue;
    shortest_ns = std::min(shortest_ns, process.growth_span->length_ns());
    longest_ns = std::max(longest_ns, process.growth_span->length_ns());
    times.from_start &= process.growth_span->from_start();
    to_the_end &= process.ended == Ended::kSignal && !process.tail_lost;
  }
  const std::string shortest = human_duration(shortest_ns);
  const std::string longest = human_duration(longest_ns);
  times.length = shortest == longest ? longest : shortest + " to " + longest;
  times.until = profile.still_running() ? "" : to_the_end ? " before the end" : " of the recording";
  return times;
}

// The sites that grew, most first, until what is left is next to nothing. Indices of the ranked sites.
std::vector<size_t> grown_sites(const Profile& profile) {
  std::vector<size_t> grown;
  double all = 0;
  for (size_t index = 0; index < profile.sites.size(); ++index) {
    const double bytes = profile.sites[index].growth().bytes().value;
    if (bytes <= 0) continue;
    grown.push_back(index);
    all += bytes;
  }
  const auto growth = [&profile](size_t index) { return profile.sites[index].growth().bytes().value; };
  std::stable_sort(grown.begin(), grown.end(), [&](size_t left, size_t right) { return growth(left) > growth(right); });
  size_t named = 0;
  while (named < std::min(grown.size(), kGrownSites) && growth(grown[named]) >= kSmallestShare * all) ++named;
  grown.resize(named);
  return grown;
}

// A line each: number in the ranking, function, growth.
void write_grown_sites(const TextReport& report, const std::vector<size_t>& grown) {
  std::vector<std::string> names;
  size_t width = 0;
  for (const size_t index : grown) {
    const Site& site = report.profile.sites[index];
    const Stack frames = site.frames();
    const Frame& frame = *frames[std::min(site.runtime_frames, frames.size() - 1)];
    names.push_back(absl::StrFormat("#%d  %s", index + 1, shortened_function(frame.function, kGrownFunctionColumns)));
    width = std::max(width, columns(names.back()));
  }
  for (size_t line = 0; line < grown.size(); ++line) {
    const Growth growth = report.profile.sites[grown[line]].growth();
    const Change blocks = growth.blocks();
    const std::string in_blocks = blocks.interval ? "" : " (" + described_growth_of_blocks(blocks) + ")";
    absl::StrAppendFormat(&report.output, "      %s  %s%s\n", padded(names[line], width),
                          described_growth_of_bytes(growth.bytes()), in_blocks);
  }
}

// What grew last: where a process did not end of its own accord, that is what most likely ended it.
void write_growth(const TextReport& report) {
  const Profile& profile = report.profile;
  if (!profile.has_growth()) return;
  const Change bytes = profile.growth.bytes();
  const GrowthTimes times = growth_times(profile);
  const bool all_of_it = times.from_start && bytes.value == profile.totals.live.bytes.value();
  if (all_of_it) {
    if (bytes.value > 0)
      absl::StrAppendFormat(&report.output, "All of it grew since the start, in %s.\n\n", times.length);
    return;
  }
  const std::vector<size_t> grown = grown_sites(profile);
  const bool nothing = grown.empty() && bytes.value == 0 && !bytes.interval;
  const std::string how_much = nothing ? "no growth" : described_growth_of_bytes(bytes) + " live";
  const char* sites = grown.empty() ? "" : bytes.value > 0 ? ", most of it at" : "; what grew all the same:";
  absl::StrAppendFormat(&report.output, "%s%s %s%s%s: %s%s%s\n", report.style.bold,
                        times.from_start ? "Since the start, in" : "In the last", times.length, times.until,
                        whose_growth(profile), how_much, report.style.plain, sites);
  write_grown_sites(report, grown);
  report.output += '\n';
}

// What the short report leaves out, so that it adds up too.
void write_other_sites(const TextReport& report) {
  if (report.shown_sites >= report.news_sites) return;
  BlocksAndBytes rest;
  for (size_t index = report.shown_sites; index < report.news_sites; ++index) {
    rest += report.profile.sites[index].activity.live;
  }
  const size_t count = report.news_sites - report.shown_sites;
  const std::string which = report.shown_sites > 0 ? "and " : "";
  const char* noun = report.shown_sites > 0 ? "more site" : "site";
  absl::StrAppendFormat(&report.output, "      %s%s with %s in %s%s\n\n", which, human_count(count, noun),
                        described_bytes(rest.bytes), described_blocks(rest.blocks),
                        report.profile.judged() ? " live" : "");
}

void write_not_observed(const TextReport& report) {
  absl::StrAppendFormat(&report.output, "%sNothing was observed%s, so nothing can be said about leaks.\n\n",
                        report.style.accent, report.style.plain);
}

void write_missing_symbols(const TextReport& report) {
  const auto& missing = report.profile.missing_symbols;
  if (missing.empty()) return;
  report.output += "No symbols for:\n";
  const size_t count = report.options.full ? missing.size() : std::min(missing.size(), kMissingSymbolFiles);
  for (size_t index = 0; index < count; ++index) {
    absl::StrAppendFormat(&report.output, "  %s %s\n", printable(missing[index].path), missing[index].reason);
  }
  if (count < missing.size())
    absl::StrAppendFormat(&report.output, "  and %s\n", human_count(missing.size() - count, "more file"));
}

// One line on what to do next.
void write_next(const TextReport& report) {
  const std::string& paths = report.options.next_command_paths;
  const Profile& profile = report.profile;
  std::string next;
  if (!profile.observed()) {
    next = "seep run --help    what can be observed, and how";
  } else if (report.options.short_report) {
    next = "seep report " + paths;
  } else if (!report.options.full) {
    const std::string sites =
        profile.sites.size() == 1 ? "" : "all " + human_count(profile.sites.size(), "site") + ", ";
    next = absl::StrFormat("seep report --full %s    %swhole stacks", paths, sites);
  } else {
    next = absl::StrFormat("seep report --format json %s    the same for programs", paths);
  }
  absl::StrAppendFormat(&report.output, "%sNext: %s%s\n", report.style.dim, next, report.style.plain);
}

size_t sites_to_show(const Profile& profile, const ReportOptions& options, size_t news_sites) {
  if (options.top) return std::min(*options.top, profile.sites.size());
  if (options.full) return profile.sites.size();
  return std::min(kDefaultSites, news_sites);
}

// Where every block has a verdict only those are shown that are, or may be, leaked.
size_t short_report_sites(const TextReport& report) {
  const Profile& profile = report.profile;
  if (!profile.judgement.in_classes || profile.sampled || !every_block_is_judged(profile)) return report.news_sites;
  return static_cast<size_t>(std::count_if(profile.sites.begin(), profile.sites.end(), [](const Site& site) {
    return site.is_leak() || site.judgement.possible.blocks.value() > 0;
  }));
}

}  // namespace

std::string who_ran(const Profile& profile) {
  const std::string text = command_line(profile.processes.front());
  if (profile.processes.size() == 1) return text;
  return text + " and " + human_count(profile.processes.size() - 1, "more process");
}

std::string how_it_ran(const Profile& profile) {
  const ProcessSummary& first = profile.processes.front();
  const std::string end = profile.processes.size() == 1 ? described_end(first) : described_end(first) + " (the first)";
  return absl::StrFormat("pid %d, %s%s, %s", first.pid, mode(profile), human_duration(profile.duration_ns), end);
}

void write_text_report(const Profile& profile, const ReportOptions& options, std::string& output) {
  TextReport report{.profile = profile, .options = options, .style = Style(options.color), .output = output};
  report.news_sites = static_cast<size_t>(std::count_if(profile.sites.begin(), profile.sites.end(), is_news));
  report.shown_sites = sites_to_show(profile, options, report.news_sites);
  if (options.short_report) report.shown_sites = std::min(report.shown_sites, short_report_sites(report));
  write_title(report);
  if (profile.observed()) {
    write_headline(report);
    write_growth(report);
    for (size_t index = 0; index < report.shown_sites; ++index) write_site(report, index);
    if (options.short_report) {
      write_other_sites(report);
    } else {
      write_unknown_frees(report);
      write_totals(report);
      write_processes(report);
    }
  } else {
    write_not_observed(report);
  }
  write_coverage(report);
  if (!options.short_report) write_missing_symbols(report);
  write_next(report);
}

}  // namespace seep
