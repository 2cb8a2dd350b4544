// SPDX-License-Identifier: Apache-2.0
//
// Text without stdio: appends to a buffer of fixed size, always ended by NUL, and reads numbers. Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep {

// The decimal number that begins at `at`, which moves behind it; 0 where there is none. Not of untrusted text: a number
// that is too large wraps around.
constexpr uint64_t read_decimal(const char*& at) {
  uint64_t value = 0;
  for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + static_cast<uint64_t>(*at - '0');
  return value;
}

// -1: it is none, as capital letters are none.
constexpr int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

// The same of a hexadecimal number, which ends before `end` at the latest; null: where something else stands.
constexpr uint64_t read_hexadecimal(const char*& at, const char* end = nullptr) {
  uint64_t value = 0;
  for (; at != end && hex_digit(*at) >= 0; ++at) value = value << 4 | static_cast<uint64_t>(hex_digit(*at));
  return value;
}

class TextBuilder {
 public:
  TextBuilder(char* buffer, size_t bytes) : buffer_(buffer), bytes_(bytes) { buffer_[0] = '\0'; }

  void add_character(char c) {
    if (used_ + 1 >= bytes_) {
      complete_ = false;
      return;
    }
    buffer_[used_++] = c;
    buffer_[used_] = '\0';
  }
  void add(const char* text) {
    while (*text != '\0') add_character(*text++);
  }
  void add_number(uint64_t number) {
    char digits[20];
    unsigned count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (count > 0) add_character(digits[--count]);
  }
  void add_hex(const uint8_t* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      add_character("0123456789abcdef"[bytes[i] >> 4]);
      add_character("0123456789abcdef"[bytes[i] & 15]);
    }
  }

  [[nodiscard]] size_t length() const { return used_; }
  [[nodiscard]] bool complete() const { return complete_; }  // False: something did not fit.

 private:
  char* buffer_;
  size_t bytes_;
  size_t used_ = 0;
  bool complete_ = true;
};

}  // namespace seep
