// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a stream, as far as `seep report`, `seep gate` and `seep diff` go with it: the model, a profile, a
// verdict, a comparison, and every format. The symbolizer opens no file, and is_running() only ones under /proc. One
// thread.
#include <nlohmann/json.hpp>

#include "formats/difference_report.h"
#include "formats/format.h"
#include "formats/gate_report.h"
#include "framed_mutator.h"
#include "leaks/profile.h"
#include "recording/byte_source.h"
#include "recording/recording.h"
#include "recording/stream_reader.h"

namespace {

using namespace seep;

// A path that is not absolute is no file to the symbolizer.
void name_no_files(proto::Message& message) {
  if (!message.has_modules()) return;
  for (proto::Module& module : *message.mutable_modules()->mutable_modules()) {
    if (module.path().starts_with('/')) module.set_path("-" + module.path());
  }
}

// What is JSON must be that, whatever the names in it are.
void check(const Format& format, const std::string& text) {
  const bool is_json = format.name == "json" || format.name == "sarif";
  if (is_json && !nlohmann::json::accept(text)) __builtin_trap();
}

void write_verdict(const Profile& profile) {
  const Policy policy{.fail = {Verdict::kLive}};
  const GateVerdict verdict = judge(profile, {}, policy, nullptr, std::chrono::year(2026) / 11 / 27);
  const Difference difference = difference_between({}, profile, Quantity::kAllocated);
  const Profile nothing;
  for (const Format& format : all_formats()) {
    std::string text, other_text;
    if (format.write_gate != nullptr) {
      format.write_gate({profile, policy, verdict}, {.source_root = "/src"}, text);
      check(format, text);
    }
    if (format.write_difference != nullptr) {
      format.write_difference({nothing, profile, difference, {}}, {.source_root = "/src"}, other_text);
      check(format, other_text);
    }
  }
}

void write_reports(std::unique_ptr<ProcessRecording> process) {
  Recording recording;
  recording.paths = {"input"};
  recording.processes.push_back(std::move(process));
  Symbolizer symbolizer;
  const Profile profile = build_profile(recording, symbolizer, [](size_t, size_t) {});
  write_verdict(profile);
  for (const Format& format : all_formats()) {
    if (format.write_report == nullptr) continue;
    for (const bool full : {false, true}) {
      std::string text;
      format.write_report(profile, ReportOptions{.full = full}, text);
      if (text.empty()) __builtin_trap();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource source(std::vector<uint8_t>(data, data + size));
  StreamReader reader(source);
  auto process = std::make_unique<ProcessRecording>("input");
  proto::Message message;
  bool any = false;
  try {
    for (; reader.next(message); any = true) {
      name_no_files(message);
      process->apply(message, reader.message_offset());
    }
  } catch (const Error&) {
    return 0;  // Of a newer version.
  }
  if (!any) return 0;
  process->damage = reader.damage();
  process->lost_messages = reader.lost_messages();
  write_reports(std::move(process));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return seep::fuzz::mutate_stream(data, size, max_size, seed);
}
