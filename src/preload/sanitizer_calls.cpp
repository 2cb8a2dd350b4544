// SPDX-License-Identifier: Apache-2.0
//
// A symbol of the sanitizer's runtime; see sanitizer_calls.h.
#include "preload/sanitizer_calls.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>

#include "preload/symbol_tables.h"

// Those that check for leaks. Bound by the loader to the runtime's, or to nothing.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __hwasan_init();
__attribute__((weak)) void __lsan_init();
}

namespace seep {
namespace {

bool is_same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

uint32_t gnu_hash(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// Of a symbol's hash in the table the lowest bit is set where it is the last one of its bucket.
const Symbol* find_symbol(const SymbolTables& tables, const char* name) {
  if (!tables.complete()) return nullptr;
  constexpr unsigned kHeaderWords = 4, kWordsOfFilterWord = sizeof(ElfW(Addr)) / sizeof(uint32_t);
  const uint32_t bucket_count = tables.hashes[0], first = tables.hashes[1];
  const uint32_t* buckets = tables.hashes + kHeaderWords + tables.hashes[2] * kWordsOfFilterWord;
  const uint32_t* hashes = buckets + bucket_count;
  const uint32_t wanted = gnu_hash(name);
  uint32_t index = bucket_count == 0 ? 0 : buckets[wanted % bucket_count];
  if (index < first) return nullptr;
  for (;; ++index) {
    const uint32_t hash = hashes[index - first];
    const Symbol& symbol = tables.symbols[index];
    const bool same = (hash | 1) == (wanted | 1) && is_same(tables.names + symbol.st_name, name);
    if (same && symbol.st_shndx != SHN_UNDEF) return &symbol;
    if ((hash & 1) != 0) return nullptr;
  }
}

}  // namespace

void* find_in_sanitizer(const char* symbol) noexcept {
  void (*const inits[])() = {__asan_init, __hwasan_init, __lsan_init};
  for (void (*init)() : inits) {
    dl_find_object found;
    if (init == nullptr || _dl_find_object(reinterpret_cast<void*>(init), &found) != 0) continue;
    const Symbol* entry = find_symbol(symbol_tables_of(*found.dlfo_link_map), symbol);
    if (entry != nullptr) return reinterpret_cast<void*>(found.dlfo_link_map->l_addr + entry->st_value);
  }
  return nullptr;
}

}  // namespace seep
