// SPDX-License-Identifier: Apache-2.0
//
// What the program says about leak checks; see program_wishes.h.
#include "preload/leak_scan/program_wishes.h"

#include <cstring>

extern "C" {
__attribute__((weak)) int __lsan_is_turned_off();
__attribute__((weak)) const char* __lsan_default_suppressions();
}

namespace seep::leak_scan {

bool is_turned_off() noexcept { return __lsan_is_turned_off != nullptr && __lsan_is_turned_off() != 0; }

size_t copy_default_suppressions(char* to, size_t most_bytes) noexcept {
  const char* text = __lsan_default_suppressions == nullptr ? nullptr : __lsan_default_suppressions();
  size_t bytes = text == nullptr ? 0 : strnlen(text, most_bytes);
  if (bytes == most_bytes) {
    --bytes;
    while (bytes > 0 && text[bytes - 1] != '\n') --bytes;
  }
  if (bytes > 0) memcpy(to, text, bytes);
  to[bytes] = '\0';
  return bytes;
}

}  // namespace seep::leak_scan
