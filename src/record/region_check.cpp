// SPDX-License-Identifier: Apache-2.0
//
// Checks a copy of a region; see region_check.h.
#include "record/region_check.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "record/counters.h"
#include "record/module_table.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"
#include "record/trace_trie.h"

namespace seep {
namespace {

class Checker {
 public:
  Checker(void* copy, uint64_t bytes)
      : region_(copy), bytes_(bytes), taken_(bytes / kRefUnitBytes + 1), node_seen_(bytes / kRefUnitBytes + 1) {}

  RegionCheck run() {
    if (!header_is_sound()) return result_;
    result_.usable = true;
    RegionHeader& header = region_.header();
    end_texts(header.identity);
    end_text(header.scan.default_suppressions);
    leave_out_private_part(header);
    Newest& newest = header.newest[0];
    Trace* oldest = check_list<Trace>(newest.trace, "a trace", [this](Ref ref) { return trace_is_sound(ref); });
    recover_traces(newest.trace, oldest);
    check_list<Module>(newest.module, "a module", [this](Ref ref) { return module_is_sound(ref); });
    check_list<ThreadName>(newest.thread_name, "a thread name", [this](Ref ref) { return thread_name_is_sound(ref); });
    check_scan(header.scan);
    return result_;
  }

 private:
  [[nodiscard]] bool inside(Ref ref, uint64_t entry_bytes) const {
    const uint64_t at = static_cast<uint64_t>(ref) * kRefUnitBytes;
    return at >= sizeof(RegionHeader) && at <= bytes_ && entry_bytes <= bytes_ - at;
  }

  // Entries may not overlap: what the encoder notes in one would change another that has been checked.
  bool claim(Ref ref, uint64_t entry_bytes) {
    if (!inside(ref, entry_bytes)) return false;
    const auto begin = taken_.begin() + ref;
    const auto end = begin + static_cast<ptrdiff_t>(units_of(entry_bytes));
    if (std::find(begin, end, true) != end) return false;
    std::fill(begin, end, true);
    return true;
  }

  void release(Ref ref, uint64_t entry_bytes) { std::fill_n(taken_.begin() + ref, units_of(entry_bytes), false); }

  static uint64_t units_of(uint64_t entry_bytes) { return (entry_bytes + kRefUnitBytes - 1) / kRefUnitBytes; }

  bool refuse(const char* problem) {
    result_.problem = problem;
    return false;
  }

  bool header_is_sound() {
    if (bytes_ < sizeof(RegionHeader)) return refuse("it is shorter than a region's header");
    const RegionHeader& header = region_.header();
    if (memcmp(header.magic, kRegionMagic, sizeof header.magic) != 0) return refuse("it is not a region");
    if (header.version != kRegionVersion) return refuse("it was written by another version of seep");
    if (header.ready.load(std::memory_order_relaxed) != 1) return refuse("its process ended while it was made");
    if (header.counters_bytes != kExactCounterBytes && header.counters_bytes != sizeof(CounterBlock)) {
      return refuse("its counters have no known size");
    }
    return true;
  }

  template <size_t N>
  static void end_text(char (&text)[N]) {
    text[N - 1] = '\0';
  }
  static void end_texts(Identity& identity) {
    end_text(identity.not_observed_detail);
    end_text(identity.executable);
    end_text(identity.command);
    end_text(identity.host);
    end_text(identity.region_path);
    end_text(identity.stream_path);
    end_text(identity.options);
    if (identity.command_bytes > sizeof identity.command) identity.command_bytes = sizeof identity.command;
  }

  // It is not in the file. What was counted there and is in no snapshot is lost to whoever reads from outside.
  void leave_out_private_part(RegionHeader& header) {
    const uint64_t from = header.private_from_bytes.exchange(0, std::memory_order_relaxed);
    for (auto* head : {&header.newest[1].trace, &header.newest[1].module, &header.newest[1].thread_name}) {
      head->store(0, std::memory_order_relaxed);
    }
    if (from == 0) return;
    if (from < bytes_) bytes_ = from;
    const uint64_t counted = header.private_alloc_blocks.load(std::memory_order_relaxed);
    const uint64_t written = header.progress.private_alloc_blocks;
    header.loss[static_cast<unsigned>(LossKind::kUnsharedRecord)].store(counted > written ? counted - written : 0,
                                                                        std::memory_order_relaxed);
  }

