// SPDX-License-Identifier: Apache-2.0
// Hashing stacks.
#include "leaks/fingerprint.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>

#include "symbols/stable_hash.h"

namespace seep {
namespace {

// What starts programs and threads: glibc, musl, their loaders, the C++ libraries' thread start.
constexpr std::array<std::string_view, 8> kStartingModules = {"libc.so", "libc-",        "libpthread", "ld-linux",
                                                              "ld-musl", "libstdc++.so", "libc++.so",  "libgcc_s"};

bool starts_program_or_thread(const Frame& frame) {
  return frame.function == kStartFunction || is_starting_module(frame.module);
}

}  // namespace

bool is_starting_module(std::string_view module) {
  const std::string_view name = module_base_name(module);
  return std::any_of(kStartingModules.begin(), kStartingModules.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

size_t runtime_frame_count(const Stack& stack) {
  const auto first_own = std::find_if(stack.begin(), stack.end(), [](const Frame* frame) { return !frame->runtime; });
  const size_t count = static_cast<size_t>(first_own - stack.begin());
  return count == stack.size() && count > 0 ? count - 1 : count;
}

size_t starting_frame_count(const Stack& stack) {
  size_t end = stack.size();
  // A stripped program's _start has no name, but only it calls libc from the outer end.
  if (end > 1 && !stack[end - 1]->named && starts_program_or_thread(*stack[end - 2])) --end;
  while (end > 0 && starts_program_or_thread(*stack[end - 1])) --end;
  return end > runtime_frame_count(stack) ? stack.size() - end : 0;
}

bool is_entry_point(const Frame& frame) {
  if (frame.function == "_start" || frame.function == "_dl_start_user") return true;
  // The loader's own, where it has no symbols.
  return !frame.named && module_base_name(frame.module).starts_with("ld-");
}

Stack telling_frames(const Stack& stack) {
  const size_t begin = runtime_frame_count(stack);
  const size_t end = stack.size() - starting_frame_count(stack);
  Stack telling;
  for (size_t index = begin; index < end; ++index) {
    if (telling.empty() || telling.back()->identity != stack[index]->identity) telling.push_back(stack[index]);
  }
  return telling;
}

uint64_t fingerprint_of(const Stack& stack) {
  StableHash hash;
  const Stack telling = telling_frames(stack);
  for (size_t index = telling.size(); index-- > 0;) hash.add(telling[index]->identity);
  return hash.value();
}

void OuterFrames::add(const Frame& frame, bool in_starting_module, const Frame* outer) {
  if (seen_ != Seen::kOwn && (in_starting_module || frame.function == kStartFunction)) {
    // Its _start, if one was waiting, is not its own either.
    starting_frames_ += seen_ == Seen::kOneUnnamed ? 2 : 1;
    hash_ = StableHash();
    seen_ = Seen::kStarting;
    return;
  }
  const bool first_own = seen_ == Seen::kNone || seen_ == Seen::kStarting;
  if (first_own || outer == nullptr || frame.identity != outer->identity) hash_.add(frame.identity);
  seen_ = seen_ == Seen::kNone && !frame.named ? Seen::kOneUnnamed : Seen::kOwn;
}

std::optional<uint64_t> OuterFrames::fingerprint() const {
  if (seen_ == Seen::kNone || seen_ == Seen::kStarting) return std::nullopt;
  return hash_.value();
}

std::string fingerprint_text(uint64_t fingerprint) { return absl::StrFormat("%016x", fingerprint); }

}  // namespace seep
