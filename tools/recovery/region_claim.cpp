// SPDX-License-Identifier: Apache-2.0
// Locks on a region.
#include "recovery/region_claim.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <cstddef>

#include "error.h"

namespace seep {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr useconds_t kWaitStepUs = 500;
static_assert(offsetof(RegionHeader, identity) < kPageBytes, "all that is used of the header is on its first page");

using Clock = std::chrono::steady_clock;

sigjmp_buf way_out;

void leave(int) { siglongjmp(way_out, 1); }

// Does `access`, which must need no destructor. False where the page is gone: its file was truncated.
template <typename Access>
bool survives(Access access) {
  struct sigaction action = {}, old = {};
  action.sa_handler = leave;
  sigaction(SIGBUS, &action, &old);
  volatile bool done = false;
  if (sigsetjmp(way_out, 1) == 0) {
    access();
    done = true;
  }
  sigaction(SIGBUS, &old, nullptr);
  return done;
}

}  // namespace

bool lock_region(FileSource& region, std::chrono::milliseconds most_wait) {
  const Clock::time_point until = Clock::now() + most_wait;
  while (flock(region.descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (Clock::now() >= until) return false;
    usleep(kWaitStepUs);
  }
  return true;
}

RegionClaim::RegionClaim(FileSource& region, std::chrono::milliseconds most_wait) : region_(region) {
  const Clock::time_point until = Clock::now() + most_wait;
  if (!lock_region(region, most_wait)) {
    throw Error(ExitCode::kUnreadable, region.path(), "is being read by another seep");
  }
  void* page = mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, region.descriptor(), 0);
  if (page == MAP_FAILED) throw Error(ExitCode::kUnreadable, region.path(), "cannot be mapped");
  page_ = static_cast<RegionHeader*>(page);
  while (!take()) {
    if (Clock::now() >= until) {
      munmap(page_, kPageBytes);
      throw Error(ExitCode::kUnreadable, region.path(), "its process is taking a snapshot, or was stopped while at it");
    }
    usleep(kWaitStepUs);
  }
}

RegionClaim::~RegionClaim() {
  give_back();
  munmap(page_, kPageBytes);
  flock(region_.descriptor(), LOCK_UN);
}

// Who finds kOwnedFromOutside has the lock, so he who wrote it has not, and is dead.
bool RegionClaim::take() {
  bool taken = false;
  survives([&] {
    uint32_t owner = 0;
    taken = page_->snapshot_owner.compare_exchange_strong(owner, kOwnedFromOutside, std::memory_order_acquire) ||
            owner == kOwnedFromOutside;
  });
  return taken;
}

void RegionClaim::give_back() {
  survives([&] { page_->snapshot_owner.store(0, std::memory_order_release); });
}

void RegionClaim::count_loss(LossKind kind, uint64_t by) {
  survives([&] { page_->loss[static_cast<unsigned>(kind)].fetch_add(by, std::memory_order_relaxed); });
}

}  // namespace seep
