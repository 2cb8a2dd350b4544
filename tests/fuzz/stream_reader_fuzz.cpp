// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a stream that is read, applied to the model and summed up; report_fuzz goes on from there. What is
// damaged must be named, byte by byte. No file is opened but by is_running(), under /proc. One thread.
#include "framed_mutator.h"
#include "leaks/process_summary.h"
#include "recording/byte_source.h"
#include "recording/process_recording.h"
#include "recording/stream_reader.h"

namespace {

using namespace seep;

void expect(bool truth) {
  if (!truth) __builtin_trap();
}

// Each stretch is behind the one before it and inside the stream.
void check_damage(const StreamReader& reader, size_t size) {
  uint64_t behind = 0;
  for (const Damage& damage : reader.damage()) {
    expect(damage.offset >= behind && damage.skipped_bytes > 0);
    behind = damage.offset + damage.skipped_bytes;
    expect(behind <= size);
  }
}

// Every byte is either in a good message or skipped.
void check_account(const StreamReader& reader, size_t messages, size_t size) {
  uint64_t skipped = 0;
  for (const Damage& damage : reader.damage()) skipped += damage.skipped_bytes;
  expect(messages != 0 ? skipped < size : skipped == size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource source(std::vector<uint8_t>(data, data + size));
  StreamReader reader(source);
  ProcessRecording process("input");
  proto::Message message;
  size_t messages = 0;
  try {
    for (; reader.next(message); ++messages) process.apply(message, reader.message_offset());
  } catch (const Error&) {
    return 0;  // Of a newer version.
  }
  check_damage(reader, size);
  check_account(reader, messages, size);
  const ProcessSummary summary = summarize(process);
  expect(summary.snapshots <= messages);
  Coverage coverage;
  add_coverage(process, summary, coverage);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return seep::fuzz::mutate_stream(data, size, max_size, seed);
}
