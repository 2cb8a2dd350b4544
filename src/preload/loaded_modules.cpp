// SPDX-License-Identifier: Apache-2.0
//
// Modules as loaded; see loaded_modules.h.
#include "preload/loaded_modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstring>

#include "record/module_table.h"
#include "record/system.h"

namespace seep {
namespace {

constexpr size_t kPoolBytes = 4096;
constexpr uintptr_t kPageBytes = 4096;

struct Note {
  const uint8_t* bytes = nullptr;
  unsigned count = 0;
};

// The build id, among the notes of an image mapped at `start`. Its ELF header is the first thing that every linker
// maps.
Note find_build_id(uintptr_t start, uintptr_t end, uint64_t load_bias) {
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(start);
  if (end - start < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) > end - start) return {};
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(start + header->e_phoff);
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_NOTE) continue;
    uintptr_t at = load_bias + segments[i].p_vaddr;
    const uintptr_t notes_end = at + segments[i].p_memsz;
    if (at < start || notes_end > end) continue;
    while (at + sizeof(ElfW(Nhdr)) <= notes_end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const uintptr_t name = at + sizeof *note;
      const uintptr_t content = name + ((note->n_namesz + 3) & ~3u);
      const uintptr_t next = content + ((note->n_descsz + 3) & ~3u);
      if (next > notes_end || next <= at) break;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
          memcmp(reinterpret_cast<const void*>(name), "GNU", 4) == 0 && note->n_descsz <= kMaxBuildIdBytes) {
        return {reinterpret_cast<const uint8_t*>(content), note->n_descsz};
      }
      at = next;
    }
  }
  return {};
}

// The path as the loader knows it, made absolute; the program itself has none there. `buffer` is PATH_MAX.
const char* path_of(const link_map* map, uintptr_t start, char* buffer) {
  constexpr size_t kBufferBytes = LoadedModules::kScratchBytes;
  if (start == getauxval(AT_SYSINFO_EHDR)) return "[vdso]";
  const bool is_program = map->l_name == nullptr || map->l_name[0] == '\0';
  if (!is_program && map->l_name[0] == '/') return map->l_name;
  const long length = sys::read_link(is_program ? "/proc/self/exe" : "/proc/self/cwd", buffer, kBufferBytes - 1);
  if (sys::failed(length)) return is_program ? "" : map->l_name;
  buffer[length] = '\0';
  if (!is_program) {
    const size_t name_bytes = strlen(map->l_name);
    if (static_cast<size_t>(length) + name_bytes + 2 > kBufferBytes) return map->l_name;
    buffer[length] = '/';
    memcpy(buffer + length + 1, map->l_name, name_bytes + 1);
  }
  return buffer;
}

// The whole image of the program, by its program headers; empty until it has been asked for.
constinit std::atomic<uintptr_t> program_start{0}, program_end{0};

void find_program(uintptr_t load_bias) {
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR));
  const size_t count = segments == nullptr ? 0 : getauxval(AT_PHNUM);
  uintptr_t start = UINTPTR_MAX, end = 1;
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != PT_LOAD) continue;
    start = std::min(start, load_bias + segments[i].p_vaddr);
    end = std::max(end, load_bias + segments[i].p_vaddr + segments[i].p_memsz);
  }
  program_start.store(start & ~(kPageBytes - 1), std::memory_order_relaxed);
  program_end.store(end, std::memory_order_release);
}

// Of a program whose segments lie apart (aligned to 64 KiB or 2 MiB, say) the loader's index has each segment alone,
// and the unwind tables and the build id of the code are in others: its bounds are those of the whole image.
void widen_to_program(dl_find_object& object) {
  if (program_end.load(std::memory_order_acquire) == 0) find_program(object.dlfo_link_map->l_addr);
  const uintptr_t start = program_start.load(std::memory_order_relaxed);
  const uintptr_t end = program_end.load(std::memory_order_relaxed);
  const uintptr_t known_start = reinterpret_cast<uintptr_t>(object.dlfo_map_start);
  const uintptr_t known_end = reinterpret_cast<uintptr_t>(object.dlfo_map_end);
  if (start > known_start || end < known_end) return;  // The headers of something else.
  object.dlfo_map_start = reinterpret_cast<void*>(start);
  object.dlfo_map_end = reinterpret_cast<void*>(end);
}

// What the loader has at `pc`, with the bounds of the whole image.
bool find_object(uintptr_t pc, dl_find_object& object) {
  if (_dl_find_object(reinterpret_cast<void*>(pc), &object) != 0) return false;
  const char* name = object.dlfo_link_map->l_name;
  if (name == nullptr || name[0] == '\0') widen_to_program(object);
  return true;
}

uint32_t enter(Region region, const link_map* map, const Note& build_id, uintptr_t start, uintptr_t end,
               char* scratch) {
  const ModuleFacts facts{map->l_addr,    start,          end - start,
                          build_id.bytes, build_id.count, path_of(map, start, scratch)};
  uint32_t id = find_module(region, facts);
  if (id == 0) {
    struct stat status {};
    const bool known = !sys::failed(sys::status(facts.path, &status));
    id = add_module(region, facts, known ? static_cast<uint64_t>(status.st_size) : 0,
                    known ? status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec : 0);
  }
  return id;
}

}  // namespace

