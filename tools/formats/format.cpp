// SPDX-License-Identifier: Apache-2.0
// The formats there are.
#include "formats/format.h"

#include <algorithm>
#include <array>

namespace seep {
namespace {

constexpr std::array<Format, 2> kFormats = {{
    {"text", "for people", write_text_report, write_gate_text},
    {"json", "one object, schema seep.report/1 or seep.gate/1", write_json_report, write_gate_json},
}};

}  // namespace

std::span<const Format> all_formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  const auto found =
      std::find_if(kFormats.begin(), kFormats.end(), [name](const Format& format) { return format.name == name; });
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace seep
