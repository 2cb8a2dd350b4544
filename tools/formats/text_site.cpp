// SPDX-License-Identifier: Apache-2.0
// One site in the text report.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <vector>

#include "formats/human.h"
#include "formats/text_parts.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

constexpr size_t kIndent = 6;
constexpr size_t kFunctionColumns = 62;
constexpr size_t kPathColumns = 44;
// A stack longer than this is shown without its middle.
constexpr size_t kFoldedFrames = 8;
constexpr size_t kFramesAfterGap = 1;
constexpr size_t kShortReportFrames = 5;
constexpr size_t kShownThreads = 4;
constexpr size_t kShownUnknownFrees = 3;

struct Line {
  std::string function;
  std::string place;
  size_t repeated = 1;
};

// Where a frame is: its source line, or at least its file.
std::string place_of(const Frame& frame, bool full) {
  if (frame.file.empty()) return frame.module.empty() ? "" : printable(module_base_name(frame.module));
  const std::string path = full ? printable(frame.file) : shortened_path(frame.file, kPathColumns);
  return frame.line == 0 ? path : absl::StrFormat("%s:%d", path, frame.line);
}

std::vector<Line> lines_of(const ShownStack& site, bool full) {
  std::vector<Line> lines;
  const size_t begin = full ? 0 : site.runtime_frames;
  const Stack frames = site.frames();
  const size_t end = frames.size() - (full ? 0 : site.starting_frames);
  for (size_t index = begin; index < end; ++index) {
    const Frame& frame = *frames[index];
    Line line{full ? printable(frame.function) : shortened_function(frame.function, kFunctionColumns),
              place_of(frame, full)};
    if (frame.inlined && full) line.function += " [inlined]";
    const bool again = !lines.empty() && lines.back().function == line.function && lines.back().place == line.place;
    if (again) {
      ++lines.back().repeated;
    } else {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

// "never freed", or how much of what it allocated has been.
std::string freed_so_far(const Site& site) {
  const double all = site.activity.alloc.blocks.value();
  const double live = site.activity.live.blocks.value();
  if (site.activity.freed_samples == 0) return "never freed";
  if (site.activity.alloc.blocks.sampled) return absl::StrFormat("%s freed", human_share(all - live, all));
  return absl::StrFormat("%s of %s freed", human_count(whole_count(all - live)), human_count(whole_count(all)));
}

std::string allocated_when(const Site& site, uint64_t duration_ns) {
  const std::string first = human_duration(site.first_allocated_ns);
  const std::string last = human_duration(site.last_allocated_ns);
  const std::string all = human_duration(duration_ns);
  if (first == last) return absl::StrFormat("allocated at %s of %s", first, all);
  return absl::StrFormat("allocated from %s to %s of %s", first, last, all);
}

// Nothing where only the thread allocated that has the program's own name: that is no news.
std::string threads_of(const Site& site, const Profile& profile) {
  if (site.thread_names.empty()) return {};
  const auto has_this_name = [&site](const ProcessSummary& process) {
    constexpr size_t kKernelNameBytes = 15;
    const std::string called = process.command.empty() ? "" : process.command.front();
    return program_name(process).substr(0, kKernelNameBytes) == site.thread_names.front() ||
           module_base_name(called).substr(0, kKernelNameBytes) == site.thread_names.front();
  };
  const bool only_main = site.thread_names.size() == 1 && !site.more_thread_names;
  if (only_main && std::any_of(profile.processes.begin(), profile.processes.end(), has_this_name)) return {};
  std::string text = site.thread_names.size() == 1 && !site.more_thread_names ? ", thread " : ", threads ";
  for (size_t index = 0; index < std::min(site.thread_names.size(), kShownThreads); ++index) {
    if (index > 0) text += ", ";
    text += printable(site.thread_names[index]);
  }
  if (site.more_thread_names || site.thread_names.size() > kShownThreads) text += " and more";
  return text;
}

// What a site is in the report for: what of it is leaked, or may be, or else what is live.
struct Figure {
  const char* word;  // Its verdict; empty where no scan ran.
  BlocksAndBytes sum;
  double of_bytes;  // What it is a share of.
};

Figure figure_of(const Site& site, const Profile& profile) {
  const Judgement& judgement = site.judgement;
  if (site.is_leak()) return {"definite: ", judgement.definite, profile.leaked.bytes.value()};
  const double live = profile.totals.live.bytes.value();
  if (judgement.possible.blocks.value() > 0 && judgement.worst() == Verdict::kPossible) {
    return {"possible: ", judgement.possible, live};
  }
  const BlocksAndBytes& all = site.activity.live;
  if (!judgement.in_classes || all.blocks.sampled) return {profile.judged() ? "live: " : "", all, live};
  switch (judgement.worst()) {
    case Verdict::kDefinite: return {"suppressed: ", all, live};
    case Verdict::kIndirect: return {"indirect: ", judgement.indirect, live};
    case Verdict::kPossible: return {"possible: ", judgement.possible, live};
    case Verdict::kReachable: return {"reachable: ", judgement.reachable, live};
    case Verdict::kLive: break;
  }
  return {"live: ", all, live};
}

// ", and holds 1,200 bytes (1.17 KiB) in 30 blocks more".
std::string held_by(const Site& site) {
  if (!site.is_leak() || site.judgement.held.blocks.value() <= 0) return {};
  return ", and holds " + described(site.judgement.held) + " more";
}

// The other verdicts that blocks of the site have, besides that of its headline.
std::string other_verdicts(const Site& site) {
  const Judgement& judgement = site.judgement;
  const Verdict worst = judgement.worst();
  std::string text;
  const auto add = [&](Verdict verdict, const BlocksAndBytes& sum, const char* word) {
    if (verdict == worst || sum.blocks.value() <= 0) return;
    text += (text.empty() ? "besides " : ", ") + described(sum) + " " + word;
  };
  add(Verdict::kIndirect, judgement.indirect, "indirect");
  add(Verdict::kPossible, judgement.possible, "possible");
  add(Verdict::kReachable, judgement.reachable, "reachable");
  return text;
}

// The missing free: where others of the site are freed.
void write_freed_from(const TextReport& report, const Site& site) {
  if (!site.freed_from) return;
  const FreedFrom& freed = *site.freed_from;
  const bool usually = freed.frees_seen > freed.frees_looked_at / 2;
  absl::StrAppendFormat(&report.output, "%*sblocks of this site are %s freed from (at least %s of %s looked at)\n",
                        kIndent, "", usually ? "usually" : "also", human_count(freed.frees_seen),
                        human_count(freed.frees_looked_at, "free"));
  write_stack(report, freed);
}

}  // namespace

void write_stack(const TextReport& report, const ShownStack& site) {
  const std::vector<Line> lines = lines_of(site, report.options.full);
  const size_t limit = report.options.full           ? lines.size()
                       : report.options.short_report ? kShortReportFrames
                                                     : kFoldedFrames;
  const bool gap = lines.size() > limit;
  const size_t before_gap = gap ? limit - kFramesAfterGap : lines.size();
  size_t width = 0;
  const auto shown = [&](size_t index) { return index < before_gap || index + kFramesAfterGap >= lines.size(); };
  for (size_t index = 0; index < lines.size(); ++index) {
    if (shown(index)) width = std::max(width, columns(lines[index].function));
  }
  width = std::min(width, kFunctionColumns);
  for (size_t index = 0; index < lines.size(); ++index) {
    if (!shown(index)) {
      if (index == before_gap) {
        absl::StrAppendFormat(&report.output, "%*s%s... %s ...%s\n", kIndent, "", report.style.dim,
                              human_count(lines.size() - limit, "more frame"), report.style.plain);
      }
      continue;
    }
    const Line& line = lines[index];
    const std::string times = line.repeated > 1 ? absl::StrFormat("  (%d times)", line.repeated) : "";
    absl::StrAppendFormat(&report.output, "%*s%s%s%s  %s%s%s%s\n", kIndent, "", index == 0 ? report.style.bold : "",
                          padded(line.function, width), report.style.plain, report.style.dim, line.place,
                          report.style.plain, times);
  }
  if (site.cut) absl::StrAppendFormat(&report.output, "%*s(the stack is cut here)\n", kIndent, "");
}

void write_site(const TextReport& report, size_t index) {
  const Site& site = report.profile.sites[index];
  const Figure figure = figure_of(site, report.profile);
  const double bytes = figure.sum.bytes.value() + (site.is_leak() ? site.judgement.held.bytes.value() : 0);
  std::string share = human_share(bytes, figure.of_bytes);
  if (!share.empty() && report.profile.judged()) share += site.is_leak() ? " of what is leaked" : " of what is live";
  absl::StrAppendFormat(&report.output, "%s%4s%s  %s%s%s%s in %s%s%s\n", report.style.dim,
                        absl::StrFormat("#%d", index + 1), report.style.plain, figure.word, report.style.accent,
                        described_bytes(figure.sum.bytes), report.style.plain, described_blocks(figure.sum.blocks),
                        held_by(site), share.empty() ? "" : ", " + share);
  const std::string others = other_verdicts(site);
  if (!others.empty()) absl::StrAppendFormat(&report.output, "%*s%s\n", kIndent, "", others);
  if (!site.suppressed_by.empty()) {
    absl::StrAppendFormat(&report.output, "%*ssuppressed by the program itself: leak:%s\n", kIndent, "",
                          printable(site.suppressed_by));
  }
  std::string details = allocated_when(site, report.profile.duration_ns) + ", " + freed_so_far(site);
  details += threads_of(site, report.profile);
  if (site.traces > 1) details += ", " + human_count(site.traces, "stack") + " (the largest is shown)";
  if (site.processes > 1) details += ", " + human_count(site.processes, "process");
  if (report.options.full) details += ", fingerprint " + fingerprint_text(site.fingerprint);
  absl::StrAppendFormat(&report.output, "%*s%s\n", kIndent, "", details);
  write_stack(report, site);
  write_freed_from(report, site);
  report.output += '\n';
}

void write_unknown_frees(const TextReport& report) {
  const std::vector<UnknownFrees>& all = report.profile.unknown_frees;
  if (all.empty()) return;
  uint64_t frees = 0;
  for (const UnknownFrees& freed : all) frees += freed.frees;
  absl::StrAppendFormat(
      &report.output,
      "%sFreed, but not known%s: %s, of blocks that were freed before or whose allocation was not seen.\n",
      report.style.accent, report.style.plain, human_count(frees, "time"));
  const size_t count = report.options.full ? all.size() : std::min(all.size(), kShownUnknownFrees);
  for (size_t index = 0; index < count; ++index) {
    absl::StrAppendFormat(&report.output, "      %s from\n", human_count(all[index].frees, "free"));
    write_stack(report, all[index]);
  }
  if (count < all.size())
    absl::StrAppendFormat(&report.output, "      and %s\n", human_count(all.size() - count, "more stack"));
  report.output += '\n';
}

}  // namespace seep
