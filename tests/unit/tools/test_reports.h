// SPDX-License-Identifier: Apache-2.0
// Reports for tests: from the messages of streams to a profile, its text and its JSON. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/format.h"
#include "leaks/profile.h"
#include "test_streams.h"

namespace seep::testing {

using Messages = std::vector<proto::Message>;

// A recording of these streams.
inline Profile profile_of(const std::vector<Messages>& streams) {
  const TemporaryDirectory directory;
  for (size_t index = 0; index < streams.size(); ++index) {
    Messages stream = streams[index];  // Each is a recording of its own.
    if (stream[0].has_header()) stream[0].mutable_header()->mutable_recording_id()->back() = static_cast<char>(index);
    directory.write(std::to_string(index) + ".seep", stream_of(stream));
  }
  Symbolizer symbolizer;
  return build_profile(load_recording({directory.path()}), symbolizer, [](size_t, size_t) {});
}

inline std::string text_of(const Profile& profile, ReportOptions options = {}) {
  if (options.next_command_paths.empty()) options.next_command_paths = "DIR";
  std::string output;
  write_text_report(profile, options, output);
  return output;
}

inline nlohmann::json json_of(const Profile& profile, const ReportOptions& options = {}) {
  std::string output;
  write_json_report(profile, options, output);
  return nlohmann::json::parse(output);
}

inline bool contains(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

// The small recording, sampled: the plain counts are of samples now.
inline Messages sampled_recording() {
  Messages messages = small_recording();
  messages[0].mutable_header()->set_sample_bytes(524288);
  for (auto& counters : *messages[3].mutable_counters()->mutable_counters()) {
    const double live = static_cast<double>(counters.alloc_blocks() - counters.free_blocks());
    const auto fill = [](proto::WeightedSum& sum, double samples) {
      sum.set_blocks(samples * 5000);
      sum.set_bytes(samples * 524288);
      sum.set_blocks_variance(static_cast<float>(samples * 5000 * 5000));
      sum.set_bytes_variance(static_cast<float>(samples * 524288 * 524288));
    };
    fill(*counters.mutable_alloc_estimate(), static_cast<double>(counters.alloc_blocks()));
    fill(*counters.mutable_live_estimate(), live);
    fill(*counters.mutable_temporary_estimate(), static_cast<double>(counters.temporary_blocks()));
  }
  return messages;
}

}  // namespace seep::testing
