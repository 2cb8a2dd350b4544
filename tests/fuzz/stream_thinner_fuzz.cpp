// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a stream that is thinned, in slices of any size. What comes out of a good stream must read back, and
// behind each Snapshot that stays a reader must know what it knew there before. One thread.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framed_mutator.h"
#include "record/stream_thinner.h"
#include "seep.pb.h"

namespace {

using namespace seep;

void expect(bool truth) {
  if (!truth) __builtin_trap();
}

// What a reader knows: the newest bytes of each thing, by its kind and number. Two are the same where all of it is.
class Knowledge {
 public:
  void learn(const proto::Message& message) {
    for (const auto& item : message.modules().modules()) learn(0, item.id(), item.SerializeAsString());
    for (const auto& item : message.counters().thread_names()) learn(1, item.id(), item.SerializeAsString());
    for (const auto& item : message.counters().counters()) learn(2, item.trace_id(), item.SerializeAsString());
    if (!message.has_traces()) return;
    // A trace's frames depend on those before it in its message, and on nothing else.
    const std::string all = message.traces().SerializeAsString();
    for (const auto& item : message.traces().traces()) learn(3, item.id(), all);
  }
  size_t digest() const { return digest_; }

 private:
  void learn(int kind, uint32_t number, const std::string& bytes) {
    size_t& hash = hashes_[{kind, number}];
    digest_ ^= hash;
    hash = std::hash<std::string>()(std::to_string(kind) + " " + std::to_string(number) + " " + bytes);
    digest_ ^= hash;
  }

  std::map<std::pair<int, uint32_t>, size_t> hashes_;
  size_t digest_ = 0;  // Of all hashes.
};

struct Told {
  bool whole = false;
  std::vector<size_t> at;              // What is known behind each Snapshot,
  std::vector<std::string> snapshots;  // and itself, without the two fields that thinning changes.
};

// False: at `at` there is no whole message that libprotobuf reads. Else `at` moves behind it.
bool read_message(std::string& bytes, size_t& at, proto::Message& message) {
  auto* data = reinterpret_cast<uint8_t*>(bytes.data());
  MessageFrame frame;
  if (read_frame(data + at, bytes.size() - at, true, frame) != FrameCheck::kWhole) return false;
  const uint8_t* body = data + at;
  uint64_t length;
  at += frame.bytes;
  return read_varint(body, data + bytes.size(), length) && message.ParseFromArray(body, static_cast<int>(length));
}

Told told_by(std::string bytes) {
  Told told;
  Knowledge knowledge;
  proto::Message message;
  for (size_t at = 0; at < bytes.size();) {
    if (!read_message(bytes, at, message)) return told;
    knowledge.learn(message);
    if (!message.has_snapshot()) continue;
    message.mutable_snapshot()->clear_changed_counters();
    message.mutable_snapshot()->clear_thinned_snapshots();
    told.snapshots.push_back(message.snapshot().SerializeAsString());
    told.at.push_back(knowledge.digest());
  }
  told.whole = true;
  return told;
}

struct Files {
  std::string source, result;
};

int64_t read_at(void* context, uint64_t offset, void* into, size_t bytes) {
  const std::string& source = static_cast<Files*>(context)->source;
  return offset >= source.size() ? 0 : static_cast<int64_t>(source.copy(static_cast<char*>(into), bytes, offset));
}

bool append(void* context, const void* data, size_t bytes) {
  static_cast<Files*>(context)->result.append(static_cast<const char*>(data), bytes);
  return true;
}

// The snapshots that stay are some of those that were, in their order, the first and the last among them.
void compare(const Told& before, const Told& after, uint64_t removed_snapshots) {
  expect(after.whole && after.at.size() + removed_snapshots == before.at.size());
  size_t index = 0;
  for (size_t i = 0; i < after.at.size(); ++i, ++index) {
    const auto same = [&] { return after.at[i] == before.at[index] && after.snapshots[i] == before.snapshots[index]; };
    while (index < before.at.size() && !same()) expect(++index != 1);
    expect(index < before.at.size());
  }
  if (!after.at.empty())
    expect(after.at.back() == before.at.back() && after.snapshots.back() == before.snapshots.back());
}

}  // namespace

// The library would say on stderr what it does not like.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto thinner = std::make_unique<StreamThinner>();
  Files files;
  files.source.assign(reinterpret_cast<const char*>(data), size);
  uint8_t table[128];
  thinner->begin({read_at, append, &files}, {size, size, table, size % 3 == 0 ? 0 : sizeof table});
  const uint64_t slice_bytes = size % 2 == 0 ? UINT64_MAX : size % 1000;
  StreamThinner::Progress progress;
  size_t steps = 0;
  do {
    progress = thinner->step(slice_bytes);
    expect(++steps <= 3 * size + 1);
  } while (progress == StreamThinner::Progress::kMore);
  expect(files.result.size() == thinner->written_bytes());
  if (progress == StreamThinner::Progress::kFailed) return 0;
  const Told before = told_by(files.source);
  if (before.whole) compare(before, told_by(files.result), thinner->removed_snapshots());
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return seep::fuzz::mutate_stream(data, size, max_size, seed);
}
