// SPDX-License-Identifier: Apache-2.0
//
// The library that ten_sites.cpp opens, calls and closes: one of the ten sites is here.

#include <cstdlib>

using Keep = void (*)(void* block, size_t size_bytes, const char* file, int line, const char* function);

extern "C" void leak_in_plugin(Keep keep);

extern "C" void leak_in_plugin(Keep keep) {
  for (size_t i = 0; i < 13; ++i) keep(malloc(70 + i), 70 + i, __FILE__, __LINE__, "leak_in_plugin");
  for (int i = 0; i < 40; ++i) {
    void* volatile block = malloc(1000);
    free(block);
  }
}
