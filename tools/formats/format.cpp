// SPDX-License-Identifier: Apache-2.0
// The formats there are.
#include "formats/format.h"

#include <algorithm>
#include <array>

namespace seep {
namespace {

constexpr std::array<Format, 7> kFormats = {{
    {"text", "for people", write_text_report, write_gate_text, write_difference_text},
    {"json", "one object, schema seep.report/1, seep.gate/1 or seep.diff/1", write_json_report, write_gate_json,
     write_difference_json},
    {"sarif", "SARIF 2.1.0, as GitHub reads it", nullptr, write_gate_sarif, write_difference_sarif},
    {"junit", "JUnit's XML, a test case for each thing looked at", nullptr, write_gate_junit, write_difference_junit},
    {"annotations", "GitHub's workflow commands, shown at lines", nullptr, write_gate_annotations,
     write_difference_annotations},
    {"markdown", "a summary in GitHub's Markdown", nullptr, write_gate_markdown, write_difference_markdown},
    {"valgrind", "a log in Valgrind's words, as CTest reads it", nullptr, write_gate_valgrind, nullptr},
}};

}  // namespace

std::span<const Format> all_formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  const auto found =
      std::find_if(kFormats.begin(), kFormats.end(), [name](const Format& format) { return format.name == name; });
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace seep
