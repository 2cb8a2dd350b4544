// SPDX-License-Identifier: Apache-2.0
//
// Between registered_early and its library. Runs in the program under test.
#pragma once

// Called when the program ends: by quick_exit (1), or by exit (0).
extern void end_of_library(int quick);
extern int registered_early;  // 1 after the library's constructor; and what makes the linker keep the library.
