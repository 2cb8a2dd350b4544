// SPDX-License-Identifier: Apache-2.0
// A module's ELF symbols by address: .symtab (also of a separate debug file, or of .gnu_debugdata), else .dynsym.
// Built once; then read-only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "symbols/module_file.h"

namespace seep {

class SymbolTable {
 public:
  explicit SymbolTable(const ModuleFile& file);

  // The readable name of the function that holds an address of the module's ELF headers. A symbol that ends before the
  // address is not taken for it, however near it is.
  std::optional<std::string> find(uint64_t offset) const;

 private:
  struct Symbol {
    uint64_t start;
    uint64_t size_bytes;  // 0: written in assembly without one; reaches to the next symbol.
    int rank;             // Of several names for one address, the lowest is shown.
    const char* name;     // In the file's string table.
  };

  std::vector<Symbol> symbols_;  // By start; one for each start.
};

}  // namespace seep
