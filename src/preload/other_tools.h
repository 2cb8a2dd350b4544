// SPDX-License-Identifier: Apache-2.0
//
// Tools in the same process that replace the allocator with one of their own, and beside which we do nothing: what they
// say about memory is theirs to say, and none of them expects another one in its way.
// Runs inside the host, before its first allocation is recorded; calls no function of libc.
#pragma once

namespace seep {

// The runtime of a sanitizer that has an allocator: its name ("AddressSanitizer"), or null. Such a runtime also comes
// before libc's string functions, and those of some must not be called before its own constructor has run.
[[nodiscard]] const char* sanitizer_runtime() noexcept;

// Whether this runs under valgrind, by the library that all of its tools preload.
[[nodiscard]] bool runs_under_valgrind() noexcept;

}  // namespace seep
