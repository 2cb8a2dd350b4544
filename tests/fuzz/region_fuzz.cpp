// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a copy of a region: what check_region lets pass must be encoded, in memory in proportion to the region,
// and the stream that comes out must read back without damage; also a second time, as a delta. One thread.
#include <memory>
#include <string>
#include <vector>

#include "compact_region.h"
#include "record/region_check.h"
#include "record/snapshot_encoder.h"
#include "recording/byte_source.h"
#include "recording/stream_reader.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace seep;

void expect(bool truth) {
  if (!truth) __builtin_trap();
}

bool append(void* context, const void* data, size_t bytes) {
  static_cast<std::string*>(context)->append(static_cast<const char*>(data), bytes);
  return true;
}

void check_stream(const std::string& stream) {
  MemorySource source(std::vector<uint8_t>(stream.begin(), stream.end()));
  StreamReader reader(source);
  proto::Message message;
  bool closed = false;
  while (reader.next(message)) closed = message.has_snapshot();
  expect(reader.damage().empty());
  expect(closed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto scratch = std::make_unique<EncoderScratch>();
  std::vector<char> copy = fuzz::expand(data, size);
  if (copy.empty() || !check_region(copy.data(), copy.size()).usable) return 0;
  for (int round = 0; round < 2; ++round) {
    std::string stream;
    const StreamSink sink{append, &stream};
    expect(encode_snapshot(Region(copy.data()), *scratch, sink, SnapshotKind::kPostMortem, 1, nullptr));
    expect(stream.size() <= 4 * copy.size());
    check_stream(stream);
  }
  return 0;
}

// Mostly random changes; now and then a word that leads somewhere in the region.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 4 != 0 || size < 1 + fuzz::kCompactHeadBytes + 64) return LLVMFuzzerMutate(data, size, max_size);
  const size_t rest = size - 1 - fuzz::kCompactHeadBytes;
  const Ref ref = static_cast<Ref>((sizeof(RegionHeader) + seed / 4 % rest) / kRefUnitBytes);
  const size_t at = 1 + seed / 16 % (size - 1) / 4 * 4;
  if (at + sizeof ref <= size) memcpy(data + at, &ref, sizeof ref);
  return size;
}
