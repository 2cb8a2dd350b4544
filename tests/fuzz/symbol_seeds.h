// SPDX-License-Identifier: Apache-2.0
//
// Files of the symbol cache for the fuzzer to begin with. By itself: the recorder has frames of its own. Pure.
#pragma once

#include <string>

namespace seep::fuzz {

// What the fuzzer knows that the symbols are of.
constexpr char kSymbolsKey[] = "fuzzed";

// What stands behind the checksum, of so many addresses.
std::string symbols(unsigned addresses);

}  // namespace seep::fuzz
