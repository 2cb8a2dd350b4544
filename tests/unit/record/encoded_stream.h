// SPDX-License-Identifier: Apache-2.0
//
// What the encoder writes, read with plain libprotobuf: its delimited reader and the generated classes, nothing of
// ours. One thread.
#pragma once

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "record/snapshot_encoder.h"
#include "seep.pb.h"

namespace seep {

// The messages of a stream that must be whole to its last byte.
inline std::vector<proto::Message> messages_of(const std::string& bytes) {
  google::protobuf::io::ArrayInputStream input(bytes.data(), static_cast<int>(bytes.size()));
  std::vector<proto::Message> result;
  proto::Message message;
  bool clean_end = false;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &input, &clean_end)) {
    result.push_back(message);
    message.Clear();
  }
  EXPECT_TRUE(clean_end);
  return result;
}

inline std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// A sink in memory, which may have too little room.
struct EncodedStream {
  std::string bytes;
  size_t refuse_after = SIZE_MAX;

  StreamSink sink() {
    return {[](void* context, const void* data, size_t count) {
              EncodedStream& stream = *static_cast<EncodedStream*>(context);
              if (stream.bytes.size() + count > stream.refuse_after) return false;
              stream.bytes.append(static_cast<const char*>(data), count);
              return true;
            },
            this};
  }
  [[nodiscard]] std::vector<proto::Message> messages() const { return messages_of(bytes); }
  // The last of each trace.
  [[nodiscard]] std::map<uint32_t, proto::TraceCounters> counters() const {
    std::map<uint32_t, proto::TraceCounters> last;
    for (const proto::Message& message : messages()) {
      for (const auto& counters : message.counters().counters()) last[counters.trace_id()] = counters;
    }
    return last;
  }
};

}  // namespace seep
