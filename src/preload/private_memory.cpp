// SPDX-License-Identifier: Apache-2.0
//
// The working memory; see private_memory.h.
#include "preload/private_memory.h"

#include <sys/prctl.h>

#include "preload/leak_scan/own_memory.h"
#include "record/memory_room.h"
#include "record/system.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564D41
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace seep {

namespace {
constexpr size_t kAskFromBytes = 512 << 10;  // Smaller ones are few, and one of them is in every start.
}  // namespace

void* PrivateMemory::map(size_t bytes) noexcept {
  void* memory = sys::map(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (memory == nullptr) return nullptr;
  sys::advise(memory, bytes, MADV_NOHUGEPAGE);
  sys::advise(memory, bytes, MADV_DONTDUMP);
  static const char kName[] = "seep";
  system_call(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, sys::as_long(memory), static_cast<long>(bytes),
              sys::as_long(kName));
  leak_scan::own_memory.note(memory, bytes);
  return memory;
}

void* PrivateMemory::take(size_t bytes) noexcept {
  const uint64_t used = used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const bool fits = (limit_bytes_ == 0 || used <= limit_bytes_) && (bytes < kAskFromBytes || memory_has_room(bytes));
  void* memory = fits ? map(bytes) : nullptr;
  if (memory == nullptr) used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return memory;
}

void* PrivateMemory::reserve(size_t bytes) noexcept {
  const bool fits = limit_bytes_ == 0 || used_bytes() + bytes <= limit_bytes_;
  return fits && memory_has_room(bytes) ? map(bytes) : nullptr;
}

void PrivateMemory::give_back(void* memory, size_t bytes) noexcept {
  leak_scan::own_memory.forget(memory);
  sys::unmap(memory, bytes);
  used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace seep
