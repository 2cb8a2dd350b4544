// SPDX-License-Identifier: Apache-2.0
//
// Who else is here; see other_tools.h.
#include "preload/other_tools.h"

#include <dlfcn.h>
#include <link.h>

// Bound by the loader to the runtime's, or to nothing.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __hwasan_init();
__attribute__((weak)) void __lsan_init();
__attribute__((weak)) void __memprof_init();
__attribute__((weak)) void __msan_init();
__attribute__((weak)) void __tsan_init();
}

namespace seep {
namespace {

bool contains(const char* text, const char* part) {
  for (; *text != '\0'; ++text) {
    unsigned i = 0;
    while (part[i] != '\0' && text[i] == part[i]) ++i;
    if (part[i] == '\0') return true;
  }
  return false;
}

}  // namespace

const char* sanitizer_runtime() noexcept {
  if (__asan_init != nullptr) return "AddressSanitizer";
  if (__hwasan_init != nullptr) return "HWAddressSanitizer";
  if (__tsan_init != nullptr) return "ThreadSanitizer";
  if (__msan_init != nullptr) return "MemorySanitizer";
  if (__memprof_init != nullptr) return "MemProf";
  if (__lsan_init != nullptr) return "LeakSanitizer";
  return nullptr;
}

bool runs_under_valgrind() noexcept {
  dl_find_object own;
  if (_dl_find_object(reinterpret_cast<void*>(&runs_under_valgrind), &own) != 0) return false;
  const link_map* map = own.dlfo_link_map;
  while (map->l_prev != nullptr) map = map->l_prev;
  for (; map != nullptr; map = map->l_next) {
    if (map->l_name != nullptr && contains(map->l_name, "/vgpreload_core-")) return true;
  }
  return false;
}

}  // namespace seep
