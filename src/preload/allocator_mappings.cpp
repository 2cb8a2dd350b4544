// SPDX-License-Identifier: Apache-2.0
//
// Whose mappings are heap; see allocator_mappings.h.
#include "preload/allocator_mappings.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>

#include <atomic>
#include <cstdint>

#include "preload/next_allocator.h"
#include "preload/symbol_tables.h"

namespace seep {
namespace {

enum Names : uint32_t { kUnknown, kOnlyHooked, kOthers };
constinit std::atomic<uint32_t> names_in_use{kUnknown};

bool begins_with(const char* text, const char* beginning) {
  while (*beginning != '\0' && *text == *beginning) ++text, ++beginning;
  return *beginning == '\0';
}

// Of jemalloc (not hooked, since programs ask by them whether it is there), gperftools, mimalloc.
bool is_other_name(const char* name) {
  for (const char* beginning : {"mallocx", "rallocx", "tc_", "mi_"}) {
    if (begins_with(name, beginning)) return true;
  }
  return false;
}

bool imports_other_name(const link_map& object) {
  const SymbolTables tables = symbol_tables_of(object);
  if (!tables.complete()) return false;
  for (uint32_t i = 1; i < tables.hashes[1]; ++i) {
    const Symbol& symbol = tables.symbols[i];
    if (symbol.st_shndx == SHN_UNDEF && is_other_name(tables.names + symbol.st_name)) return true;
  }
  return false;
}

Names find_names_in_use(const link_map* allocator) {
  const link_map* object = allocator;
  while (object->l_prev != nullptr) object = object->l_prev;
  for (; object != nullptr; object = object->l_next) {
    if (object != allocator && imports_other_name(*object)) return kOthers;
  }
  return kOnlyHooked;
}

}  // namespace

bool is_in_known_allocator(const void* caller) noexcept {
  dl_find_object in_caller, in_allocator, in_libc;
  if (_dl_find_object(const_cast<void*>(caller), &in_caller) != 0 ||
      _dl_find_object(reinterpret_cast<void*>(next.malloc), &in_allocator) != 0 ||
      in_caller.dlfo_link_map != in_allocator.dlfo_link_map) {
    return false;
  }
  if (_dl_find_object(reinterpret_cast<void*>(&on_exit), &in_libc) != 0 ||
      in_caller.dlfo_link_map == in_libc.dlfo_link_map) {
    return false;
  }
  // A program that exports malloc is no allocator's library: what it maps may be anything.
  if (in_caller.dlfo_link_map->l_prev == nullptr) return false;
  uint32_t names = names_in_use.load(std::memory_order_relaxed);
  if (names == kUnknown) {
    names = find_names_in_use(in_allocator.dlfo_link_map);
    names_in_use.store(names, std::memory_order_relaxed);
  }
  return names == kOnlyHooked;
}

}  // namespace seep
