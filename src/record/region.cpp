// SPDX-License-Identifier: Apache-2.0
//
// Layout and growth of the recording; see region.h.
#include "record/region.h"

#include <cerrno>
#include <cstring>

#include "record/memory_room.h"
#include "record/system.h"

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

namespace seep {
namespace {

inline constexpr uint64_t kPageBytes = 4096;
// What the smallest programs need, whose time a page counts for; and the least of what is taken then.
inline constexpr uint64_t kFirstCommitBytes = 16 << 10;
inline constexpr uint64_t kFirstStepBytes = 64 << 10;
inline constexpr uint64_t kLargestStepBytes = 4 << 20;
inline constexpr uint64_t kGoingPrivate = 1;  // In committed_bytes.

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

// An eighth of what there is already, so that a small recording stays small and a large one is not slowed.
uint64_t step_bytes(uint64_t committed) {
  const uint64_t step = round_up(committed / 8, kPageBytes);
  return step < kFirstStepBytes ? kFirstStepBytes : step > kLargestStepBytes ? kLargestStepBytes : step;
}

// The kernels before 5.14, which lack MADV_POPULATE_WRITE. The path is ours and private; a file that somebody else laid
// there since has another inode, and filling blocks of it would do no harm to us but to him, so O_NOFOLLOW at least.
bool allocate_file_blocks(const char* path, uint64_t offset, uint64_t bytes) {
  if (path[0] == '\0') return true;  // Private memory: the kernel gives what it overcommitted.
  const long fd = sys::open(path, O_RDWR | O_NOFOLLOW);
  if (sys::failed(fd)) return false;
  const long result = sys::allocate_blocks(fd, offset, bytes);
  sys::close(fd);
  return !sys::failed(result);
}

bool take(char* address, uint64_t bytes, const char* path, uint64_t offset) {
  if (sys::failed(sys::protect(address, bytes, PROT_READ | PROT_WRITE))) return false;
  const long result = sys::advise(address, bytes, MADV_POPULATE_WRITE);
  const bool refused = result == -EINVAL || result == -ENOSYS || result == -EPERM;  // An older kernel, or a sandbox.
  if (refused) return allocate_file_blocks(path, offset, bytes);
  return !sys::failed(result);
}

long make_file(const RegionPlan& plan) {
  const long fd = sys::make_private(plan.path, O_RDWR);
  if (sys::failed(fd)) return fd;
  const long result = sys::truncate_fd(fd, plan.capacity_bytes);
  if (!sys::failed(result)) return fd;
  sys::close(fd);
  sys::unlink(plan.path);
  return result;
}

char* make_mapping(const RegionPlan& plan, long fd) {
  int flags = MAP_NORESERVE | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  if (plan.at != nullptr) flags |= MAP_FIXED;
  // Not accessible until a step is taken: mlockall() of the host would else fill it all.
  return static_cast<char*>(sys::map(plan.at, plan.capacity_bytes, PROT_NONE, flags, fd));
}

// What lies below first_used but behind the header may still be written by a hook that a fork interrupted; it is made
// accessible and takes no room until then.
bool take_first(char* base, uint64_t header_bytes, uint64_t first_used, uint64_t committed, const char* path) {
  if (first_used == header_bytes) return take(base, committed, path, 0);
  const uint64_t first_page = first_used / kPageBytes * kPageBytes;
  return take(base, header_bytes, path, 0) &&
         !sys::failed(sys::protect(base + header_bytes, round_up(first_used, kPageBytes) - header_bytes,
                                   PROT_READ | PROT_WRITE)) &&
         take(base + first_page, committed - first_page, path, first_page);
}

}  // namespace

Region make_region(const RegionPlan& plan) noexcept {
  const bool with_file = plan.path != nullptr && plan.path[0] != '\0';
  const long fd = with_file ? make_file(plan) : -1;
  if (with_file && sys::failed(fd)) return Region();
  char* base = make_mapping(plan, fd);
  if (with_file) sys::close(fd);
  const uint64_t header_bytes = round_up(sizeof(RegionHeader), kPageBytes);
  const uint64_t first_used = plan.first_byte_used < header_bytes ? header_bytes : round_up(plan.first_byte_used, 16);
  const uint64_t committed = round_up(first_used + kFirstCommitBytes, kPageBytes);
  const bool fits = base != nullptr && committed <= plan.capacity_bytes;
  if (fits) {
    sys::advise(base, plan.capacity_bytes, MADV_NOHUGEPAGE);
    sys::advise(base, plan.capacity_bytes, MADV_DONTDUMP);
  }
  if (!fits || !take_first(base, header_bytes, first_used, committed, with_file ? plan.path : "")) {
    if (base != nullptr && plan.at == nullptr) sys::unmap(base, plan.capacity_bytes);
    if (with_file) sys::unlink(plan.path);
    return Region();
  }
  Region region(base);
  RegionHeader& header = region.header();
  memcpy(header.magic, kRegionMagic, sizeof header.magic);
  header.version = kRegionVersion;
  header.header_bytes = static_cast<uint32_t>(header_bytes);
  header.capacity_bytes.store(plan.capacity_bytes, std::memory_order_relaxed);
  header.committed_bytes.store(committed, std::memory_order_relaxed);
  header.used_bytes.store(first_used, std::memory_order_relaxed);
  return region;
}

// The file cannot grow any more. What follows is laid over with private memory; one thread does it, which is told by
// the lowest bit of committed_bytes: a thread that took a step of the file meanwhile finds the word changed and gives
// up.
bool Region::go_private(uint64_t committed, uint64_t until) const noexcept {
  RegionHeader& head = header();
  const sys::SignalsBlocked blocked;  // A handler that jumps away would leave that bit for ever.
  if (!head.committed_bytes.compare_exchange_strong(committed, committed | kGoingPrivate, std::memory_order_acq_rel)) {
    return false;
  }
  char* from = base_ + committed;
  const uint64_t capacity = head.capacity_bytes.load(std::memory_order_relaxed);
  constexpr int kFlags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  uint64_t reached = committed;
  if (sys::map(from, capacity - committed, PROT_NONE, kFlags) != nullptr) {
    sys::advise(from, capacity - committed, MADV_NOHUGEPAGE);
    sys::advise(from, capacity - committed, MADV_DONTDUMP);
    head.private_from_bytes.store(committed, std::memory_order_release);
    if (take(from, until - committed, "", 0)) reached = until;
  }
  head.committed_bytes.store(reached, std::memory_order_release);
  return reached == until;
}

bool Region::commit(uint64_t until) const noexcept {
  RegionHeader& head = header();
  uint64_t committed = head.committed_bytes.load(std::memory_order_acquire);
  while (committed < until) {
    const uint64_t capacity = head.capacity_bytes.load(std::memory_order_relaxed);
    uint64_t wanted = committed + step_bytes(committed);
    if (wanted < until) wanted = round_up(until, kPageBytes);
    if (wanted > capacity) wanted = capacity;
    if (wanted < until || (committed & kGoingPrivate) != 0 || !memory_has_room(wanted - committed)) return false;
    const bool is_private = head.identity.region_path[0] == '\0' || head.private_from_bytes.load() != 0;
    // Several threads may take the same step at once: taking is idempotent.
    if (!take(base_ + committed, wanted - committed, is_private ? "" : head.identity.region_path, committed)) {
      return !is_private && go_private(committed, wanted);
    }
    if (head.committed_bytes.compare_exchange_strong(committed, wanted, std::memory_order_acq_rel)) return true;
  }
  return true;
}

uint64_t Region::give_back_address_space() const noexcept {
  RegionHeader& head = header();
  const sys::SignalsBlocked blocked;  // A handler that jumps away would leave the lowest bit for ever.
  const uint64_t capacity = head.capacity_bytes.load(std::memory_order_relaxed);
  uint64_t committed = head.committed_bytes.load(std::memory_order_acquire);
  // More than the step that a thread may be taking at this moment. Nobody lays private memory over the rest meanwhile.
  const uint64_t kept = committed + 2 * kLargestStepBytes;
  if ((committed & kGoingPrivate) != 0 || kept >= capacity ||
      !head.committed_bytes.compare_exchange_strong(committed, committed | kGoingPrivate, std::memory_order_acq_rel)) {
    return capacity;
  }
  head.capacity_bytes.store(kept, std::memory_order_relaxed);
  sys::unmap(base_ + kept, capacity - kept);
  head.committed_bytes.store(committed, std::memory_order_release);
  return kept;
}

bool Region::reserve(uint64_t bytes) const noexcept {
  return commit(header().used_bytes.load(std::memory_order_relaxed) + bytes);
}

Ref Region::allocate(size_t bytes, size_t alignment) const noexcept {
  RegionHeader& head = header();
  const uint64_t size = round_up(bytes, kRefUnitBytes);
  uint64_t used = head.used_bytes.load(std::memory_order_relaxed);
  for (;;) {
    const uint64_t start = round_up(used, alignment);
    if (start + size > head.committed_bytes.load(std::memory_order_acquire) && !commit(start + size)) return 0;
    // No entry lies in both parts.
    const uint64_t from = head.private_from_bytes.load(std::memory_order_relaxed);
    const bool astride = start < from && start + size > from;
    const uint64_t next = astride ? from : start + size;
    if (!head.used_bytes.compare_exchange_weak(used, next, std::memory_order_relaxed)) continue;
    if (!astride) return static_cast<Ref>(start / kRefUnitBytes);
    used = next;
  }
}

}  // namespace seep
