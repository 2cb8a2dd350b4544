// SPDX-License-Identifier: Apache-2.0
//
// Random heaps against the definitions, taken literally: every word is looked for in every block, reachability is a
// fixpoint, and who leads to whom a transitive closure.
#include <algorithm>
#include <random>
#include <set>

#include "test_heap.h"

namespace seep::leak_scan {
namespace {

struct Edge {
  size_t to;
  bool is_start;
};

struct RandomHeap {
  TestHeap heap;
  MarkOptions options;
  std::vector<MarkOptions::Range> readable;

  explicit RandomHeap(uint64_t seed) {
    std::mt19937_64 random(seed);
    const size_t count = 1 + random() % 30;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t size = random() % 3 == 0 ? 8 : random() % 70;
      heap.block(size, size > 0 && random() % 3 == 0 ? 0 : 1 + random() % 600);
    }
    const unsigned density = 1 + random() % 4, interior = random() % 4;
    for (const auto& [start, size] : heap.blocks) {
      for (uint64_t at = start; at + 8 <= start + size; at += 8) {
        if (random() % 4 < density) heap.write(at, word(random, interior));
      }
      if (size >= 16 && random() % 4 == 0) heap.write(start, 1 + random() % 9);  // The count of an array?
    }
    for (uint64_t i = random() % 4; i > 0; --i) heap.root(word(random, interior));
    options.heuristics = random() % 2 == 0 ? kNoHeuristic : kNewArray;
    if (random() % 3 == 0) make_unreadable(random);
  }

  uint64_t word(std::mt19937_64& random, unsigned interior) const {
    const auto& [start, size] = heap.blocks[random() % heap.blocks.size()];
    const uint64_t kind = random() % 8;
    if (kind == 0) return start + size;
    if (kind == 1) return start - 1 - random() % 16;
    if (kind < 2 + interior) return start + random() % (size + 1);
    return start;
  }

  // Ranges of the heap, without the small blocks' counts: those are looked at whole or not at all.
  void make_unreadable(std::mt19937_64& random) {
    options.heuristics = kNoHeuristic;
    const uint64_t end = heap.blocks.back().start + heap.blocks.back().size;
    for (uint64_t at = heap.start(); at < end;) {
      const uint64_t readable_end = at + 8 * (1 + random() % 80);
      readable.push_back({at, readable_end});
      at = readable_end + 8 * (1 + random() % 8);
    }
    options.readable = readable.data();
    options.readable_count = readable.size();
  }

  bool is_readable(uint64_t at, uint64_t bytes) const {
    return options.readable == nullptr || std::any_of(readable.begin(), readable.end(), [&](const auto& range) {
             return range.start <= at && at + bytes <= range.end;
           });
  }
};

class Reference {
 public:
  explicit Reference(const RandomHeap& random) : random_(random), heap_(random.heap), count_(heap_.blocks.size()) {
    for (const uint64_t word : heap_.roots) add_edges(root_edges_, word);
    edges_.resize(count_);
    for (size_t i = 0; i < count_; ++i) {
      const auto& [start, size] = heap_.blocks[i];
      for (uint64_t at = start; at + 8 <= start + size; at += 8) {
        if (random_.is_readable(at, 8)) add_edges(edges_[i], heap_.read(at));
      }
    }
    const std::set<size_t> reachable = fixpoint(true), reached = fixpoint(false);
    for (size_t i = 0; i < count_; ++i) {
      if (reachable.count(i) != 0) verdicts[i] = Verdict::kReachable;
      else if (reached.count(i) != 0) verdicts[i] = Verdict::kPossible;
    }
    judge_unreached(reached);
  }

  // In sampled mode: does any word outside of a block point into it?
  bool pointed_at(size_t block) const {
    for (const Edge& edge : root_edges_) {
      if (edge.to == block) return true;
    }
    for (size_t i = 0; i < count_; ++i) {
      for (const Edge& edge : edges_[i]) {
        if (edge.to == block && i != block) return true;
      }
    }
    return false;
  }

  std::map<size_t, Verdict> verdicts;
  std::map<size_t, std::pair<uint32_t, uint64_t>> weights;  // Of definite blocks: indirect blocks and bytes.

 private:
  bool is_empty_array(size_t i, bool starts_a_block) const {
    const auto& [start, size] = heap_.blocks[i];
    return (size == 8 || (size == 16 && !starts_a_block)) && random_.is_readable(start, size) &&
           heap_.read(start + size - 8) == 0;
  }

  void add_edges(std::vector<Edge>& edges, uint64_t word) const {
    const bool starts_a_block =
        std::any_of(heap_.blocks.begin(), heap_.blocks.end(), [&](const auto& block) { return block.start == word; });
    for (size_t i = 0; i < count_; ++i) {
      const auto& [start, size] = heap_.blocks[i];
      if (word == start) edges.push_back({i, true});
      else if (word > start && word < start + size) edges.push_back({i, is_array(i, word)});
      else if (word == start + size && is_empty_array(i, starts_a_block)) edges.push_back({i, !starts_a_block});
    }
  }

