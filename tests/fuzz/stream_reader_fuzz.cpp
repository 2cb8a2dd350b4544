// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a stream: read, applied to the model, made a profile and shown in every format, as `seep report` does
// it. No file is opened but by is_running(), under /proc. One thread.
#include "formats/format.h"
#include "framed_mutator.h"
#include "leaks/profile.h"
#include "recording/byte_source.h"
#include "recording/recording.h"
#include "recording/stream_reader.h"

namespace {

using namespace seep;

void expect(bool truth) {
  if (!truth) __builtin_trap();
}

// A path that is not absolute is no file to the symbolizer.
void name_no_files(proto::Message& message) {
  if (!message.has_modules()) return;
  for (proto::Module& module : *message.mutable_modules()->mutable_modules()) {
    if (module.path().starts_with('/')) module.set_path("-" + module.path());
  }
}

// Everything that was skipped is named, and stretches do not overlap.
void check_damage(const StreamReader& reader, size_t size) {
  uint64_t behind = 0;
  for (const Damage& damage : reader.damage()) {
    expect(damage.offset >= behind && damage.skipped_bytes > 0);
    behind = damage.offset + damage.skipped_bytes;
    expect(behind <= size);
  }
}

void report(std::unique_ptr<ProcessRecording> process) {
  Recording recording;
  recording.paths = {"input"};
  recording.processes.push_back(std::move(process));
  Symbolizer symbolizer;
  const Profile profile = build_profile(recording, symbolizer, [](size_t, size_t) {});
  for (const Format& format : all_formats()) {
    std::string text;
    format.write(profile, ReportOptions{.full = true}, text);
    expect(!text.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource source(std::vector<uint8_t>(data, data + size));
  StreamReader reader(source);
  auto process = std::make_unique<ProcessRecording>("input");
  proto::Message message;
  size_t messages = 0;
  try {
    for (; reader.next(message); ++messages) {
      name_no_files(message);
      process->apply(message, reader.message_offset());
    }
  } catch (const Error&) {
    return 0;  // Of a newer version.
  }
  check_damage(reader, size);
  if (messages == 0) return 0;
  process->damage = reader.damage();
  process->lost_messages = reader.lost_messages();
  report(std::move(process));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return seep::fuzz::mutate_stream(data, size, max_size, seed);
}