  // Follows a list and cuts it before the first entry that is not sound; the count bounds a list that leads back into
  // itself. Where the list ends then: its oldest entry, null if there is none.
  template <typename Entry, typename Sound>
  Entry* check_list(std::atomic<Ref>& newest, const char* what, Sound sound) {
    uint64_t left = bytes_ / sizeof(Entry) + 1;
    Entry* previous = nullptr;
    for (Ref ref = newest.load(std::memory_order_relaxed); ref != 0;) {
      if (left-- == 0 || !sound(ref)) {
        if (*result_.problem == '\0') {
          result_.problem = what;
          result_.problem_at = static_cast<uint64_t>(ref) * kRefUnitBytes;
        }
        ++result_.entries_lost;
        if (previous == nullptr) newest.store(0, std::memory_order_relaxed);
        else previous->next_older = 0;
        return previous;
      }
      previous = region_.at<Entry>(ref);
      ref = previous->next_older;
    }
    return previous;
  }

  // Traces that the list does not lead to (any more) and the trie does are put behind its end: where the list begins
  // with an entry that is cut off, that is all of them. In a copy that was taken while the region grew the trie may
  // lead further than the list, also to what was not copied: no damage.
  void recover_traces(std::atomic<Ref>& newest, Trace* oldest) {
    TrieWalk walk{newest, oldest};
    for (uint64_t root = 0; root < kTrieRootSlots; ++root) {
      visit_slot(region_.header().trie_root[root].load(std::memory_order_relaxed), root, 0, walk);
    }
  }

  struct TrieWalk {
    std::atomic<Ref>& newest;
    Trace* oldest;  // The end of the list.
  };

  // Nothing in the trie is trusted: no node is looked at twice, and a trace counts only where its hash is the way by
  // which it was reached. `way`: the hash's lowest bits, as many as `depth` nodes tell.
  void visit_slot(uint32_t slot, uint64_t way, unsigned depth, TrieWalk& walk) {
    const Ref ref = slot / (2 * kTrieNodeTag);
    if (slot == 0) return;
    if ((slot & kTrieNodeTag) == 0) {
      visit_leaf(ref, way, depth, walk);
      return;
    }
    if (depth >= kTrieDepths || !inside(ref, sizeof(TrieNode)) || node_seen_[ref]) return;
    node_seen_[ref] = true;
    for (uint64_t index = 0; index < std::size(TrieNode().slot); ++index) {
      const uint32_t below = region_.at<TrieNode>(ref)->slot[index].load(std::memory_order_relaxed);
      visit_slot(below, way | index << (kTrieRootBits + depth * kTrieNodeBits), depth + 1, walk);
    }
  }

  void visit_leaf(Ref ref, uint64_t way, unsigned depth, TrieWalk& walk) {
    const unsigned open_bits = 64 - kTrieRootBits - depth * kTrieNodeBits;
    if (!inside(ref, sizeof(Trace)) || taken_[ref]) return;  // In the list, mostly.
    if ((region_.at<Trace>(ref)->hash ^ way) << open_bits == 0 && trace_is_sound(ref)) append(ref, walk);
  }

  // Puts a sound trace at the end of the list, and behind it what it leads to itself: all that is older, mostly.
  void append(Ref ref, TrieWalk& walk) {
    if (walk.oldest == nullptr) walk.newest.store(ref, std::memory_order_relaxed);
    else walk.oldest->next_older = ref;
    walk.oldest = region_.at<Trace>(ref);
    for (Ref older = walk.oldest->next_older; older != 0 && trace_is_sound(older);) {
      walk.oldest = region_.at<Trace>(older);
      older = walk.oldest->next_older;
    }
    walk.oldest->next_older = 0;
  }

