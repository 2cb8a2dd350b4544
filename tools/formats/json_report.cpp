// SPDX-License-Identifier: Apache-2.0
// The JSON report: the contract with programs, schema "seep.report/1". Keys are only ever added.
//
// Growth before the end, of processes that ended in another way than by exit or exec, or still run:
//   processes[].growth_span_ns    the time that it was measured in: at least 10 s up to the last snapshot, as the
//                                 snapshots before allow, or since the process's start where there is none so old; null
//                                 where the process has no part in the growth
//   sites[] and totals: growth_bytes, growth_blocks
//                                 how much more, or less (negative), was live at the end of that time than before it,
//                                 summed over those processes; null where there are none. Sampled: an estimate, with
//                                 growth_bytes_interval and growth_blocks_interval at 95 %
// How it ended, and what is missing there:
//   processes[].oom_killed        signal 9 came from the kernel, for want of memory (as far as its own counter tells)
//   processes[].tail_lost         what the process did after its last snapshot is not in the recording;
//   coverage.lost_tails           of so many processes. It is not known how much that is: `fraction` is without it
//   processes[].sandboxed_ns      when it put itself into a sandbox that kept seep from writing inside it; null: not
// Frees of blocks that are not known (exact mode; freed twice, another allocator's, or older than the recording):
//   coverage.unknown_frees        how many
//   unknown_frees[]               frees, fingerprint, frames: from where, most first, all of them
// Verdicts of leak scans; where there was no scan they are null:
//   processes[].scan              the last leak scan that gave verdicts, and
//   processes[].failed_scan       a later one that gave none: see json_scan.h
//   processes[].judged_at_end     a scan at exit gave verdicts, or nothing was left to judge
//   coverage.unjudged_processes   observed processes that ended, otherwise than by exec, with blocks left (sampled:
//                                 samples) of which no scan at the end said what they are. A process that was replaced
//                                 by exec lost its memory then, and a running one has not ended: neither counts
//   sites[].verdict               the worst that any of its blocks has: definite, indirect, possible, reachable; live
//                                 where none was judged
//   sites[] and totals: definite_bytes, definite_blocks, and so for indirect, possible, reachable
//                                 as of the scan: what was freed since is still in them. Exact, of a scan at exit, the
//                                 four add up to live. Sampled there is definite alone, an estimate of what no pointer
//                                 points to; the others are null
//   sites[].held_bytes, held_blocks
//                                 what hangs from the definite blocks: indirect ones, of whatever site
//   sites[].freed_by              where a site has definite blocks, and others were freed: from where most often. Of
//                                 frees_looked_at at least frees_seen were from there; with fingerprint and frames
//   sites[].suppressed            the pattern of the program's own suppressions that matches the site; its verdict and
//                                 classes stay what they are
//   totals.leaked_bytes, leaked_blocks
//                                 what is definite or indirect, but for
//   totals.suppressed_bytes, suppressed_blocks
//                                 what is definite at such sites, and what that holds
//   processes[].thinned_snapshots so many snapshots were taken out of the stream again: no number at the end is lost
#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/format.h"
#include "formats/json_parts.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

ordered_json unknown_frees_json(const UnknownFrees& freed) {
  ordered_json object;
  object["frees"] = freed.frees;
  object["fingerprint"] = fingerprint_text(freed.fingerprint);
  object["frames"] = frames_json(freed.frames(), freed.runtime_frames);
  return object;
}

// What stands before the sites: they are written one by one, for there may be more than fit into memory as objects.
ordered_json without_sites(const Profile& profile) {
  ordered_json report;
  report["schema"] = "seep.report/1";
  report["processes"] = ordered_json::array();
  for (const ProcessSummary& process : profile.processes) report["processes"].push_back(process_json(process));
  put(report["totals"], profile.totals);
  put(report["totals"], profile.judgement);
  put(report["totals"], "leaked", profile.leaked, profile.judged());
  put(report["totals"], "suppressed", profile.suppressed, profile.judged());
  put(report["totals"], profile.growth, profile.has_growth());
  report["coverage"] = coverage_json(profile.coverage);
  report["unknown_frees"] = ordered_json::array();
  for (const UnknownFrees& freed : profile.unknown_frees) report["unknown_frees"].push_back(unknown_frees_json(freed));
  return report;
}

// More sites than this no one reads: then a site is a line, which takes a third of the space.
constexpr size_t kIndentedSites = 100;

}  // namespace

void write_json_report(const Profile& profile, const ReportOptions& options, std::string& output) {
  const size_t count = std::min(options.top.value_or(profile.sites.size()), profile.sites.size());
  const bool has_growth = profile.has_growth();
  const bool indented = count <= kIndentedSites;
  std::string head = dumped(without_sites(profile), 2);
  head.resize(head.rfind("\n}"));
  output += head + ",\n  \"sites\": [";
  for (size_t index = 0; index < count; ++index) {
    std::string site = dumped(site_json(profile.sites[index], has_growth), indented ? 2 : -1);
    for (size_t line = 0; indented && (line = site.find('\n', line)) != std::string::npos; line += 5) {
      site.insert(line + 1, "    ");
    }
    output += (index == 0 ? "\n    " : ",\n    ") + site;
  }
  output += count == 0 ? "]\n}\n" : "\n  ]\n}\n";
}

}  // namespace seep
