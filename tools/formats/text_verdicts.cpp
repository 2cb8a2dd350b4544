// SPDX-License-Identifier: Apache-2.0
// What the text report says about verdicts: is there a leak, how much, how that was found out, and what hides from it.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

// Leaks are told of by the millisecond: what is paused notices that much.
std::string described_pause(uint64_t pause_ns) {
  constexpr uint64_t kTenMilliseconds = 10'000'000;
  if (pause_ns >= kTenMilliseconds) return human_duration(pause_ns);
  return absl::StrFormat("%.1f ms", static_cast<double>(pause_ns) * 1e-6);
}

std::vector<const ProcessSummary*> judged_processes(const Profile& profile) {
  std::vector<const ProcessSummary*> judged;
  for (const ProcessSummary& process : profile.processes) {
    if (process.scan) judged.push_back(&process);
  }
  return judged;
}

// No process is judged by a scan before its end.
bool are_all_at_exit(const Profile& profile) {
  return std::all_of(profile.processes.begin(), profile.processes.end(), [](const ProcessSummary& process) {
    return !process.scan || process.scan->trigger() == proto::Scan::EXIT;
  });
}

// "at exit", or when else the scans were.
std::string moment_of_scans(const Profile& profile) {
  if (are_all_at_exit(profile)) return "at exit";
  const auto judged = judged_processes(profile);
  if (judged.size() > 1) return "at the last leak scans";
  return "at the leak scan, " + human_duration(judged.front()->scan->time_ns()) + " after the start";
}

// From the first allocation of the sites that leak to their last.
std::string since_when(const Profile& profile) {
  uint64_t first_ns = std::numeric_limits<uint64_t>::max();
  uint64_t last_ns = 0;
  for (const Site& site : profile.sites) {
    if (!site.is_leak()) continue;
    first_ns = std::min(first_ns, site.first_allocated_ns);
    last_ns = std::max(last_ns, site.last_allocated_ns);
  }
  return absl::StrFormat("the first of which allocated after %s, the last after %s of %s", human_duration(first_ns),
                         human_duration(last_ns), human_duration(profile.duration_ns));
}

void write_leaked(const TextReport& report) {
  const Profile& profile = report.profile;
  absl::StrAppendFormat(&report.output, "%s%sLeaked %s: %s%s%s in %s", report.style.bold, report.style.accent,
                        moment_of_scans(profile), profile.sampled ? "at least " : "",
                        described_bytes(profile.leaked.bytes), report.style.plain,
                        described_blocks(profile.leaked.blocks));
  const auto leaks =
      std::count_if(profile.sites.begin(), profile.sites.end(), [](const Site& s) { return s.is_leak(); });
  if (leaks > 0) {
    absl::StrAppendFormat(&report.output, ", from %s,\n%s", human_count(static_cast<uint64_t>(leaks), "site"),
                          since_when(profile));
  }
  report.output += ".\n";
  if (profile.inherited_leaks.blocks.value() > 0) {
    absl::StrAppendFormat(&report.output, "Of it %s hang from lost blocks that a process inherited.\n",
                          described(profile.inherited_leaks));
  }
}

// Not one leak: as much as can be said then, and no more.
void write_no_leak(const TextReport& report) {
  const Profile& profile = report.profile;
  const BlocksAndBytes& possible = profile.judgement.possible;
  const std::string when = moment_of_scans(profile);
  const std::string live = described(profile.totals.live);
  if (profile.sampled) {
    absl::StrAppendFormat(&report.output, "%sNo leak is proved %s%s, of %s still live.\n", report.style.bold, when,
                          report.style.plain, live);
  } else if (possible.blocks.value() > 0) {
    absl::StrAppendFormat(&report.output, "%sPossibly leaked %s: %s%s in %s; nothing is definitely leaked.\n",
                          report.style.bold, when, described_bytes(possible.bytes), report.style.plain,
                          described_blocks(possible.blocks));
  } else if (profile.suppressed.blocks.value() > 0) {
    absl::StrAppendFormat(&report.output, "%sNo leak %s%s but suppressed ones.\n", report.style.bold, when,
                          report.style.plain);
  } else if (!every_block_is_judged(profile)) {
    absl::StrAppendFormat(&report.output, "%sNo leak %s%s where a leak scan ran; %s still live in all.\n",
                          report.style.bold, when, report.style.plain, live);
  } else {
    absl::StrAppendFormat(&report.output, "%sNo leak %s%s: the program can still get at all that is live, %s.\n",
                          report.style.bold, when, report.style.plain, described(profile.judgement.reachable));
  }
}

