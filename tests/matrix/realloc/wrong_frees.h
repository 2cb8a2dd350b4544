// SPDX-License-Identifier: Apache-2.0
//
// What wrong_frees asks of its allocator. Runs in the program under test.
#pragma once

extern unsigned long taken_blocks, freed_blocks;  // Calls so far: those of main's thread, the only one.
