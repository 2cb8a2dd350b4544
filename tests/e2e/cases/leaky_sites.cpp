// SPDX-License-Identifier: Apache-2.0
//
// Leaks at 16 sites, lose<0> to lose<15>, 4 MiB at each, in blocks of 64 bytes to 2 MiB (64 << site); and frees 8 MiB
// beside. With the argument "more" lose<3> leaks eight times as much. Expected: exactly that is lost.
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace {

constexpr size_t kBytes = 4 << 20;
std::atomic<void*> last;

template <int kSite>
[[gnu::noinline]] void lose(size_t bytes) {
  const size_t size = size_t{64} << kSite;
  for (size_t block = 0; block < bytes / size; ++block) last = std::calloc(1, size);
  last = nullptr;
}

template <int kSite>
void lose_at_all(bool more) {
  lose<kSite>(kSite == 3 && more ? 8 * kBytes : kBytes);
  if constexpr (kSite > 0) lose_at_all<kSite - 1>(more);
}

[[gnu::noinline]] void use() {
  for (size_t size = 16; size < kBytes; size *= 2) {
    last = std::malloc(size);
    std::free(last);
  }
  last = nullptr;
}

[[gnu::noinline]] void forget() {
  volatile char stack[4096];
  for (char volatile& byte : stack) byte = 0;
}

}  // namespace

int main(int argc, char** argv) {
  lose_at_all<15>(argc > 1 && std::strcmp(argv[1], "more") == 0);
  use();
  forget();
  return 0;
}
