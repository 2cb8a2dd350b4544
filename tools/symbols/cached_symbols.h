// SPDX-License-Identifier: Apache-2.0
// The bytes of a file in the symbol cache, and what they mean. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "symbols/frame.h"

namespace seep {

// What debug information and symbols say of an address: of each frame function, file, line, `named` and `inlined`.
struct KnownAddress {
  uint64_t offset = 0;
  std::vector<Frame> frames;  // Innermost first, never empty.
};

// In front of the message: what it is, and the checksum of the rest.
constexpr std::string_view kSymbolsMagic = "seep symbols\n";
constexpr size_t kSymbolsHeadBytes = kSymbolsMagic.size() + sizeof(uint32_t);

// `known` in ascending order of addresses, each once.
std::string encode_symbols(std::string_view key, const std::vector<KnownAddress>& known);

// The same again. Nothing where the bytes are not whole, or not exactly what encode_symbols() makes for this key: no
// part of a damaged file is used.
std::optional<std::vector<KnownAddress>> decode_symbols(std::string_view key, std::string_view bytes);

}  // namespace seep
