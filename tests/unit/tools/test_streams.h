// SPDX-License-Identifier: Apache-2.0
// Streams for tests: a small recording, message by message, and files to put them in. One thread.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "recording/byte_source.h"
#include "recording/host_identity.h"
#include "recording/process_recording.h"
#include "recording/stream_reader.h"
#include "recording/stream_writer.h"
#include "test_directory.h"

namespace seep::testing {

inline proto::Message header_message(uint64_t sample_bytes = 1, uint32_t version = 2) {
  proto::Message message;
  proto::Header& header = *message.mutable_header();
  header.set_version(version);
  header.set_recording_id("0123456789abcdef");
  header.set_pid(4242);
  header.set_parent_pid(1);
  header.set_executable("/opt/demo/server");
  header.add_command("./server");
  header.set_sample_bytes(sample_bytes);
  header.set_depth_limit(128);
  header.set_started_unix_ns(1'700'000'000'000'000'000);
  return message;
}

// The same of the process that runs the test.
inline proto::Message own_header_message() {
  proto::Message message = header_message();
  proto::Header& header = *message.mutable_header();
  header.set_pid(static_cast<uint32_t>(getpid()));
  header.set_boot_id(this_boot_id());
  header.set_pid_namespace(this_pid_namespace());
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(line.rfind(')') + 2));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  header.set_process_start_ticks(std::stoull(field));
  return message;
}

inline proto::Message modules_message() {
  proto::Message message;
  proto::Module& program = *message.mutable_modules()->add_modules();
  program.set_id(1);
  program.set_path("/opt/demo/server");
  program.set_build_id("no such file anywhere");
  proto::Module& library = *message.mutable_modules()->add_modules();
  library.set_id(2);
  library.set_path("/opt/demo/libparse.so.1");
  library.set_build_id("nor this one anywhere");
  return message;
}

// Two stacks that share their outer frames: parse <- main and copy <- parse <- main, by modules and offsets.
inline proto::Message traces_message() {
  proto::Message message;
  proto::Trace& first = *message.mutable_traces()->add_traces();
  first.set_id(1);
  for (const auto& [module, offset] : std::vector<std::pair<uint32_t, uint64_t>>{{2, 0x2000}, {1, 0x1000}}) {
    first.add_modules(module);
    first.add_offsets(offset);
  }
  first.set_first_allocated_ns(1'000'000);
  proto::Trace& second = *message.mutable_traces()->add_traces();
  second.set_id(2);
  second.add_modules(1);
  second.add_offsets(0x3000);
  second.set_shared_outer_frames(1);
  second.set_first_allocated_ns(2'000'000);
  return message;
}

inline proto::TraceCounters& add_counters(proto::Message& message, uint32_t trace, uint64_t alloc_blocks,
                                          uint64_t alloc_bytes, uint64_t free_blocks, uint64_t free_bytes) {
  proto::TraceCounters& counters = *message.mutable_counters()->add_counters();
  counters.set_trace_id(trace);
  counters.set_alloc_blocks(alloc_blocks);
  counters.set_alloc_bytes(alloc_bytes);
  counters.set_free_blocks(free_blocks);
  counters.set_free_bytes(free_bytes);
  counters.set_last_allocated_ns(5'000'000);
  return counters;
}

inline proto::Message counters_message() {
  proto::Message message;
  add_counters(message, 1, 10, 1000, 4, 400).set_temporary_blocks(2);
  add_counters(message, 2, 3, 333, 0, 0).add_thread_name_ids(1);
  proto::ThreadName& name = *message.mutable_counters()->add_thread_names();
  name.set_id(1);
  name.set_name("worker");
  return message;
}

inline proto::Message snapshot_message(uint64_t alloc_blocks = 13, uint64_t alloc_bytes = 1333) {
  proto::Message message;
  proto::Snapshot& snapshot = *message.mutable_snapshot();
  snapshot.set_number(1);
  snapshot.set_kind(proto::Snapshot::EXIT);
  snapshot.set_time_ns(10'000'000);
  snapshot.set_sample_bytes(1);
  snapshot.set_alloc_blocks(alloc_blocks);
  snapshot.set_alloc_bytes(alloc_bytes);
  snapshot.set_free_blocks(4);
  snapshot.set_free_bytes(400);
  return message;
}

inline proto::Message end_message() {
  proto::Message message;
  message.mutable_end()->set_how(proto::End::EXIT);
  message.mutable_end()->set_exit_status_known(true);
  message.mutable_end()->set_time_ns(11'000'000);
  return message;
}

// A snapshot of the small recording's two traces at one time: how much of each has been allocated and freed so far.
struct TraceState {
  uint64_t alloc_blocks = 0, alloc_bytes = 0, free_blocks = 0, free_bytes = 0;
};
inline void add_snapshot(std::vector<proto::Message>& messages, uint64_t time_ns, const std::vector<TraceState>& states,
                         proto::Snapshot::Kind kind = proto::Snapshot::INTERVAL) {
  proto::Message counters;
  uint32_t trace = 0;
  for (const TraceState& state : states) {
    add_counters(counters, ++trace, state.alloc_blocks, state.alloc_bytes, state.free_blocks, state.free_bytes);
    counters.mutable_counters()->mutable_counters()->rbegin()->set_last_allocated_ns(time_ns);
  }
  messages.push_back(counters);
  proto::Message closing;
  closing.mutable_snapshot()->set_kind(kind);
  closing.mutable_snapshot()->set_time_ns(time_ns);
  closing.mutable_snapshot()->set_sample_bytes(1);
  messages.push_back(closing);
}

inline proto::Message signal_message(uint32_t signal, uint64_t time_ns) {
  proto::Message message;
  message.mutable_end()->set_how(proto::End::SIGNAL);
  message.mutable_end()->set_signal(signal);
  message.mutable_end()->set_time_ns(time_ns);
  return message;
}

inline std::vector<proto::Message> small_recording() {
  return {header_message(), modules_message(), traces_message(), counters_message(), snapshot_message(), end_message()};
}

inline std::string stream_of(const std::vector<proto::Message>& messages) {
  StreamWriter writer;
  for (const proto::Message& message : messages) writer.write(message);
  return writer.bytes();
}

// All that a reader gets out of some bytes.
struct ReadBack {
  std::vector<proto::Message> messages;
  std::vector<uint64_t> offsets;
  std::vector<Damage> damage;
  uint64_t lost_messages = 0;
};

inline ReadBack read_back(const std::string& bytes) {
  MemorySource source(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  StreamReader reader(source);
  ReadBack result;
  proto::Message message;
  while (reader.next(message)) {
    result.messages.push_back(message);
    result.offsets.push_back(reader.message_offset());
  }
  result.damage = reader.damage();
  result.lost_messages = reader.lost_messages();
  return result;
}
}  // namespace seep::testing
