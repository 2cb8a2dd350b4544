// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a file of the symbol cache, behind a checksum that is always good, and without one. What is taken for
// symbols can be written, and is then read as the same again. One thread.
#include <cstring>
#include <string>

#include "record/crc32c.h"
#include "symbol_seeds.h"
#include "symbols/cached_symbols.h"

namespace {

using namespace seep;

constexpr std::string_view kKey = fuzz::kSymbolsKey;

bool same(const std::vector<KnownAddress>& left, const std::vector<KnownAddress>& right) {
  const auto same_frame = [](const Frame& one, const Frame& other) {
    return one.function == other.function && one.file == other.file && one.line == other.line &&
           one.named == other.named && one.inlined == other.inlined;
  };
  const auto same_address = [&](const KnownAddress& one, const KnownAddress& other) {
    return one.offset == other.offset &&
           std::equal(one.frames.begin(), one.frames.end(), other.frames.begin(), other.frames.end(), same_frame);
  };
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), same_address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  (void)decode_symbols(kKey, body);
  std::string bytes = encode_symbols(kKey, {});
  bytes.resize(kSymbolsHeadBytes);
  const uint32_t checksum = crc32c(body.data(), body.size());
  std::memcpy(bytes.data() + bytes.size() - sizeof checksum, &checksum, sizeof checksum);
  const auto known = decode_symbols(kKey, bytes + body);
  if (!known) return 0;
  const auto again = decode_symbols(kKey, encode_symbols(kKey, *known));
  if (!again || !same(*known, *again)) __builtin_trap();
  return 0;
}
