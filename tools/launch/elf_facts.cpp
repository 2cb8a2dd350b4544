// SPDX-License-Identifier: Apache-2.0
// Reading ELF headers by libelf.
#include "launch/elf_facts.h"

#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string_view>

namespace seep {
namespace {

struct Sanitizer {
  std::string_view library;  // gcc links it dynamically, as a rule,
  std::string_view symbol;   // and clang puts it into the program.
  const char* name;
};
constexpr std::array<Sanitizer, 5> kSanitizers = {{
    {"libasan.so", "__asan_init", "AddressSanitizer"},
    {"libhwasan.so", "__hwasan_init", "HWAddressSanitizer"},
    {"libtsan.so", "__tsan_init", "ThreadSanitizer"},
    {"libmsan.so", "__msan_init", "MemorySanitizer"},
    {"liblsan.so", "__lsan_init", "LeakSanitizer"},
}};

// The sections of one kind, each with its data.
template <typename Visit>
void for_each_section(Elf* elf, GElf_Word type, Visit visit) {
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != type) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || header.sh_entsize == 0) continue;
    visit(header, data, static_cast<int>(header.sh_size / header.sh_entsize));
  }
}

void read_dynamic_section(Elf* elf, ElfFacts& facts, bool& position_independent_program) {
  for_each_section(elf, SHT_DYNAMIC, [&](const GElf_Shdr& header, Elf_Data* data, int count) {
    for (int index = 0; index < count; ++index) {
      GElf_Dyn entry;
      if (gelf_getdyn(data, index, &entry) == nullptr || entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE) != 0) position_independent_program = true;
      if (entry.d_tag != DT_NEEDED) continue;
      const char* library = elf_strptr(elf, header.sh_link, entry.d_un.d_val);
      for (const Sanitizer& sanitizer : kSanitizers) {
        if (library != nullptr && std::string_view(library).starts_with(sanitizer.library)) {
          facts.sanitizer = sanitizer.name;
        }
      }
    }
  });
}

void read_dynamic_symbols(Elf* elf, ElfFacts& facts) {
  for_each_section(elf, SHT_DYNSYM, [&](const GElf_Shdr& header, Elf_Data* data, int count) {
    for (int index = 0; index < count; ++index) {
      GElf_Sym symbol;
      if (gelf_getsym(data, index, &symbol) == nullptr || symbol.st_shndx == SHN_UNDEF) continue;
      const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
      for (const Sanitizer& sanitizer : kSanitizers) {
        if (name != nullptr && name == sanitizer.symbol) facts.sanitizer = sanitizer.name;
      }
    }
  });
}

bool has_interpreter(Elf* elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return false;
  for (size_t index = 0; index < count; ++index) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(index), &header) != nullptr && header.p_type == PT_INTERP) return true;
  }
  return false;
}

void read_facts(Elf* elf, ElfFacts& facts) {
  GElf_Ehdr header;
  if (elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == nullptr) return;
  facts.is_elf = true;
  facts.bits = gelf_getclass(elf) == ELFCLASS32 ? 32 : 64;
  facts.machine = header.e_machine;
  bool position_independent_program = false;
  read_dynamic_section(elf, facts, position_independent_program);
  if (facts.sanitizer.empty()) read_dynamic_symbols(elf, facts);
  // A shared object without an interpreter that is no program is the loader itself, which does preload.
  facts.is_static = !has_interpreter(elf) && (header.e_type == ET_EXEC || position_independent_program);
}

}  // namespace

ElfFacts elf_facts(const std::string& path) {
  ElfFacts facts;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return facts;
  elf_version(EV_CURRENT);
  if (Elf* elf = elf_begin(fd, ELF_C_READ, nullptr)) {
    read_facts(elf, facts);
    elf_end(elf);
  }
  close(fd);
  return facts;
}

}  // namespace seep
