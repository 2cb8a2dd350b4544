// SPDX-License-Identifier: Apache-2.0
//
// Modules and thread names; see module_table.h.
#include "record/module_table.h"

#include <cstring>

#include "record/trace_table.h"

namespace seep {
namespace {

// Links a filled entry at the head of its list.
template <typename Entry>
void link(Region region, std::atomic<Ref> Newest::*list, Ref ref) {
  std::atomic<Ref>& newest = region.header().newest[region.part_of(ref)].*list;
  Ref head = newest.load(std::memory_order_relaxed);
  do {
    region.at<Entry>(ref)->next_older = head;
  } while (!newest.compare_exchange_weak(head, ref, std::memory_order_acq_rel));
}

// The first entry for which same(entry) is true, in either list.
template <typename Entry, typename Same>
Entry* find(Region region, std::atomic<Ref> Newest::*list, Same same) {
  for (Newest& newest : region.header().newest) {
    for (Ref ref = (newest.*list).load(std::memory_order_acquire); ref != 0;) {
      Entry& entry = *region.at<Entry>(ref);
      if (same(entry)) return &entry;
      ref = entry.next_older;
    }
  }
  return nullptr;
}

bool same(Module& module, const ModuleFacts& facts, size_t path_bytes) {
  return module.start == facts.start && module.load_bias == facts.load_bias && module.size_bytes == facts.size_bytes &&
         module.build_id_bytes == facts.build_id_bytes && module.path_bytes == path_bytes &&
         (facts.build_id_bytes == 0 || memcmp(module.build_id, facts.build_id, facts.build_id_bytes) == 0) &&
         memcmp(module.path(), facts.path, path_bytes) == 0;
}

size_t bounded_path_bytes(const char* path) { return strnlen(path, 4095); }

}  // namespace

uint32_t find_module(Region region, const ModuleFacts& facts) noexcept {
  const size_t path_bytes = bounded_path_bytes(facts.path);
  Module* found =
      find<Module>(region, &Newest::module, [&](Module& module) { return same(module, facts, path_bytes); });
  return found == nullptr ? 0 : found->id;
}

uint32_t add_module(Region region, const ModuleFacts& facts, uint64_t file_size_bytes,
                    int64_t file_modified_unix_ns) noexcept {
  RegionHeader& header = region.header();
  if (header.module_count.load(std::memory_order_relaxed) >= kMaxModules) return 0;
  const size_t path_bytes = bounded_path_bytes(facts.path);
  const Ref ref = region.allocate(sizeof(Module) + path_bytes + 1);
  if (ref == 0) return 0;
  Module& module = *region.at<Module>(ref);
  module.id = header.module_count.fetch_add(1, std::memory_order_relaxed) + 1;
  module.load_bias = facts.load_bias;
  module.start = facts.start;
  module.size_bytes = facts.size_bytes;
  module.file_size_bytes = file_size_bytes;
  module.file_modified_unix_ns = file_modified_unix_ns;
  module.build_id_bytes = static_cast<uint16_t>(facts.build_id_bytes);
  module.path_bytes = static_cast<uint16_t>(path_bytes);
  if (facts.build_id_bytes != 0) memcpy(module.build_id, facts.build_id, facts.build_id_bytes);
  memcpy(module.path(), facts.path, path_bytes);
  link<Module>(region, &Newest::module, ref);
  return module.id;
}

uint16_t find_or_add_thread_name(Region region, const char (&name)[kThreadNameBytes]) noexcept {
  RegionHeader& header = region.header();
  const ThreadName* found = find<ThreadName>(region, &Newest::thread_name, [&](ThreadName& entry) {
    return strncmp(entry.name, name, kThreadNameBytes) == 0;
  });
  if (found != nullptr) return static_cast<uint16_t>(found->id);
  // Programs that name each thread anew: the first thousand names are kept.
  if (header.thread_name_count.load(std::memory_order_relaxed) >= 1000) return 0;
  const Ref ref = region.allocate(sizeof(ThreadName));
  if (ref == 0) return 0;
  ThreadName& entry = *region.at<ThreadName>(ref);
  entry.id = header.thread_name_count.fetch_add(1, std::memory_order_relaxed) + 1;
  memcpy(entry.name, name, kThreadNameBytes);
  entry.name[kThreadNameBytes - 1] = '\0';
  link<ThreadName>(region, &Newest::thread_name, ref);
  return static_cast<uint16_t>(entry.id);
}

}  // namespace seep
