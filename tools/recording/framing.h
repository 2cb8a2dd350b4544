// SPDX-License-Identifier: Apache-2.0
// The framing of a stream's messages, in numbers: what proto/seep.proto says in words.
//
//   varint length | 09 <sync, 8 bytes> ... | 7D <CRC-32C, 4 bytes>
//
// Shared by the reader and the writer, so that they cannot differ.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace seep {

constexpr uint64_t kSync = 0xF5A7C35EEB1EA4D7;

// The tag of field 1 as a fixed64, then kSync in little-endian order: how every message begins.
constexpr std::array<uint8_t, 9> kMessageStart = {0x09, 0xD7, 0xA4, 0x1E, 0xEB, 0x5E, 0xC3, 0xA7, 0xF5};

// The tag of field 15 as a fixed32: one byte, so that the trailer has a fixed size.
constexpr uint8_t kCrcTag = 0x7D;
constexpr size_t kTrailerBytes = 5;

constexpr size_t kMinimumMessageBytes = kMessageStart.size() + kTrailerBytes;
// Writers stay far below. A larger length is taken for damage, which bounds the reader's memory.
constexpr size_t kMaximumMessageBytes = 16u << 20;
// A length up to kMaximumMessageBytes is at most so long as a varint.
constexpr size_t kMaximumLengthBytes = 4;

}  // namespace seep
