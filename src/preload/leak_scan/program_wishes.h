// SPDX-License-Identifier: Apache-2.0
//
// What the program itself says about leak checks, by functions that LeakSanitizer asks, too
// (sanitizer/lsan_interface.h):
//
//     int __lsan_is_turned_off(void)                   not 0: no check is wanted
//     const char* __lsan_default_suppressions(void)    which leaks are known, line by line
//
// Bound by the loader when the program starts, as LeakSanitizer does, so that nothing is looked up when it ends: the
// program, or a library that it needs, must export them (-rdynamic).
//
// Runs inside the host, on a thread of its own that is in no hook of the malloc family: the functions are the program's
// and may do what they like. Must not be called while threads stand still.
#pragma once

#include <cstddef>

namespace seep::leak_scan {

[[nodiscard]] bool is_turned_off() noexcept;

// Copies the whole lines that fit, and a zero. How many bytes, without the zero.
size_t copy_default_suppressions(char* to, size_t most_bytes) noexcept;

}  // namespace seep::leak_scan
