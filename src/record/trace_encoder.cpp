// SPDX-License-Identifier: Apache-2.0
//
// Traces as messages; see trace_encoder.h.
#include "record/trace_encoder.h"

#include <bit>

#include "record/trace_table.h"
#include "record/wire_writer.h"

namespace seep {
namespace {

// Outermost frames that two traces share.
uint32_t shared_outer(const Frame* a, uint32_t a_count, const Frame* b, uint32_t b_count) {
  uint32_t shared = 0;
  while (shared < a_count && shared < b_count && a[a_count - 1 - shared] == b[b_count - 1 - shared]) ++shared;
  return shared;
}

// At most: tag, length, id, cut, time and the two arrays' heads, then a module and an offset of each frame.
constexpr unsigned kModuleBytes = varint_bytes((uint64_t{1} << (64 - kFrameOffsetBits)) - 1);
constexpr unsigned kOffsetBytes = varint_bytes((uint64_t{1} << kFrameOffsetBits) - 1);
constexpr size_t trace_item_bytes(uint32_t frames) {
  return 64 + frames * static_cast<size_t>(kModuleBytes + kOffsetBytes);
}
static_assert(trace_item_bytes(kMaxDepth) <= WireWriter::kMostItemBytes);

// `frames` are those above the `shared` outermost.
const uint8_t* write_trace(uint8_t* at, const Trace& trace, const Frame* frames, uint32_t shared) {
  WireWriter wire(at);
  uint8_t* const item = wire.begin_item(seep_proto_Traces_traces_tag);
  const uint32_t count = trace.frame_count - shared;
  wire.number(seep_proto_Trace_id_tag, trace.id);
  wire.packed(seep_proto_Trace_modules_tag, count, [frames](size_t i) { return frame_module(frames[i]); });
  wire.packed(seep_proto_Trace_offsets_tag, count, [frames](size_t i) { return frame_offset(frames[i]); });
  wire.number(seep_proto_Trace_shared_outer_frames_tag, shared);
  wire.number(seep_proto_Trace_cut_tag, static_cast<unsigned>(trace.cut));
  wire.number(seep_proto_Trace_first_allocated_ns_tag, trace.first_allocated_ns);
  wire.end_item(item);
  return wire.at();
}

bool counted(TraceTable& table, Trace& trace) {
  bool any = trace.unknown_frees.load(std::memory_order_relaxed) != 0 ||
             trace.is_freeing.load(std::memory_order_relaxed) != 0 ||
             trace.late_alloc_blocks.load(std::memory_order_relaxed) != 0;
  table.each_shard(trace,
                   [&](CounterBlock& shard) { any = any || shard.alloc_blocks.load(std::memory_order_relaxed) != 0; });
  return any;
}

}  // namespace

bool write_traces(MessageWriter& writer, Region region, Ref newest, bool everything) noexcept {
  RegionHeader& header = region.header();
  TraceTable table(region);
  writer.begin(seep_proto_Message_traces_tag);
  Trace* previous = nullptr;  // In the message under construction: a trace shares frames only with one in its own.
  for (Ref ref = newest; ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    if ((trace.written_signature != 0 && !everything) || !counted(table, trace)) continue;
    const Frame* frames = trace.frames(header);
    const uint32_t count = trace.frame_count;
    if (count > kMaxDepth) return false;
    if (!writer.has_room(trace_item_bytes(count))) previous = nullptr;
    uint8_t* const at = writer.begin_item(trace_item_bytes(count));
    if (at == nullptr) return false;
    const uint32_t shared =
        previous == nullptr ? 0 : shared_outer(frames, count, previous->frames(header), previous->frame_count);
    writer.end_item(write_trace(at, trace, frames, shared));
    previous = &trace;
    if (trace.written_signature == 0) trace.written_signature = 1;
  }
  return writer.finish();
}

}  // namespace seep
