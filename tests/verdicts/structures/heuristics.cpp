// SPDX-License-Identifier: Apache-2.0
//
// Pointers into the middle of a block that are as good as one to its start: behind the count of elements of new T[n],
// behind a length that is that of the rest, to a base class that is not the first one; and right behind the count of
// new T[0], which is past the end of the block. Beside each what nearly looks so.
//
// Expected: reachable; what nearly looks so is possible, and past the end of a block with a count that is not nought
// definite. Valgrind does not know new T[0]: definite.
#include "told.h"

namespace {

struct Counted {
  long value = 1;
  ~Counted() { escape(this); }
};
struct alignas(16) WideCounted {
  long values[2] = {1, 2};
  ~WideCounted() { escape(this); }
};
struct First {
  virtual ~First() { escape(this); }
  virtual void first() { escape(this); }
  long a = 1;
};
struct Second {
  virtual ~Second() { escape(this); }
  virtual void second() { escape(this); }
  long b = 2;
};
struct Both : First, Second {
  void second() override { escape(&b); }
  long c[4] = {};
};
struct PlainSecond {
  long b = 2;
};
struct PlainBoth : First, PlainSecond {
  long c[5] = {};
};

void* kept[16];

SITE void array() { kept[0] = escape(new Counted[5]); }
SITE void array_element() { kept[1] = escape(new Counted[5] + 2); }
SITE void empty_array() { kept[2] = escape(new Counted[0]); }
SITE void empty_wide_array() { kept[3] = escape(new WideCounted[0]); }
SITE void no_empty_array() {
  auto* block = static_cast<uint64_t*>(blank(8));
  *block = 7;
  kept[4] = block + 1;
}
SITE void with_length() {
  auto* block = static_cast<uint64_t*>(escape(calloc(1, 104)));
  *block = 96;
  kept[5] = block + 1;
}
SITE void with_wrong_length() {
  auto* block = static_cast<uint64_t*>(escape(calloc(1, 104)));
  *block = 97;
  kept[6] = block + 1;
}
SITE void second_base() { kept[7] = escape(static_cast<Second*>(static_cast<Both*>(escape(new Both)))); }
SITE void second_base_without_table() {
  kept[8] = escape(static_cast<PlainSecond*>(static_cast<PlainBoth*>(escape(new PlainBoth))));
}

}  // namespace

int main() {
  array();
  array_element();
  empty_array();
  empty_wide_array();
  no_empty_array();
  with_length();
  with_wrong_length();
  second_base();
  second_base_without_table();
  escape(kept);
  tell("array", "reachable", 1, 8 + 5 * sizeof(Counted));
  tell("array_element", "possible", 1, 8 + 5 * sizeof(Counted));
  tell("empty_array", "reachable", 1, 8);
  tell("empty_wide_array", "reachable", 1, 16);
  tell("no_empty_array", "definite", 1, 8);
  tell("with_length", "reachable", 1, 104);
  tell("with_wrong_length", "possible", 1, 104);
  tell("second_base", "reachable", 1, sizeof(Both));
  tell("second_base_without_table", "possible", 1, sizeof(PlainBoth));
  tell_of_valgrind("empty_array", "definite", 1, 8);
  tell_of_valgrind("empty_wide_array", "definite", 1, 16);
  last_words();
  return 0;
}
