// SPDX-License-Identifier: Apache-2.0
//
// The working memory; see private_memory.h.
#include "preload/private_memory.h"

#include <sys/prctl.h>

#include <atomic>
#include <cerrno>

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
constexpr size_t kHugePageBytes = 2 << 20;

// For who looks at /proc/self/maps; kernels before 5.17, and many later ones, know no names.
void name_mapping(void* memory, size_t bytes) noexcept {
  static constinit std::atomic<bool> is_unknown{false};
  static const char kName[] = "seep";
  if (is_unknown.load(std::memory_order_relaxed)) return;
  const long result = system_call(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, sys::as_long(memory),
                                  static_cast<long>(bytes), sys::as_long(kName));
  if (result == -EINVAL) is_unknown.store(true, std::memory_order_relaxed);
}

}  // namespace

void* PrivateMemory::map(size_t bytes) noexcept {
  void* memory = sys::map(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (memory == nullptr) return nullptr;
  if (bytes >= kHugePageBytes) sys::advise(memory, bytes, MADV_NOHUGEPAGE);
  if (bytes >= kAskFromBytes) sys::advise(memory, bytes, MADV_DONTDUMP);  // Less makes no core larger.
  name_mapping(memory, bytes);
  leak_scan::own_memory.note(memory, bytes);
  return memory;
}

// Null: it is not small, or does not fit any more.
void* PrivateMemory::take_small(size_t bytes) noexcept {
  const size_t rounded = (bytes + kSmallUnitBytes - 1) / kSmallUnitBytes * kSmallUnitBytes;
  if (bytes > kSmallBytes || rounded > zeros_bytes_ - zeros_used_) return nullptr;
  void* memory = zeros_ + zeros_used_;
  zeros_used_ += rounded;
  return memory;
}

void* PrivateMemory::take(size_t bytes) noexcept {
  if (whole_ != nullptr) {
    void* small = take_small(bytes);
    return small != nullptr ? small : whole_->take(bytes);
  }
  const uint64_t used = used_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  const bool fits = (limit_bytes_ == 0 || used <= limit_bytes_) && (bytes < kAskFromBytes || memory_has_room(bytes));
  void* memory = fits ? map(bytes) : nullptr;
  if (memory == nullptr) used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return memory;
}

void* PrivateMemory::reserve(size_t bytes) noexcept {
  if (whole_ != nullptr) return whole_->reserve(bytes);
  const bool fits = limit_bytes_ == 0 || used_bytes() + bytes <= limit_bytes_;
  return fits && memory_has_room(bytes) ? map(bytes) : nullptr;
}

void PrivateMemory::give_back(void* memory, size_t bytes) noexcept {
  if (whole_ != nullptr) {
    const bool is_small = reinterpret_cast<uintptr_t>(memory) - reinterpret_cast<uintptr_t>(zeros_) < zeros_bytes_;
    if (!is_small) whole_->give_back(memory, bytes);
    return;
  }
  leak_scan::own_memory.forget(memory);
  sys::unmap(memory, bytes);
  used_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace seep
