// SPDX-License-Identifier: Apache-2.0
//
// The string functions that libseep.so calls, its own: libc's names may be bound to an interceptor (ThreadSanitizer's)
// that jumps to null until its runtime has begun, which is after us, or to another preload's. Hidden, so that nobody
// else calls these, and only in libseep.so. Called on the slow path, with sizes of some bytes to some hundred.
//
// Runs inside the host, any thread, signal handlers. Must call nothing; and a loop here must not become a call of
// itself.
#include <cstddef>
#include <cstdint>

#define SEEP_STRING extern "C" __attribute__((used))

namespace {

// Keeps the compiler from knowing the loop around it for memcpy, memset or strlen.
__attribute__((always_inline)) inline void not_an_idiom() { __asm__ volatile("" ::: "memory"); }

using Byte = unsigned char;
struct __attribute__((packed, may_alias)) Word {
  uint64_t value;
};

}  // namespace

SEEP_STRING void* memcpy(void* __restrict to, const void* __restrict from, size_t bytes) {
  Byte* out = static_cast<Byte*>(to);
  const Byte* in = static_cast<const Byte*>(from);
  for (; bytes >= sizeof(Word); bytes -= sizeof(Word), out += sizeof(Word), in += sizeof(Word)) {
    reinterpret_cast<Word*>(out)->value = reinterpret_cast<const Word*>(in)->value;
    not_an_idiom();
  }
  for (; bytes > 0; --bytes) {
    *out++ = *in++;
    not_an_idiom();
  }
  return to;
}

SEEP_STRING void* memmove(void* to, const void* from, size_t bytes) {
  Byte* out = static_cast<Byte*>(to);
  const Byte* in = static_cast<const Byte*>(from);
  if (reinterpret_cast<uintptr_t>(out) - reinterpret_cast<uintptr_t>(in) >= bytes) {
    for (size_t i = 0; i < bytes; ++i) {
      out[i] = in[i];
      not_an_idiom();
    }
  } else {
    for (size_t i = bytes; i > 0; --i) {
      out[i - 1] = in[i - 1];
      not_an_idiom();
    }
  }
  return to;
}

SEEP_STRING void* memset(void* to, int value, size_t bytes) {
  Byte* out = static_cast<Byte*>(to);
  const uint64_t word = static_cast<Byte>(value) * uint64_t{0x0101010101010101};
  for (; bytes >= sizeof(Word); bytes -= sizeof(Word), out += sizeof(Word)) {
    reinterpret_cast<Word*>(out)->value = word;
    not_an_idiom();
  }
  for (; bytes > 0; --bytes) {
    *out++ = static_cast<Byte>(value);
    not_an_idiom();
  }
  return to;
}

SEEP_STRING int memcmp(const void* a, const void* b, size_t bytes) {
  const Byte* left = static_cast<const Byte*>(a);
  const Byte* right = static_cast<const Byte*>(b);
  // Whole words while they are equal, as those of frames mostly are; the byte that differs is found below.
  size_t i = 0;
  for (; i + sizeof(Word) <= bytes; i += sizeof(Word)) {
    if (reinterpret_cast<const Word*>(left + i)->value != reinterpret_cast<const Word*>(right + i)->value) break;
    not_an_idiom();
  }
  for (; i < bytes; ++i) {
    if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    not_an_idiom();
  }
  return 0;
}

SEEP_STRING void* memmem(const void* text, size_t text_bytes, const void* wanted, size_t wanted_bytes) {
  const Byte* at = static_cast<const Byte*>(text);
  for (; text_bytes >= wanted_bytes; --text_bytes, ++at) {
    if (memcmp(at, wanted, wanted_bytes) == 0) return const_cast<Byte*>(at);
  }
  return nullptr;
}

SEEP_STRING size_t strnlen(const char* text, size_t most) {
  size_t length = 0;
  for (; length < most && text[length] != '\0'; ++length) not_an_idiom();
  return length;
}

SEEP_STRING size_t strlen(const char* text) { return strnlen(text, SIZE_MAX); }

SEEP_STRING int strncmp(const char* a, const char* b, size_t most) {
  for (size_t i = 0; i < most; ++i) {
    const Byte left = static_cast<Byte>(a[i]), right = static_cast<Byte>(b[i]);
    if (left != right) return left < right ? -1 : 1;
    if (left == 0) return 0;
    not_an_idiom();
  }
  return 0;
}

SEEP_STRING int strcmp(const char* a, const char* b) { return strncmp(a, b, SIZE_MAX); }

SEEP_STRING char* strchr(const char* text, int wanted) {
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) return const_cast<char*>(text);
    if (*text == '\0') return nullptr;
    not_an_idiom();
  }
}

SEEP_STRING char* strrchr(const char* text, int wanted) {
  const char* found = nullptr;
  for (;; ++text) {
    if (*text == static_cast<char>(wanted)) found = text;
    if (*text == '\0') return const_cast<char*>(found);
    not_an_idiom();
  }
}

SEEP_STRING char* strncpy(char* __restrict to, const char* __restrict from, size_t bytes) {
  const size_t length = strnlen(from, bytes);
  memcpy(to, from, length);
  memset(to + length, 0, bytes - length);
  return to;
}
