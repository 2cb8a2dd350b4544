// SPDX-License-Identifier: Apache-2.0
// What an ELF file's headers say about how it will be loaded. Only reads; trusts no byte of the file.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

struct ElfFacts {
  bool is_elf = false;
  int bits = 0;            // 32 or 64.
  uint16_t machine = 0;    // EM_...
  bool is_static = false;  // No dynamic loader takes part.
  std::string sanitizer;   // The sanitizer runtime that it is built with, if that replaces the allocator.
};

ElfFacts elf_facts(const std::string& path);

}  // namespace seep
