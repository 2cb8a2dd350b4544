// SPDX-License-Identifier: Apache-2.0
#include "preload/stream_name.h"

#include <gtest/gtest.h>

#include <string>

namespace seep {
namespace {

const NameFacts kFacts{"/usr/bin/server", 42, "box", 1700000000, 3};

std::string expand(const char* pattern) {
  char name[64];
  return expand_name(pattern, kFacts, name, sizeof name) ? name : "(refused)";
}

TEST(OutputName, ExpandsEveryPlaceholder) {
  EXPECT_EQ(expand("seep.%e.%p/%e.%p.seep"), "seep.server.42/server.42.seep");
  EXPECT_EQ(expand("%h-%t-%n%%"), "box-1700000000-3%");
  EXPECT_EQ(expand("%x"), "%x");
  EXPECT_EQ(expand("a%"), "(refused)");
  EXPECT_EQ(expand(std::string(80, 'a').c_str()), "(refused)");
}

}  // namespace
}  // namespace seep
