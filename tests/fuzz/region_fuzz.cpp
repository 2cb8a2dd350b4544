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
#include "record/trace_table.h"
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

namespace {

// Somewhere behind the header.
Ref any_ref(size_t size, unsigned seed) {
  const size_t rest = size - fuzz::kCompactRestAt;
  return static_cast<Ref>((fuzz::kRestAt + seed % rest) / kRefUnitBytes);
}

void put(uint8_t* data, size_t size, size_t at, const void* value, size_t bytes) {
  if (at + bytes <= size) memcpy(data + at, value, bytes);
}

// A scan that stands, with verdicts somewhere: of as many traces as fit from there to the end, or nearly.
void let_scan_stand(uint8_t* data, size_t size, unsigned seed) {
  const unsigned which = seed % 2;
  const uint32_t standing = which + 1;
  ScanResult result{};
  result.facts.number = standing;
  result.verdicts = any_ref(size, seed / 2);
  const size_t bytes = fuzz::kRestAt + size - fuzz::kCompactRestAt;
  result.capacity = static_cast<uint32_t>((bytes - result.verdicts * kRefUnitBytes) / sizeof(TraceVerdicts));
  result.capacity += seed / 64 % 4 == 0;
  const auto at = [](size_t offset) { return fuzz::kCompactScanAt + offset; };
  put(data, size, at(offsetof(ScanState, standing)), &standing, sizeof standing);
  put(data, size, at(offsetof(ScanState, results) + which * sizeof result), &result, sizeof result);
}

// Blocks of the newest trace are freed from another, or from what is none.
void free_newest(uint8_t* data, size_t size, unsigned seed) {
  Ref newest;
  memcpy(&newest, data + 1 + offsetof(RegionHeader, newest) + offsetof(Newest, trace), sizeof newest);
  const uint64_t from = uint64_t{newest} * kRefUnitBytes;
  const uint64_t freeing = FreeingStack{any_ref(size, seed), 3, 2, 1}.pack();
  if (from < fuzz::kRestAt) return;
  const size_t at = fuzz::kCompactRestAt + (from - fuzz::kRestAt) + offsetof(Trace, freeing);
  put(data, size, at, &freeing, sizeof freeing);
}

}  // namespace

// Mostly random changes; now and then a word that leads somewhere in the region, a scan, or a stack that frees.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 4 != 0 || size < fuzz::kCompactRestAt + 64) return LLVMFuzzerMutate(data, size, max_size);
  switch (seed / 4 % 8) {
    case 0: let_scan_stand(data, size, seed / 32); break;
    case 1: free_newest(data, size, seed / 32); break;
    default: {
      const Ref ref = any_ref(size, seed / 32);
      put(data, size, 1 + seed / 128 % (size - 1) / 4 * 4, &ref, sizeof ref);
    }
  }
  return size;
}
