// SPDX-License-Identifier: Apache-2.0
//
// libseep.so's own string functions beside libc's, for every length and alignment up to some words. They are compiled
// here under other names.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#define memcpy own_memcpy
#define memmove own_memmove
#define memset own_memset
#define memcmp own_memcmp
#define memmem own_memmem
#define strnlen own_strnlen
#define strlen own_strlen
#define strncmp own_strncmp
#define strcmp own_strcmp
#define strchr own_strchr
#define strrchr own_strrchr
#define strncpy own_strncpy
#include "../../../src/preload/strings.cpp"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memmem
#undef strnlen
#undef strlen
#undef strncmp
#undef strcmp
#undef strchr
#undef strrchr
#undef strncpy

namespace {

constexpr size_t kMost = 40;

int sign(int value) { return (value > 0) - (value < 0); }

// Few letters, so that much is equal; some above 127, which compare as unsigned.
std::string random_text(std::mt19937& random, size_t length) {
  std::string text(length, ' ');
  for (char& c : text) c = "ab\xE9\xFF"[random() % 4];
  return text;
}

TEST(Strings, CopyAndFill) {
  std::mt19937 random(1);
  for (size_t length = 0; length < kMost; ++length) {
    for (size_t from = 0; from < 9; ++from) {
      for (size_t to = 0; to < 9; ++to) {
        const std::string text = random_text(random, 2 * kMost);
        std::string c = text, d = text;
        EXPECT_EQ(own_memmove(&c[to], &c[from], length), &c[to]);
        ::memmove(&d[to], &d[from], length);
        EXPECT_EQ(c, d) << length << ' ' << from << ' ' << to;
        std::string a = text, b = text;
        own_memcpy(&a[to], &text[from], length);
        ::memcpy(&b[to], &text[from], length);
        own_memset(&a[from], static_cast<int>(0xE9), length);
        ::memset(&b[from], 0xE9, length);
        EXPECT_EQ(a, b) << length << ' ' << from << ' ' << to;
      }
    }
  }
}

TEST(Strings, CompareAndSearch) {
  std::mt19937 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const std::string a = random_text(random, random() % kMost), b = random_text(random, random() % 4);
    std::string c = a;
    if (!c.empty() && i % 2 == 0) c[random() % c.size()] = 'b';
    const size_t common = std::min(a.size(), c.size());
    EXPECT_EQ(sign(own_memcmp(a.data(), c.data(), common)), sign(::memcmp(a.data(), c.data(), common)));
    EXPECT_EQ(sign(own_strcmp(a.c_str(), c.c_str())), sign(::strcmp(a.c_str(), c.c_str())));
    EXPECT_EQ(sign(own_strncmp(a.c_str(), b.c_str(), 2)), sign(::strncmp(a.c_str(), b.c_str(), 2)));
    EXPECT_EQ(own_memmem(a.data(), a.size(), b.data(), b.size()), ::memmem(a.data(), a.size(), b.data(), b.size()));
    EXPECT_EQ(own_strlen(a.c_str()), a.size());
    EXPECT_EQ(own_strnlen(a.c_str(), 5), ::strnlen(a.c_str(), 5));
    for (const int wanted : {'a', '\xE9', 'x', '\0'}) {
      EXPECT_EQ(own_strchr(a.c_str(), wanted), ::strchr(a.c_str(), wanted));
      EXPECT_EQ(own_strrchr(a.c_str(), wanted), ::strrchr(a.c_str(), wanted));
    }
    char own[24] = "###################", libcs[24] = "###################";
    own_strncpy(own, a.c_str(), 20);
    strncpy(libcs, a.c_str(), 20);
    EXPECT_EQ(::memcmp(own, libcs, sizeof own), 0) << a;
  }
}

}  // namespace
