// SPDX-License-Identifier: Apache-2.0
//
// Chains from the program's data to a block, by pointers to the start and into the middle; and words that are no
// pointers to it: one past its end, at an address that is no multiple of a word, its complement.
//
// Expected: reachable where a chain of pointers to starts leads there, possible where a chain does so that has a
// pointer into the middle somewhere; what hangs from a leaked block is indirect either way; what has no pointer is
// definite.
#include "told.h"

static void* kept[8];
static char unaligned[4 * sizeof(void*)] __attribute__((aligned(16)));

#define NODE(name, bytes) \
  SITE static void** name(void) { return blank(bytes); }
NODE(all_starts, 40)
NODE(first_middle, 41)
NODE(second_middle, 42)
NODE(behind_middle, 43)
NODE(last_byte, 44)
NODE(start_and_middle, 45)
NODE(tagged, 46)
NODE(leaked, 47)
NODE(middle_of_leaked, 48)
NODE(past_the_end, 72)
NODE(misplaced, 50)
NODE(complemented, 51)

__attribute__((noinline)) static void fill(void) {
  void** node = kept[0] = all_starts();
  node[0] = all_starts();
  ((void***)node[0])[4] = all_starts();

  void** middle = first_middle();
  kept[1] = middle + 2;
  middle[0] = first_middle();

  node = kept[2] = all_starts();
  middle = second_middle();
  node[0] = middle + 1;
  middle[0] = behind_middle();

  kept[3] = (char*)last_byte() + 43;
  kept[4] = start_and_middle();
  node = kept[5] = all_starts();
  node[1] = (void**)kept[4] + 1;
  kept[6] = (char*)tagged() + 1;

  leaked()[0] = middle_of_leaked() + 1;
  kept[7] = (char*)past_the_end() + 72;

  void* block = misplaced();
  memcpy(unaligned + 4, &block, sizeof block);
  escape(unaligned);
  static uintptr_t complement;
  complement = ~(uintptr_t)complemented();
  escape(&complement);
  escape(kept);
}

int main(void) {
  fill();
  tell("all_starts", "reachable", 5, 5 * 40);
  tell("first_middle", "possible", 2, 2 * 41);
  tell("second_middle", "possible", 1, 42);
  tell("behind_middle", "possible", 1, 43);
  tell("last_byte", "possible", 1, 44);
  tell("start_and_middle", "reachable", 1, 45);
  tell("tagged", "possible", 1, 46);
  tell("leaked", "definite", 1, 47);
  tell("middle_of_leaked", "indirect", 1, 48);
  tell("past_the_end", "definite", 1, 72);
  tell("misplaced", "definite", 1, 50);
  tell("complemented", "definite", 1, 51);
  last_words();
  return 0;
}
