// SPDX-License-Identifier: Apache-2.0
//
// Holds 7 blocks of 1,000 bytes and dies of SIGSEGV in a library that it has opened (argument 1: crashing_plugin.so),
// where 5 of 700 are held. Expected: both sites are in the report, the second in the library's file, ended by
// signal 11.

#include <dlfcn.h>

#include <cstdlib>

static void* volatile held[7];

static __attribute__((noinline)) void hold() {
  for (auto& block : held) block = malloc(1000);
}

int main(int argc, char** argv) {
  hold();
  void* library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (library == nullptr) return 2;
  auto crash = reinterpret_cast<int (*)()>(dlsym(library, "crash_in_plugin"));
  return crash == nullptr ? 3 : crash();
}
