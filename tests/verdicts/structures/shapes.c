// SPDX-License-Identifier: Apache-2.0
//
// Leaked structures: one block, one that points to itself, a list, a tree, a ring, a ring with a list behind it, two
// blocks that share a third, and a list that ends in a ring, at its lowest block or at another one.
//
// Expected: what nothing else leaked leads to is definite, once for a ring; the rest is indirect. A ring that another
// leaked block points into is indirect for us, whole; for Valgrind its lowest block is definite all the same, if it is
// not the one pointed to and was met first.
#include "told.h"

enum { kLength = 10 };

#define NODE(name, bytes) \
  SITE static void** name(void) { return blank(bytes); }
NODE(single, 24)
NODE(self, 40)
NODE(list_head, 56)
NODE(list_rest, 57)
NODE(tree_root, 72)
NODE(tree_rest, 73)
NODE(ring, 88)
NODE(tailed_ring, 104)
NODE(tail, 105)
NODE(sharing, 120)
NODE(shared, 121)
NODE(before_ring, 136)
NODE(ring_behind, 137)
NODE(before_middle, 152)
NODE(ring_at_middle, 153)

// Makes `length` nodes that point one to the next; the last one.
static void** chain(void** head, void** (*make)(void), int length) {
  for (int i = 0; i < length; ++i) {
    head[1] = make();
    head = head[1];
  }
  return head;
}
static void** make_ring(void** (*make)(void), int length) {
  void** first = make();
  void** last = chain(first, make, length - 1);
  last[1] = first;
  return first;
}
static void grow_tree(void** root, int depth) {
  for (int i = 0; depth > 0 && i < 2; ++i) {
    root[i] = tree_rest();
    grow_tree(root[i], depth - 1);
  }
}

__attribute__((noinline)) static void leak(void) {
  single();
  void** own = self();
  own[2] = own;
  chain(list_head(), list_rest, kLength - 1);
  grow_tree(tree_root(), 5);
  make_ring(ring, kLength);
  chain(make_ring(tailed_ring, kLength) + 1, tail, kLength);  // From its third word: the second is the ring's.
  void** left = sharing();
  void** right = sharing();
  left[0] = right[0] = shared();
  void** behind = make_ring(ring_behind, kLength);
  before_ring()[0] = behind;
  void** middle = make_ring(ring_at_middle, kLength);
  before_middle()[0] = ((void***)middle[1])[1];
}

int main(void) {
  leak();
  tell("single", "definite", 1, 24);
  tell("self", "definite", 1, 40);
  tell("list_head", "definite", 1, 56);
  tell("list_rest", "indirect", kLength - 1, (kLength - 1) * 57);
  tell("tree_root", "definite", 1, 72);
  tell("tree_rest", "indirect", 62, 62 * 73);
  tell("ring", "definite", 1, 88);
  tell("ring", "indirect", kLength - 1, (kLength - 1) * 88);
  tell("tailed_ring", "definite", 1, 104);
  tell("tailed_ring", "indirect", kLength - 1, (kLength - 1) * 104);
  tell("tail", "indirect", kLength, kLength * 105);
  tell("sharing", "definite", 2, 240);
  tell("shared", "indirect", 1, 121);
  tell("before_ring", "definite", 1, 136);
  tell("ring_behind", "indirect", kLength, kLength * 137);
  tell("before_middle", "definite", 1, 152);
  tell("ring_at_middle", "indirect", kLength, kLength * 153);
  tell_of_valgrind("ring_at_middle", "definite", 1, 153);
  tell_of_valgrind("ring_at_middle", "indirect", kLength - 1, (kLength - 1) * 153);
  last_words();
  return 0;
}
