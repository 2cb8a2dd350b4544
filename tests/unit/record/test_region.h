// SPDX-License-Identifier: Apache-2.0
//
// A region in private memory for the unit tests; unmapped when the test is over.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "record/counters.h"
#include "record/region.h"

namespace seep {

class TestRegion {
 public:
  explicit TestRegion(uint64_t capacity_bytes = 64 << 20, bool sampled = false, const char* path = nullptr)
      : capacity_bytes_(capacity_bytes), region_(make_region({capacity_bytes, path, nullptr, 0})) {
    if (!region_.valid()) return;
    region_.header().counters_bytes = sampled ? sizeof(CounterBlock) : kExactCounterBytes;
    region_.header().identity.sample_bytes = sampled ? 512 << 10 : 1;
    if (path != nullptr) strncpy(region_.header().identity.region_path, path, sizeof(Identity::region_path) - 1);
  }
  ~TestRegion() {
    if (region_.valid()) munmap(&region_.header(), capacity_bytes_);
  }
  TestRegion(const TestRegion&) = delete;
  TestRegion& operator=(const TestRegion&) = delete;

  [[nodiscard]] Region get() const { return region_; }

 private:
  uint64_t capacity_bytes_;
  Region region_;
};

}  // namespace seep
