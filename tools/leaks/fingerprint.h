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
//
// It is made from the outermost frame inwards, because the stacks of a process are a tree that branches there: what is
// known of a caller (OuterFrames) serves all that it called, and a fingerprint is a step, however deep its stack is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/frame.h"
#include "symbols/stable_hash.h"

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

// Whether a function of this module (a path) starts programs or threads, where it is at the outer end of a stack: the C
// and C++ runtimes', and loaders'. Of other modules _start does.
bool is_starting_module(std::string_view module);
constexpr std::string_view kStartFunction = "_start";

// What a fingerprint needs to know of the frames from the outermost one to some frame.
class OuterFrames {
 public:
  // The next one inwards. `in_starting_module`: what is_starting_module() says of its. `outer`: the one before; null
  // for the outermost.
  void add(const Frame& frame, bool in_starting_module, const Frame* outer);

  // Of a stack that ends here, but for runtime frames within. Nothing where no frame is left but those that start: then
  // none of them is left out, and how many there are within decides.
  std::optional<uint64_t> fingerprint() const;
  // How many of the outermost ones start a program or a thread. Where there is a fingerprint.
  size_t starting_frames() const { return starting_frames_; }

 private:
  // An outermost frame without a name is a stripped program's _start, if the next one is the runtime's.
  enum class Seen : uint32_t { kNone, kOneUnnamed, kStarting, kOwn };

  StableHash hash_;
  uint32_t starting_frames_ = 0;
  Seen seen_ = Seen::kNone;
};

// 16 hexadecimal digits.
std::string fingerprint_text(uint64_t fingerprint);

}  // namespace seep
