// SPDX-License-Identifier: Apache-2.0
//
// Reads the primitives of DWARF (LEB128, encoded pointers) from unwind tables, never outside the bounds it was given:
// the tables are the host's, and may be anything. After a read that failed, `bad` stays set and all reads give 0. Runs
// inside the host, any thread, signal handlers; no state of its own.
#pragma once

#include <cstdint>
#include <cstring>

namespace seep {

// DW_EH_PE_*: Linux Standard Base, "DWARF Exception Header Encoding".
enum PointerEncoding : uint8_t {
  kEncodingOmit = 0xFF,
  kEncodingFormatMask = 0x0F,
  kEncodingApplicationMask = 0x70,
  kEncodingIndirect = 0x80,
  kEncodingPcRelative = 0x10,
  kEncodingDataRelative = 0x30,
};

class DwarfReader {
 public:
  // At `at`, which is bad unless it lies in [low, end].
  DwarfReader(const uint8_t* at, const uint8_t* low, const uint8_t* end)
      : at_(at), end_(end), bad_(at < low || at > end) {}

  [[nodiscard]] const uint8_t* at() const { return at_; }
  [[nodiscard]] const uint8_t* end() const { return end_; }
  [[nodiscard]] bool bad() const { return bad_; }
  [[nodiscard]] bool done() const { return bad_ || at_ >= end_; }

  void skip(uint64_t bytes) {
    if (bad_ || bytes > static_cast<uint64_t>(end_ - at_)) bad_ = true;
    else at_ += bytes;
  }

  void narrow(const uint8_t* end) {
    if (end < at_ || end > end_) bad_ = true;
    else end_ = end;
  }

  template <typename T>
  T fixed() {
    T value{};
    if (bad_ || static_cast<uint64_t>(end_ - at_) < sizeof(T)) {
      bad_ = true;
      return value;
    }
    memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  uint8_t byte() { return fixed<uint8_t>(); }

  uint64_t unsigned_leb() {
    uint64_t value = 0;
    for (unsigned shift = 0; !bad_ && shift < 70; shift += 7) {
      const uint8_t next = byte();
      if (shift < 64) value |= static_cast<uint64_t>(next & 0x7F) << shift;
      if (!(next & 0x80)) return value;
    }
    bad_ = true;
    return 0;
  }

  int64_t signed_leb() {
    uint64_t value = 0;
    for (unsigned shift = 0; !bad_ && shift < 70; shift += 7) {
      const uint8_t next = byte();
      if (shift < 64) value |= static_cast<uint64_t>(next & 0x7F) << shift;
      if (next & 0x80) continue;
      if (shift + 7 < 64 && (next & 0x40)) value |= ~uint64_t{0} << (shift + 7);
      return static_cast<int64_t>(value);
    }
    bad_ = true;
    return 0;
  }

  // An address by its encoding; `data_base` is what DW_EH_PE_datarel counts from. Indirect ones are not followed: no
  // address that we need is indirect.
  uint64_t pointer(uint8_t encoding, uint64_t data_base) {
    const uint64_t here = reinterpret_cast<uint64_t>(at_);
    uint64_t value = raw(encoding & kEncodingFormatMask);
    switch (encoding & kEncodingApplicationMask) {
      case 0: break;
      case kEncodingPcRelative: value += here; break;
      case kEncodingDataRelative: value += data_base; break;
      default: bad_ = true;
    }
    if (encoding & kEncodingIndirect) bad_ = true;
    return bad_ ? 0 : value;
  }

  // The same without its base: lengths are encoded so.
  uint64_t raw(uint8_t format) {
    switch (format) {
      case 0x00: return fixed<uint64_t>();
      case 0x01: return unsigned_leb();
      case 0x02: return fixed<uint16_t>();
      case 0x03: return fixed<uint32_t>();
      case 0x04: return fixed<uint64_t>();
      case 0x09: return static_cast<uint64_t>(signed_leb());
      case 0x0A: return static_cast<uint64_t>(static_cast<int64_t>(fixed<int16_t>()));
      case 0x0B: return static_cast<uint64_t>(static_cast<int64_t>(fixed<int32_t>()));
      case 0x0C: return fixed<uint64_t>();
      default: bad_ = true; return 0;
    }
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  bool bad_;
};

}  // namespace seep
