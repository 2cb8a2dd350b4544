// SPDX-License-Identifier: Apache-2.0
//
// Everything in seep that depends on the processor is behind this header: system calls, the registers a stack walk
// starts from, and their DWARF numbers. A port adds one file beside x86_64.h and one line here.
#pragma once

#if defined(__x86_64__)
#include "processor/x86_64.h"  // IWYU pragma: export
#else
#error "seep runs on x86-64; a port adds src/processor/NAME.h"
#endif