bool LoadedModules::find_tables(uintptr_t pc, ModuleTables& tables) noexcept {
  dl_find_object object;
  if (!find_object(pc, object)) return false;
  tables = {reinterpret_cast<uintptr_t>(object.dlfo_map_start), reinterpret_cast<uintptr_t>(object.dlfo_map_end),
            static_cast<const uint8_t*>(object.dlfo_eh_frame)};
  return true;
}

bool LoadedModules::find(uintptr_t pc, Region region, char* scratch, ModuleView& view) noexcept {
  dl_find_object object;
  if (!find_object(pc, object)) return false;
  const uintptr_t start = reinterpret_cast<uintptr_t>(object.dlfo_map_start);
  const uintptr_t end = reinterpret_cast<uintptr_t>(object.dlfo_map_end);
  link_map* map = object.dlfo_link_map;
  view.tables = {start, end, static_cast<const uint8_t*>(object.dlfo_eh_frame)};
  view.load_bias = map->l_addr;
  const uint32_t now = generation();
  const Known* first = heads_[start >> 12 & ((1u << kHeadsLog2) - 1)].load(std::memory_order_acquire);
  for (const Known* known = first; known != nullptr; known = known->next) {
    if (known->start != start || known->end != end || known->map != map) continue;
    const uint64_t valid = known->generation_and_id.load(std::memory_order_acquire);
    if (valid >> 32 != now) continue;
    view.id = static_cast<uint32_t>(valid);
    return true;
  }
  const Note build_id = find_build_id(start, end, map->l_addr);
  view.id = enter(region, map, build_id, start, end, scratch);
  Known* known = find_known(start, end, map, build_id.bytes, build_id.count);
  if (known == nullptr) known = remember(start, end, map, build_id.bytes, build_id.count);
  if (known != nullptr && view.id != 0) {
    known->generation_and_id.store(static_cast<uint64_t>(now) << 32 | view.id, std::memory_order_release);
  }
  return true;
}

LoadedModules::Known* LoadedModules::find_known(uintptr_t start, uintptr_t end, link_map* map, const uint8_t* build_id,
                                                unsigned build_id_bytes) noexcept {
  Known* known = heads_[start >> 12 & ((1u << kHeadsLog2) - 1)].load(std::memory_order_acquire);
  for (; known != nullptr; known = known->next) {
    if (known->start == start && known->end == end && known->map == map && known->build_id_bytes == build_id_bytes &&
        memcmp(known->build_id, build_id, build_id_bytes) == 0) {
      return known;
    }
  }
  return nullptr;
}

bool LoadedModules::still_loaded(uintptr_t pc, const ModuleView& view) const noexcept {
  dl_find_object object;
  if (!find_object(pc, object)) return false;
  const uintptr_t start = reinterpret_cast<uintptr_t>(object.dlfo_map_start);
  if (start != view.tables.start || reinterpret_cast<uintptr_t>(object.dlfo_map_end) != view.tables.end) return false;
  const Note build_id = find_build_id(start, view.tables.end, object.dlfo_link_map->l_addr);
  const Known* known = heads_[start >> 12 & ((1u << kHeadsLog2) - 1)].load(std::memory_order_acquire);
  for (; known != nullptr; known = known->next) {
    if (known->start == start && known->end == view.tables.end && known->map == object.dlfo_link_map &&
        static_cast<uint32_t>(known->generation_and_id.load(std::memory_order_acquire)) == view.id) {
      return known->build_id_bytes == build_id.count && memcmp(known->build_id, build_id.bytes, build_id.count) == 0;
    }
  }
  return true;  // Never remembered, for want of memory: it was looked up just now.
}

LoadedModules::Known* LoadedModules::remember(uintptr_t start, uintptr_t end, link_map* map, const uint8_t* build_id,
                                              unsigned build_id_bytes) noexcept {
  Known* known = take_known();
  if (known == nullptr) return nullptr;
  known->start = start;
  known->end = end;
  known->map = map;
  known->build_id_bytes = build_id_bytes;
  memcpy(known->build_id, build_id, build_id_bytes);
  auto& head = heads_[start >> 12 & ((1u << kHeadsLog2) - 1)];
  Known* first = head.load(std::memory_order_relaxed);
  do {
    known->next = first;
  } while (!head.compare_exchange_weak(first, known, std::memory_order_acq_rel));
  return known;
}

LoadedModules::Known* LoadedModules::take_known() noexcept {
  constexpr uint32_t kPerPage = kPoolBytes / sizeof(Known);
  for (;;) {
    char* page = pool_.load(std::memory_order_acquire);
    const uint32_t index = page == nullptr ? kPerPage : pool_used_.fetch_add(1, std::memory_order_acq_rel);
    // Another page may have come between the two loads; then the index is of that one, and this entry of the old page
    // could be somebody's already. Ask again.
    if (index < kPerPage && pool_.load(std::memory_order_acquire) == page) {
      return reinterpret_cast<Known*>(page + index * sizeof(Known));
    }
    if (index < kPerPage) continue;
    char* more = static_cast<char*>(memory_.take(kPoolBytes));
    if (more == nullptr) return nullptr;
    if (pool_.compare_exchange_strong(page, more, std::memory_order_acq_rel))
      pool_used_.store(0, std::memory_order_release);
    else memory_.give_back(more, kPoolBytes);
  }
}

}  // namespace seep
