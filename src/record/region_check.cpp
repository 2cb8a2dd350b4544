// SPDX-License-Identifier: Apache-2.0
//
// Checks a copy of a region; see region_check.h.
#include "record/region_check.h"

#include <cstring>
#include <vector>

#include "record/counters.h"
#include "record/module_table.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"

namespace seep {
namespace {

class Checker {
 public:
  Checker(void* copy, uint64_t bytes) : region_(copy), bytes_(bytes), taken_(bytes / kRefUnitBytes + 1) {}

  RegionCheck run() {
    if (!header_is_sound()) return result_;
    result_.usable = true;
    RegionHeader& header = region_.header();
    end_texts(header.identity);
    leave_out_private_part(header);
    Newest& newest = header.newest[0];
    check_list<Module>(newest.module, "a module", [this](Ref ref) { return module_is_sound(ref); });
    check_list<ThreadName>(newest.thread_name, "a thread name", [this](Ref ref) { return thread_name_is_sound(ref); });
    check_list<Trace>(newest.trace, "a trace", [this](Ref ref) { return trace_is_sound(ref); });
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
    const uint64_t end = ref + (entry_bytes + kRefUnitBytes - 1) / kRefUnitBytes;
    for (uint64_t unit = ref; unit < end; ++unit) {
      if (taken_[unit]) return false;
      taken_[unit] = true;
    }
    return true;
  }

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
  // itself.
  template <typename Entry, typename Sound>
  void check_list(std::atomic<Ref>& newest, const char* what, Sound sound) {
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
        return;
      }
      previous = region_.at<Entry>(ref);
      ref = previous->next_older;
    }
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

  bool trace_is_sound(Ref ref) {
    const uint64_t counters_bytes = region_.header().counters_bytes;
    if (!inside(ref, sizeof(Trace) + counters_bytes)) return false;
    Trace& trace = *region_.at<Trace>(ref);
    if (trace.frame_count > kMaxDepth || trace.cut > Cut::kBadUnwindInformation ||
        !claim(ref, sizeof(Trace) + counters_bytes + trace.frame_count * sizeof(Frame))) {
      return false;
    }
    for (auto& extra : trace.extra_shards) {
      const Ref shard = extra.load(std::memory_order_relaxed);
      if (shard != 0 && !claim(shard, counters_bytes)) return false;
    }
    return true;
  }

  Region region_;
  uint64_t bytes_;
  std::vector<bool> taken_;  // A unit of 16 bytes each.
  RegionCheck result_;
};

}  // namespace

RegionCheck check_region(void* copy, uint64_t bytes) { return Checker(copy, bytes).run(); }

}  // namespace seep
