// SPDX-License-Identifier: Apache-2.0
// The fingerprint of a site: what stays the same about a stack from run to run and from build to build.
//
// It is made of the names of functions, inlined ones included, and of the base name of the module where there is no
// name; never of addresses, lines, or how much was inlined. Left out are
//   - runtime frames at the inner end (another library version, another inlining of it);
//   - the C runtime at the outer end, which started the program or the thread (its names depend on whether its debug
//     symbols are installed);
//   - repetitions of a function directly inside itself (recursion to another depth, parts that the compiler split off).
// Baselines hold fingerprints: changing anything here invalidates them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "symbols/frame.h"

namespace seep {

// A stack of logical frames, innermost first. Not owned.
using Stack = std::vector<const Frame*>;

// How many frames at the inner end are runtime frames to be folded: never all of them.
size_t runtime_frame_count(const Stack& stack);

// How many frames at the outer end are the C and C++ runtimes' that start a program or a thread: never so many that
// nothing is left between the two ends.
size_t starting_frame_count(const Stack& stack);

// Whether nothing can have called the frame: the first code of a process.
bool is_entry_point(const Frame& frame);

// The frames that tell the stack from others, innermost first: what its fingerprint is made of.
Stack telling_frames(const Stack& stack);

uint64_t fingerprint_of(const Stack& stack);

// 16 hexadecimal digits.
std::string fingerprint_text(uint64_t fingerprint);

}  // namespace seep