  bool module_is_sound(Ref ref) {
    if (!inside(ref, sizeof(Module))) return false;
    Module& module = *region_.at<Module>(ref);
    return module.build_id_bytes <= kMaxBuildIdBytes && module.path_bytes < 4096 &&
           claim(ref, sizeof(Module) + module.path_bytes + 1) && module.path()[module.path_bytes] == '\0';
  }

  bool thread_name_is_sound(Ref ref) {
    if (!claim(ref, sizeof(ThreadName))) return false;
    return region_.at<ThreadName>(ref)->name[kThreadNameBytes - 1] == '\0';
  }

  // Without its verdicts a scan is as if it had not been.
  void check_scan(ScanState& scan) {
    const uint32_t standing = scan.standing.load(std::memory_order_relaxed);
    if (standing == 0) return;
    const bool known = standing <= std::size(scan.results);
    const ScanResult& result = scan.results[known ? standing - 1 : 0];
    if (known && claim(result.verdicts, uint64_t{result.capacity} * sizeof(TraceVerdicts))) return;
    scan.standing.store(0, std::memory_order_relaxed);
    ++result_.entries_lost;
    if (*result_.problem != '\0') return;
    result_.problem = "the verdicts of a scan";
    result_.problem_at = static_cast<uint64_t>(result.verdicts) * kRefUnitBytes;
  }

  // Only what the encoder follows: the stack that frees may be cut off, and is none then.
  void check_freeing(Trace& trace) {
    const Ref freeing = FreeingStack::unpack(trace.freeing.load(std::memory_order_relaxed)).trace;
    if (freeing != 0 && !inside(freeing, sizeof(Trace))) trace.freeing.store(0, std::memory_order_relaxed);
  }

  bool trace_is_sound(Ref ref) {
    const uint64_t counters_bytes = region_.header().counters_bytes;
    if (!inside(ref, sizeof(Trace) + counters_bytes)) return false;
    Trace& trace = *region_.at<Trace>(ref);
    const uint64_t trace_bytes = sizeof(Trace) + counters_bytes + uint64_t{trace.frame_count} * sizeof(Frame);
    if (trace.id == 0 || trace.frame_count > kMaxDepth || trace.cut > Cut::kBadUnwindInformation ||
        !claim(ref, trace_bytes)) {
      return false;
    }
    check_freeing(trace);
    if (shards_are_sound(trace)) return true;
    release(ref, trace_bytes);
    return false;
  }

  // Claims all that a trace counts in, or nothing of it.
  bool shards_are_sound(Trace& trace) {
    std::vector<std::pair<Ref, uint64_t>> claimed;
    const auto claim_too = [&](Ref ref, uint64_t bytes) {
      if (ref == 0) return true;
      if (!claim(ref, bytes)) return false;
      claimed.emplace_back(ref, bytes);
      return true;
    };
    const uint64_t counters_bytes = region_.header().counters_bytes;
    const auto all_sound = [&](const auto& refs) {
      return std::all_of(std::begin(refs), std::end(refs), [&](const std::atomic<Ref>& ref) {
        return claim_too(ref.load(std::memory_order_relaxed), counters_bytes);
      });
    };
    const Ref table = trace.shard_table.load(std::memory_order_relaxed);
    if (all_sound(trace.near_shards) && claim_too(table, sizeof(ShardTable)) &&
        (table == 0 || all_sound(region_.at<ShardTable>(table)->shard))) {
      return true;
    }
    for (const auto& [ref, bytes] : claimed) release(ref, bytes);
    return false;
  }

  Region region_;
  uint64_t bytes_;
  std::vector<bool> taken_;      // A unit of 16 bytes each,
  std::vector<bool> node_seen_;  // as here: a node of the trie begins there, and has been visited.
  RegionCheck result_;
};

}  // namespace

RegionCheck check_region(void* copy, uint64_t bytes) { return Checker(copy, bytes).run(); }

}  // namespace seep
