// SPDX-License-Identifier: Apache-2.0
//
// Text without stdio: appends to a buffer of fixed size, always ended by NUL. Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep {

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
