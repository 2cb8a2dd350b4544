// SPDX-License-Identifier: Apache-2.0
//
// What the fuzzers of the gate's files share: a profile to judge, and what an error must look like. One thread.
#pragma once

#include <string>

#include "error.h"
#include "test_profiles.h"

namespace seep::fuzz {

inline void expect(bool truth) {
  if (!truth) __builtin_trap();
}

// One line, of the input, with the number of a line of it, or of the whole.
inline void check_error(const Error& error) {
  const std::string text = error.what();
  expect(error.code() == ExitCode::kUsage);
  expect(text.starts_with("input"));
  for (const char c : text) expect(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
}

// Some leaks, of names that patterns may match.
inline testing::ProfileMaker leaking() {
  testing::ProfileMaker maker;
  maker.add_leak({"operator new(unsigned long)", "net::Session::open(int)", "main", "__libc_start_main"}, 10, 1000);
  maker.add_leak({"make_message", "send_loop", "send_loop", "main"}, 3, 300).judgement.possible = counted(1, 7);
  maker.add_leak({"(anonymous namespace)::load<int*>", "main"}, 1, 1);
  return maker;
}

}  // namespace seep::fuzz
