// SPDX-License-Identifier: Apache-2.0
//
// The library of destructors, opened and never closed: its static object, its destructor function and its atexit
// handler free what it holds. Runs in the program under test, any thread of it.
#include "truth.h"

namespace {

constexpr int kBlocks = 20;
void* of_destructor[kBlocks];
void* of_handler[kBlocks];

__attribute__((noinline)) void* make_in_opened_library(size_t bytes) { return escape(malloc(bytes)); }

struct Holder {
  void* blocks[kBlocks];
  Holder() {
    for (void*& block : blocks) block = make_in_opened_library(600);
  }
  ~Holder() {
    for (void* block : blocks) free(block);
  }
} holder;

void run_handler() {
  for (void* block : of_handler) free(block);
}

__attribute__((constructor)) void open_library() {
  for (void*& block : of_destructor) block = make_in_opened_library(600);
  for (void*& block : of_handler) block = make_in_opened_library(600);
  atexit(run_handler);
  truth_site("make_in_opened_library", 3ul * kBlocks + 1, 600ul * (3 * kBlocks + 1), 0, 0);
}

__attribute__((destructor)) void close_library() {
  for (void* block : of_destructor) free(block);
  free(make_in_opened_library(600));
}

}  // namespace
