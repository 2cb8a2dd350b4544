// SPDX-License-Identifier: Apache-2.0
//
// The encoder's tests: a region, and the stream that it becomes. One thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "encoded_stream.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {

class Encoder : public testing::Test {
 protected:
  bool encode(SnapshotKind kind = SnapshotKind::kInterval, const EndFacts* end = nullptr) {
    return encode_snapshot(region.get(), *scratch, stream.sink(), kind, 1234, end);
  }
  Ref allocate(uint64_t number, uint64_t bytes, uint32_t depth = 4) {
    std::vector<Frame> frames;
    for (uint32_t i = 0; i < depth; ++i)
      frames.push_back(make_frame(i < depth / 2 ? 2 : 1, i < depth / 2 ? number + i : i));
    TraceTable table(region.get());
    const Ref ref = table.find_or_insert(frames.data(), depth, Cut::kWhole, 55);
    count_allocation(*table.shard(*region.get().at<Trace>(ref), 0), bytes, 0, nullptr);
    return ref;
  }

  TestRegion region{256 << 20};
  std::unique_ptr<EncoderScratch> scratch = std::make_unique<EncoderScratch>();
  EncodedStream stream;
};

}  // namespace seep
