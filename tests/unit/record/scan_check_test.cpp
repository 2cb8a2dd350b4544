// SPDX-License-Identifier: Apache-2.0
//
// Damage to what a scan said, in copies of a region: it is not followed, it is named, and the traces come out as they
// were. Run under the address sanitizer too.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <string>

#include "small_region.h"

namespace seep {
namespace {

class ScanCheckTest : public SmallRegionTest {
 protected:
  // What the scan says, by trace; the counters come back whole whatever happens to it.
  std::map<uint32_t, uint64_t> definite_bytes_in(const std::string& copy) {
    const auto [check, messages] = read(copy);
    last_check = check;
    EXPECT_TRUE(check.usable);
    EXPECT_EQ(learned_from(messages), whole);
    has_scan = !messages.empty() && messages.back().snapshot().has_scan();
    std::map<uint32_t, uint64_t> said;
    for (const proto::Message& message : messages) {
      for (const proto::TraceCounters& counters : message.counters().counters()) {
        if (counters.has_verdicts()) said[counters.trace_id()] = counters.verdicts().definite_bytes();
      }
    }
    return said;
  }
  static RegionHeader& header_of(std::string& copy) { return *reinterpret_cast<RegionHeader*>(copy.data()); }

  RegionCheck last_check;
  bool has_scan = false;
  const std::map<uint32_t, uint64_t> all{{1, 1000}, {2, 1001}, {3, 1002}, {4, 1003}, {5, 1004}};
};

TEST_F(ScanCheckTest, AWholeScanComesBack) {
  EXPECT_EQ(definite_bytes_in(image()), all);
  EXPECT_TRUE(has_scan);
  EXPECT_STREQ(last_check.problem, "");
}

TEST_F(ScanCheckTest, AResultThatIsNoneIsNotFollowed) {
  for (const uint32_t standing : {3u, 4u, 0x80000000u, 0xFFFFFFFFu}) {
    std::string copy = image();
    header_of(copy).scan.standing = standing;
    EXPECT_TRUE(definite_bytes_in(copy).empty()) << standing;
    EXPECT_FALSE(has_scan);
    EXPECT_STREQ(last_check.problem, "the verdicts of a scan");
    EXPECT_EQ(last_check.entries_lost, 1u);
  }
}

// Nowhere, the header, entries that others claim, the end, and behind it.
TEST_F(ScanCheckTest, VerdictsThatLieElsewhereAreNotSaid) {
  const Ref newest = region.get().header().newest[0].trace.load();
  const Ref module = region.get().header().newest[0].module.load();
  const auto end = static_cast<Ref>(bytes / kRefUnitBytes);
  for (const Ref elsewhere : {0u, 1u, module, newest, newest + 1, newest - 1, end - 1, end, end + 1, 0xFFFFFFFFu}) {
    std::string copy = image();
    header_of(copy).scan.results[1].verdicts = elsewhere;
    EXPECT_TRUE(definite_bytes_in(copy).empty()) << elsewhere;
    EXPECT_FALSE(has_scan);
    EXPECT_STREQ(last_check.problem, "the verdicts of a scan");
  }
}

TEST_F(ScanCheckTest, MoreVerdictsThanThereIsRoomForAreNotSaid) {
  for (const uint32_t capacity : {kTraces + 1u, 0x10000u, 0x80000000u, 0xFFFFFFFFu}) {
    std::string copy = image();
    header_of(copy).scan.results[1].capacity = capacity;
    EXPECT_TRUE(definite_bytes_in(copy).empty()) << capacity;
    EXPECT_STREQ(last_check.problem, "the verdicts of a scan");
  }
}

TEST_F(ScanCheckTest, VerdictsThatAreCutOffAreNotSaid) {
  std::string copy = image();
  copy.pop_back();
  EXPECT_TRUE(definite_bytes_in(copy).empty());
  EXPECT_STREQ(last_check.problem, "the verdicts of a scan");
  // Or that lay in private memory, which is not in the file.
  copy = image();
  header_of(copy).private_from_bytes = uint64_t{header_of(copy).scan.results[1].verdicts} * kRefUnitBytes;
  EXPECT_TRUE(definite_bytes_in(copy).empty());
  EXPECT_FALSE(has_scan);
}

TEST_F(ScanCheckTest, DamageToTheOtherResultChangesNothing) {
  std::string copy = image();
  memset(&header_of(copy).scan.results[0], 0xFF, sizeof(ScanResult));
  EXPECT_EQ(definite_bytes_in(copy), all);
  EXPECT_STREQ(last_check.problem, "");
}

TEST_F(ScanCheckTest, SuppressionsWithoutAnEndAreEnded) {
  std::string copy = image();
  memset(header_of(copy).scan.default_suppressions, 'x', sizeof(ScanState::default_suppressions));
  const std::string said = read(copy).second.back().snapshot().scan().default_suppressions();
  EXPECT_EQ(said, std::string(sizeof(ScanState::default_suppressions) - 1, 'x'));
}

TEST_F(ScanCheckTest, AFreeingStackThatLeadsOutIsNone) {
  const auto end = static_cast<Ref>(bytes / kRefUnitBytes);
  for (const Ref out : {1u, end - 1, end, 0xFFFFFFFFu}) {
    std::string copy = image();
    const Region view(copy.data());
    Trace& trace = *view.at<Trace>(header_of(copy).newest[0].trace.load());
    trace.freeing = FreeingStack{out, 9, 9, 9}.pack();
    const uint32_t id = trace.id;
    const auto [check, messages] = read(copy);
    EXPECT_TRUE(check.usable);
    unsigned found = 0;
    for (const proto::Message& message : messages) {
      for (const proto::TraceCounters& counters : message.counters().counters()) {
        if (counters.trace_id() != id) continue;
        ++found;
        EXPECT_EQ(counters.freed_by_trace_id(), 0u);
        EXPECT_EQ(counters.frees_looked_at(), 0u);
        EXPECT_EQ(counters.alloc_blocks(), 2u);
      }
    }
    EXPECT_EQ(found, 1u) << out;
  }
}

}  // namespace
}  // namespace seep
