// SPDX-License-Identifier: Apache-2.0
// Collecting symbols and looking them up.
#include "symbols/symbol_table.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "symbols/demangle.h"

namespace seep {
namespace {

bool in_code(Elf* elf, GElf_Word section_index) {
  Elf_Scn* section = elf == nullptr ? nullptr : elf_getscn(elf, section_index);
  GElf_Shdr header;
  return section != nullptr && gelf_getshdr(section, &header) != nullptr && (header.sh_flags & SHF_EXECINSTR) != 0;
}

bool is_function(const GElf_Sym& symbol, Elf* elf, GElf_Word section_index) {
  if (section_index == SHN_UNDEF) return false;
  switch (GELF_ST_TYPE(symbol.st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC: return true;
    case STT_NOTYPE:  // A label in assembly, perhaps of data.
      return in_code(elf, section_index);
    default: return false;
  }
}

// "strdup" rather than "__strdup", and an exported name rather than a local alias.
int rank_of(const char* name, const GElf_Sym& symbol) {
  const int underscores = static_cast<int>(std::min<size_t>(std::strspn(name, "_"), 8));
  const bool mangled = std::strncmp(name, "_Z", 2) == 0;
  return (mangled ? 0 : underscores * 2) + (GELF_ST_BIND(symbol.st_info) == STB_LOCAL ? 1 : 0);
}

}  // namespace

SymbolTable::SymbolTable(const ModuleFile& file) {
  const int count = dwfl_module_getsymtab(file.module());
  for (int index = 1; index < count; ++index) {  // 0 is the null symbol.
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Word section_index = SHN_UNDEF;
    Elf* elf = nullptr;
    const char* name = dwfl_module_getsym_info(file.module(), index, &symbol, &address, &section_index, &elf, nullptr);
    if (name == nullptr || *name == '\0' || !is_function(symbol, elf, section_index)) continue;
    symbols_.push_back({address - file.elf_bias(), symbol.st_size, rank_of(name, symbol), name});
  }
  std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& left, const Symbol& right) {
    // A name with a size says more than one without.
    const auto key = [](const Symbol& symbol) {
      return std::tuple(symbol.start, symbol.size_bytes == 0, symbol.rank, std::strlen(symbol.name));
    };
    const auto left_key = key(left);
    const auto right_key = key(right);
    return left_key != right_key ? left_key < right_key : std::strcmp(left.name, right.name) < 0;
  });
  const auto same_start = [](const Symbol& left, const Symbol& right) { return left.start == right.start; };
  symbols_.erase(std::unique(symbols_.begin(), symbols_.end(), same_start), symbols_.end());
}

std::optional<std::string> SymbolTable::find(uint64_t offset) const {
  const auto after = std::upper_bound(symbols_.begin(), symbols_.end(), offset,
                                      [](uint64_t value, const Symbol& symbol) { return value < symbol.start; });
  if (after == symbols_.begin()) return std::nullopt;
  const Symbol& nearest = *std::prev(after);
  if (nearest.size_bytes == 0) return readable_symbol(nearest.name);
  // A label inside a function hides the function's own symbol from "nearest": a few steps back find it.
  constexpr int kMaximumSteps = 8;
  auto symbol = after;
  for (int step = 0; step < kMaximumSteps && symbol != symbols_.begin(); ++step) {
    --symbol;
    if (symbol->size_bytes != 0 && offset - symbol->start < symbol->size_bytes) return readable_symbol(symbol->name);
  }
  return std::nullopt;
}

}  // namespace seep
