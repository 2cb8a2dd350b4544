// SPDX-License-Identifier: Apache-2.0
// The traces of one stream by their numbers. Part of the model of a stream. Plain data; one thread, then read-only.
//
// A recorder numbers from 1 and a stream names the newest first, so what is asked for is mostly near what was asked for
// before: records stand in groups of neighbours, and the last group is remembered. A stream may say any numbers; then a
// record costs a group of its own.
#pragma once

#include <absl/container/btree_map.h>
#include <google/protobuf/arena.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "recording/counter_history.h"
#include "recording/frame_tree.h"
#include "seep.pb.h"

namespace seep {

// A stack trace that allocated, its latest counters, and the few earlier ones that growth is measured from.
struct TraceRecord {
  explicit TraceRecord(proto::TraceCounters& latest) : counters(latest) {}

  FrameTree::Node innermost = FrameTree::kNoNode;  // kNoNode: it has no frames, or is not known.
  bool is_known = false;                           // Else the message with its frames was lost.
  proto::Trace::Cut cut = proto::Trace::WHOLE;
  uint64_t first_allocated_ns = 0;
  proto::TraceCounters& counters;      // The recording's.
  SnapshotOrdinal counters_since = 0;  // The snapshot that closed the counters, or would have; 0: they were never read.
  std::vector<PastCounters> past;      // Oldest first.
};

class TraceRecords {
  static constexpr uint32_t kGroup = 16;
  using Group = std::array<TraceRecord*, kGroup>;
  using Groups = absl::btree_map<uint32_t, Group*>;  // By the numbers' quotient.

 public:
  // (number, record), in the order of the numbers, so that whatever is made of them is the same each time.
  class Iterator {
   public:
    std::pair<uint32_t, const TraceRecord&> operator*() const {
      return {group_->first * kGroup + index_, *(*group_->second)[index_]};
    }
    Iterator& operator++() {
      ++index_;
      return *this = skip_gaps();
    }
    bool operator==(const Iterator&) const = default;

   private:
    friend TraceRecords;
    Iterator(Groups::const_iterator group, Groups::const_iterator end) : group_(group), end_(end) {}

    // From here on the first place with a record.
    Iterator skip_gaps() const {
      Iterator found = *this;
      for (; found.group_ != end_; ++found.group_, found.index_ = 0) {
        for (; found.index_ < kGroup; ++found.index_) {
          if ((*found.group_->second)[found.index_] != nullptr) return found;
        }
      }
      return found;
    }

    Groups::const_iterator group_, end_;
    uint32_t index_ = 0;
  };

  // Made where it is new.
  TraceRecord& operator[](uint32_t number) {
    TraceRecord*& place = group_of(number)[number % kGroup];
    if (place == nullptr) {
      // Counters one by one would take as long to allocate and to free as to read.
      auto& counters = *google::protobuf::Arena::CreateMessage<proto::TraceCounters>(arena_.get());
      place = &records_.emplace_back(counters);
    }
    return *place;
  }

  // Null where there is none.
  const TraceRecord* find(uint32_t number) const {
    const auto group = groups_.find(number / kGroup);
    return group == groups_.end() ? nullptr : (*group->second)[number % kGroup];
  }

  // Throws std::out_of_range where there is none.
  const TraceRecord& at(uint32_t number) const {
    const TraceRecord* record = find(number);
    if (record == nullptr) throw std::out_of_range("no such trace");
    return *record;
  }

  Iterator begin() const { return Iterator(groups_.begin(), groups_.end()).skip_gaps(); }
  Iterator end() const { return Iterator(groups_.end(), groups_.end()); }
  size_t size() const { return records_.size(); }
  bool empty() const { return records_.empty(); }

 private:
  Group& group_of(uint32_t number) {
    if (last_group_ != nullptr && last_key_ == number / kGroup) return *last_group_;
    Group*& group = groups_[number / kGroup];
    if (group == nullptr) group = &group_store_.emplace_back();
    last_key_ = number / kGroup;
    return *(last_group_ = group);
  }

  std::unique_ptr<google::protobuf::Arena> arena_ = std::make_unique<google::protobuf::Arena>();
  std::deque<TraceRecord> records_;
  std::deque<Group> group_store_;
  Groups groups_;
  Group* last_group_ = nullptr;
  uint32_t last_key_ = 0;
};

}  // namespace seep