void write_suppressed(const TextReport& report) {
  const Profile& profile = report.profile;
  if (profile.suppressed.blocks.value() <= 0) return;
  const auto sites = std::count_if(profile.sites.begin(), profile.sites.end(),
                                   [](const Site& site) { return !site.suppressed_by.empty(); });
  absl::StrAppendFormat(&report.output,
                        "Not counted as leaked: %s, from %s that the program itself suppresses "
                        "(__lsan_default_suppressions).\n",
                        described(profile.suppressed), human_count(static_cast<uint64_t>(sites), "site"));
}

TextRow class_row(const char* name, const BlocksAndBytes& sum, bool sampled) {
  return {name, table_cell(sum.bytes, sampled), table_cell(sum.blocks, sampled)};
}

// What the words mean stands beside them: a reader has met them, if anywhere, in Valgrind.
void write_classes(const TextReport& report) {
  const Profile& profile = report.profile;
  const Judgement& judgement = profile.judgement;
  BlocksAndBytes unjudged, replaced;
  for (const ProcessSummary& process : profile.processes) {
    if (!process.scan) (process.ended == Ended::kExec ? replaced : unjudged) += process.activity.live;
  }
  const bool sampled = profile.sampled;
  std::vector<TextRow> rows = {{"Verdict", "bytes", "blocks"}};
  std::vector<std::string> meanings = {""};
  const auto add = [&](const char* name, const BlocksAndBytes& sum, const char* meaning) {
    rows.push_back(class_row(name, sum, sampled));
    meanings.emplace_back(meaning);
  };
  add("definite", judgement.definite,
      judgement.in_classes ? "lost: no pointer leads there" : "no pointer points there");
  if (judgement.in_classes) {
    add("indirect", judgement.indirect, "lost with them: only lost blocks lead there");
    add("possible", judgement.possible, "only pointers into the middle lead there");
    add("reachable", judgement.reachable, "the program can still get at it");
  }
  if (unjudged.blocks.value() > 0) add("not judged", unjudged, "in processes without a leak scan");
  if (replaced.blocks.value() > 0) add("gone at exec", replaced, "in processes that another program replaced");
  add("all live", profile.totals.live, "");
  write_table(report, rows, meanings);
  report.output += '\n';
}

// "16 threads stopped by ptrace", of one scan or of several.
std::string how_stopped(const std::vector<const ProcessSummary*>& judged) {
  std::set<std::string> ways;
  uint64_t threads = 0;
  for (const ProcessSummary* process : judged) {
    threads += process->scan->stopped_threads();
    if (process->scan->stop() == proto::Scan::BY_PTRACE) ways.insert("ptrace");
    if (process->scan->stop() == proto::Scan::BY_SIGNAL) ways.insert("a signal");
  }
  if (ways.empty()) return "no other thread ran";
  std::string text = human_count(threads, "thread") + " stopped by " + *ways.begin();
  return ways.size() == 1 ? text : text + " or " + *ways.rbegin();
}

std::string how_found(const Profile& profile) {
  const auto judged = judged_processes(profile);
  uint64_t searched_bytes = 0, pause_ns = 0;
  bool in_copy = false;
  for (const ProcessSummary* process : judged) {
    searched_bytes += process->scan->searched_bytes();
    pause_ns = std::max(pause_ns, process->scan->pause_ns());
    in_copy |= process->scan->in_copy();
  }
  const bool alone = judged.size() == 1;
  std::string text = alone ? "The leak scan" : absl::StrFormat("The leak scans of %d processes", judged.size());
  absl::StrAppendFormat(&text, " searched %s for pointers%s: %s, %s%s.",
                        human_bytes(static_cast<double>(searched_bytes)), in_copy ? " in a copy of the process" : "",
                        how_stopped(judged), alone ? "for " : "for at most ", described_pause(pause_ns));
  return text;
}

// How sure it is, in general; what is amiss with single scans is among what was not seen.
void write_how_sure(const TextReport& report) {
  const Profile& profile = report.profile;
  if (profile.sampled) {
    report.output +=
        "Sampled: figures are estimates, with the 95 % interval beside them. That a definite block is lost is proved,\n"
        "apart from encoded, unaligned or kernel-held pointers; what else is leaked stays live, so this is a lower "
        "bound.\n";
  } else {
    const bool all = every_block_is_judged(profile) && are_all_at_exit(profile);
    report.output += "Exact: every byte of every recorded allocation is counted";
    report.output += all ? ", and every block has a verdict.\n" : ".\n";
  }
  report.output += how_found(profile) + "\n";
  if (!are_all_at_exit(profile)) report.output += "What was allocated or freed after a scan is not in its verdicts.\n";
  report.output += '\n';
}