  bool is_array(size_t i, uint64_t word) const {
    const auto& [start, size] = heap_.blocks[i];
    if (random_.options.heuristics != kNewArray || word != start + 8) return false;
    const uint64_t elements = heap_.read(start);
    return elements != 0 && (size - 8) % elements == 0;
  }

  std::set<size_t> fixpoint(bool by_starts) const {
    std::set<size_t> found;
    const auto follow = [&](const std::vector<Edge>& edges) {
      bool more = false;
      for (const Edge& edge : edges) {
        if (edge.is_start || !by_starts) more = found.insert(edge.to).second || more;
      }
      return more;
    };
    follow(root_edges_);
    for (bool more = true; more;) {
      more = false;
      for (const size_t from : std::set<size_t>(found)) more = follow(edges_[from]) || more;
    }
    return found;
  }

  void judge_unreached(const std::set<size_t>& reached) {
    std::vector<size_t> lost;
    for (size_t i = 0; i < count_; ++i) {
      if (reached.count(i) == 0) lost.push_back(i);
    }
    std::vector<std::vector<bool>> leads(count_, std::vector<bool>(count_));
    for (const size_t from : lost) {
      for (const Edge& edge : edges_[from]) leads[from][edge.to] = reached.count(edge.to) == 0;
    }
    for (const size_t by : lost) {
      for (const size_t from : lost) {
        for (const size_t to : lost) leads[from][to] = leads[from][to] || (leads[from][by] && leads[by][to]);
      }
    }
    for (const size_t i : lost) {
      const bool is_leak = std::all_of(
          lost.begin(), lost.end(), [&](size_t other) { return !leads[other][i] || (leads[i][other] && i <= other); });
      verdicts[i] = is_leak ? Verdict::kDefinite : Verdict::kIndirect;
    }
    std::set<size_t> counted;
    for (auto leak = lost.rbegin(); leak != lost.rend(); ++leak) {
      if (verdicts[*leak] != Verdict::kDefinite) continue;
      auto& [blocks, bytes] = weights[*leak];
      for (const size_t i : lost) {
        if (i == *leak || !leads[*leak][i] || !counted.insert(i).second) continue;
        ++blocks;
        bytes += heap_.blocks[i].size;
      }
    }
  }

  const RandomHeap& random_;
  const TestHeap& heap_;
  size_t count_;
  std::vector<Edge> root_edges_;
  std::vector<std::vector<Edge>> edges_;
};

TEST(MarkRandom, ExactModeFollowsTheDefinitions) {
  std::map<Verdict, unsigned> seen;
  for (uint64_t seed = 0; seed < 6000; ++seed) {
    const RandomHeap random(seed);
    const Reference reference(random);
    const Judged judged(random.heap, random.options);
    ASSERT_EQ(judged.outcome, Outcome::kDone);
    for (size_t i = 0; i < random.heap.blocks.size(); ++i) {
      const uint64_t start = random.heap.blocks[i].start;
      ASSERT_EQ(judged.of(start), reference.verdicts.at(i)) << "seed " << seed << ", block " << i;
      ++seen[judged.of(start)];
    }
    ASSERT_EQ(judged.leaks.size(), reference.weights.size()) << "seed " << seed;
    for (const auto& [block, weight] : reference.weights) {
      const Leak& leak = judged.leaks.at(random.heap.blocks[block].start);
      ASSERT_EQ(leak.indirect_blocks, weight.first) << "seed " << seed << ", block " << block;
      ASSERT_EQ(leak.indirect_bytes, weight.second) << "seed " << seed << ", block " << block;
    }
  }
  for (const Verdict verdict : {Verdict::kReachable, Verdict::kPossible, Verdict::kDefinite, Verdict::kIndirect}) {
    EXPECT_GT(seen[verdict], 3000u) << "the random heaps have too few of class " << static_cast<int>(verdict);
  }
}

TEST(MarkRandom, SampledModeFollowsTheDefinition) {
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    RandomHeap random(seed);
    random.options = {};
    random.options.mode = MarkOptions::Mode::kSampled;
    const Reference reference(random);
    const Judged judged(random.heap, random.options);
    for (size_t i = 0; i < random.heap.blocks.size(); ++i) {
      const Verdict expected = reference.pointed_at(i) ? Verdict::kLive : Verdict::kDefinite;
      ASSERT_EQ(judged.of(random.heap.blocks[i].start), expected) << "seed " << seed << ", block " << i;
    }
  }
}

}  // namespace
}  // namespace seep::leak_scan
