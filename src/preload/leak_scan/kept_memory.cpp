// SPDX-License-Identifier: Apache-2.0
//
// What a copy of the process is given by hand; see kept_memory.h.
#include "preload/leak_scan/kept_memory.h"

#include <cstring>

#include "preload/leak_scan/process_memory.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

constexpr uint64_t kMostBytes = 16 << 20;  // Some milliseconds.
constexpr uint64_t kPageBytes = 4096;

}  // namespace

KeptMemory::~KeptMemory() {
  if (taken_ != nullptr) memory_.give_back(taken_, taken_bytes_);
}

bool KeptMemory::keep(const ForkMemory& not_copied) noexcept {
  not_copied.each([this](uint64_t start, uint64_t end) { taken_bytes_ += end - start; });
  if (taken_bytes_ == 0) return true;
  taken_ = taken_bytes_ > kMostBytes ? nullptr : static_cast<char*>(memory_.take(taken_bytes_));
  if (taken_ == nullptr) return false;
  char* to = taken_;
  bool kept = true;
  not_copied.each([&](uint64_t start, uint64_t end) {
    const auto from = reinterpret_cast<uint64_t>(to);
    // What of it cannot be read the host cannot read either.
    const uint64_t read_bytes = read_process_memory(start, to, end - start) / kPageBytes * kPageBytes;
    kept = kept && ranges_.add({from, from + read_bytes}) && origins_.add(start);
    to += end - start;
  });
  return kept;
}

void KeptMemory::put_back() noexcept {
  for (uint64_t i = 0; i < ranges_.size(); ++i) {
    const Range range = ranges_[i];
    void* origin = reinterpret_cast<void*>(origins_[i]);
    const uint64_t bytes = range.end - range.start;
    if (bytes == 0) continue;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    if (sys::map(origin, bytes, PROT_READ | PROT_WRITE, kFlags) != origin) continue;
    memcpy(origin, reinterpret_cast<const void*>(range.start), bytes);
    ranges_[i].end = range.start;
  }
}

}  // namespace seep::leak_scan
