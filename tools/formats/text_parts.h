// SPDX-License-Identifier: Apache-2.0
// The parts of the text report, each a file: what a site looks like, and what stands below the sites.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "formats/format.h"
#include "seep.pb.h"

namespace seep {

// Colours, or nothing in their place.
struct Style {
  explicit Style(bool color)
      : bold(color ? "\033[1m" : ""),
        dim(color ? "\033[2m" : ""),
        accent(color ? "\033[1;33m" : ""),
        plain(color ? "\033[0m" : "") {}

  const char* bold;
  const char* dim;
  const char* accent;
  const char* plain;
};

struct TextReport {
  const Profile& profile;
  const ReportOptions& options;
  Style style;
  size_t shown_sites = 0;  // So many of the ranked sites are shown.
  size_t news_sites = 0;   // So many have leaked or live blocks, or may have: they come first.
  std::string& output;
};

// Rows of cells, the first row being the head: the first column to the left, the others to the right, and behind each
// row a remark, if there are any.
using TextRow = std::vector<std::string>;
void write_table(const TextReport& report, const std::vector<TextRow>& rows,
                 const std::vector<std::string>& remarks = {});

// A whole number, so that a column adds up to its last digit; estimates are marked as such.
std::string table_cell(const Measure& measure, bool sampled);

// Where a leak scan ran: is anything leaked, how much, and how that was found out.
void write_verdicts(const TextReport& report);

// Every process that still held blocks had a leak scan; but where another program replaced one, nothing is left.
bool every_block_is_judged(const Profile& profile);

// Where none gave a verdict: that, and what it means.
std::string no_verdict(const Profile& profile);

// What scans of a process may have overlooked, a kind each: in words, or nothing.
std::vector<std::string (*)(const ProcessSummary&)> unseen_by_scans(const Profile& profile);

// A headline of figures, then the stack.
void write_site(const TextReport& report, size_t index);

// A line for each function of a stack, as far as the options want.
void write_stack(const TextReport& report, const ShownStack& site);

// Where blocks were freed that are not known, if there are any.
void write_unknown_frees(const TextReport& report);

// Shown and other sites add up to the total.
void write_totals(const TextReport& report);

// One row each, where there is more than one.
void write_processes(const TextReport& report);

// What was not seen, or that everything was.
void write_coverage(const TextReport& report);

// Why a leak scan gave no verdict, in words.
const char* why_failed(proto::Scan::Failure failure);

// Of a profile with processes: "./server --port 80 and 2 more processes", and "pid 4711, exact, 17 ms, exited with 0".
std::string who_ran(const Profile& profile);
std::string how_it_ran(const Profile& profile);

// How a process ended, in words: "exited with 0", "killed by SIGSEGV (segmentation fault)".
std::string described_end(const ProcessSummary& process);

// "cc1plus" of "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus".
std::string program_name(const ProcessSummary& process);

}  // namespace seep
