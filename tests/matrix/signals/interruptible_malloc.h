// SPDX-License-Identifier: Apache-2.0
//
// An allocator of the tests' own, behind libseep.so, that may be interrupted and left at any instruction, as glibc's
// may not: so a program that allocates in signal handlers, or jumps out of them, is defined. It may also call back into
// the program in the middle of an allocation. Runs in the programs of this group: any thread, any handler.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Called in each allocation that asks for exactly `interruptible_callback_bytes`, before the block is taken. It may
// longjmp away, throw, or end its thread. Both are the program's to set.
extern void (*interruptible_callback)(void);
extern size_t interruptible_callback_bytes;

#ifdef __cplusplus
}
#endif
