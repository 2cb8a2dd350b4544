// SPDX-License-Identifier: Apache-2.0
//
// The dynamic symbols of a loaded object, read from its own tables: without dlsym, so without memory, a lock, or the
// error that is the host's. Runs inside the host, any thread, while the object is loaded.
#pragma once

#include <link.h>

#include <cstdint>

namespace seep {

using Symbol = ElfW(Sym);

struct SymbolTables {
  const Symbol* symbols = nullptr;
  const char* names = nullptr;
  // DT_GNU_HASH: how many buckets, the first symbol that is in it (those before are looked up elsewhere), how many
  // words of a Bloom filter, its shift; the filter, the buckets, and of each symbol its hash.
  const uint32_t* hashes = nullptr;

  [[nodiscard]] bool complete() const noexcept { return symbols != nullptr && names != nullptr && hashes != nullptr; }
};

inline SymbolTables symbol_tables_of(const link_map& object) noexcept {
  SymbolTables tables;
  if (object.l_ld == nullptr) return tables;
  for (const ElfW(Dyn)* entry = object.l_ld; entry->d_tag != DT_NULL; ++entry) {
    // The loader has added the load bias, but where it cannot write (the vDSO).
    const ElfW(Addr) address = entry->d_un.d_ptr < object.l_addr ? 0 : entry->d_un.d_ptr;
    const void* table = reinterpret_cast<const void*>(address);
    if (entry->d_tag == DT_SYMTAB) tables.symbols = static_cast<const Symbol*>(table);
    if (entry->d_tag == DT_STRTAB) tables.names = static_cast<const char*>(table);
    if (entry->d_tag == DT_GNU_HASH) tables.hashes = static_cast<const uint32_t*>(table);
  }
  return tables;
}

}  // namespace seep