std::string failed(const ProcessSummary& process) {
  if (!process.failed_scan) return {};
  const proto::Scan& scan = *process.failed_scan;
  const std::string when =
      scan.trigger() == proto::Scan::EXIT ? "at exit" : human_duration(scan.time_ns()) + " after its start";
  std::string text = absl::StrFormat("the leak scan %s gave no verdict: %s", when, why_failed(scan.failure()));
  if (scan.missed_threads() > 0) absl::StrAppendFormat(&text, " (%d ran on)", scan.missed_threads());
  if (process.scan) text += "; verdicts are as of an earlier one";
  return text;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

// Of several processes: the headline does not say when it was.
std::string since_scan(const ProcessSummary& process) {
  if (!process.scan || process.scan->trigger() == proto::Scan::EXIT) return {};
  return "what it allocated or freed after its leak scan, " + human_duration(process.scan->time_ns()) +
         " after its start, has no verdict";
}

// Where a leak may be none.
std::string hidden_pointers(const ProcessSummary& process) {
  if (!process.scan) return {};
  std::vector<std::string> parts;
  if (process.scan->unread_bytes() > 0) {
    parts.push_back(human_bytes(static_cast<double>(process.scan->unread_bytes())) + " that could not be read");
  }
  if (process.scan->epoll_unread()) parts.emplace_back("what epoll holds");
  if (process.scan->timers_unread()) parts.emplace_back("what timers hold");
  if (process.scan->missed_threads() > 0)
    parts.push_back(human_count(process.scan->missed_threads(), "running thread"));
  return parts.empty() ? ""
                       : "not searched for pointers: " + joined(parts) + "; what only this leads to is called lost";
}

// Where what is live may be leaked.
std::string coarse(const ProcessSummary& process) {
  if (!process.scan) return {};
  std::vector<std::string> parts;
  if (process.scan->heap_as_roots()) parts.emplace_back("all of the heap, as not every live block was known");
  if (process.scan->unknown_stacks() > 0) {
    parts.push_back(human_count(process.scan->unknown_stacks(), "stack") + " of unknown bounds");
  }
  if (process.scan->overlapping_blocks() > 0) {
    parts.push_back(human_count(process.scan->overlapping_blocks(), "block") + " whose memory others share");
  }
  return parts.empty() ? "" : "taken for in use: " + joined(parts) + "; leaks that hide there are called reachable";
}

}  // namespace

const char* why_failed(proto::Scan::Failure failure) {
  switch (failure) {
    case proto::Scan::THREADS_RAN_ON: return "not all threads could be stopped";
    case proto::Scan::OUT_OF_TIME: return "it took longer than it may (option scan_limit)";
    case proto::Scan::NO_MEMORY: return "there was no memory for it";
    case proto::Scan::NO_MAPS: return "/proc/self/maps could not be read";
    case proto::Scan::COPY_DIED: return "the copy of the process that searched was killed";
    default: return "for an unknown reason";
  }
}

bool every_block_is_judged(const Profile& profile) {
  return std::all_of(profile.processes.begin(), profile.processes.end(), [](const ProcessSummary& process) {
    const bool needs_none = process.ended == Ended::kExec || process.activity.live.blocks.value() == 0;
    return !process.observed || process.scan || needs_none;
  });
}

void write_verdicts(const TextReport& report) {
  const Profile& profile = report.profile;
  if (profile.leaked.blocks.value() > 0) {
    write_leaked(report);
  } else {
    write_no_leak(report);
  }
  write_suppressed(report);
  report.output += '\n';
  write_classes(report);
  write_how_sure(report);
}

std::string no_verdict(const Profile& profile) {
  const bool any_failed = std::any_of(profile.processes.begin(), profile.processes.end(),
                                      [](const ProcessSummary& process) { return process.failed_scan.has_value(); });
  return any_failed ? "The leak scan gave no verdict (see below): live is not yet leaked."
                    : "No leak scan ran: live is not yet leaked.";
}

std::vector<std::string (*)(const ProcessSummary&)> unseen_by_scans(const Profile& profile) {
  if (profile.processes.size() == 1) return {failed, hidden_pointers, coarse};
  return {failed, since_scan, hidden_pointers, coarse};
}

}  // namespace seep
