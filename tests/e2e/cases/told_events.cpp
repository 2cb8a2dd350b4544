// SPDX-License-Identifier: Apache-2.0
//
// Four threads allocate, reallocate and free, at random from a seed, at six sites each, `allocate<THREAD, SITE>`; some
// blocks are handed to other threads and freed there, some are leaked. Usage: told_events FD SEED [EVENTS [HOW
// [IMAGE]]]. Before each event a thread writes one record of it (below) to FD, a pipe: a record so says that all events
// of that thread before it are done, and what comes next. Expected: at any death the sites' counts are those of all
// events but each thread's last, and of that any part. With EVENTS above 0 each thread stops behind so many and says so
// by a record of kind `kDone`, and the program ends with status 0 when it can read a byte from standard input or meets
// its end. With HOW only the first thread stops, and ends all while the others go on: by _exit(9), exit_group (the same
// by the bare system call), abort, or an exec of this program again, as the next image, with EVENTS and without HOW.
//
// It counts nothing itself, and the blocks say of themselves where they are from.

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace {

constexpr unsigned kThreads = 4, kSites = 6, kBlocks = 64;
constexpr uint32_t kLeastBytes = 16, kMostBytes = 3000;

enum class Kind : uint8_t { kAllocate, kReallocate, kFree, kDone };

// Where a block is from; its first bytes.
struct Origin {
  uint8_t thread, site;
  uint16_t unused;
  uint32_t bytes;
};

// What is told; read by tests/e2e/told_events.py. `old`: what a realloc or a free takes away.
struct Record {
  uint8_t thread;
  Kind kind;
  uint8_t site, image;
  uint32_t bytes;
  Origin old;
  uint32_t pid;
};
static_assert(sizeof(Record) == 20);

int told_fd;
uint64_t seed;
uint64_t most_events;
const char* how = "rest";
uint8_t image;
std::atomic<Origin*> handed_over[kThreads];
pthread_barrier_t all_started;  // While one thread executes a program, no other can be started.

void tell(const Record& record) {
  if (write(told_fd, &record, sizeof record) != sizeof record) _exit(3);
}

// The two calls are each the last but one thing that their site does, so that the site is a frame of its own.
template <unsigned kThread, unsigned kSite>
__attribute__((noinline)) Origin* allocate(Origin* old, uint32_t bytes) {
  auto* block = static_cast<Origin*>(old == nullptr ? malloc(bytes) : realloc(old, bytes));
  if (block == nullptr) _exit(4);
  *block = {kThread, kSite, 0, bytes};
  return block;
}

using Allocate = Origin* (*)(Origin*, uint32_t);

template <unsigned kThread, unsigned... kSite>
constexpr void fill_sites(Allocate (&sites)[kSites], std::integer_sequence<unsigned, kSite...>) {
  ((sites[kSite] = allocate<kThread, kSite>), ...);
}

uint32_t next_random(uint64_t& state) {  // SplitMix64.
  state += 0x9E3779B97F4A7C15;
  uint64_t mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
  return static_cast<uint32_t>((mixed ^ (mixed >> 31)) >> 16);
}

template <unsigned kThread>
class Worker {
 public:
  Worker() : random_(seed * kThreads + kThread), pid_(static_cast<uint32_t>(getpid())) {
    fill_sites<kThread>(sites_, std::make_integer_sequence<unsigned, kSites>());
  }

  void work() {
    pthread_barrier_wait(&all_started);
    const bool ends = most_events != 0 && (kThread == 0 || strcmp(how, "rest") == 0);
    for (uint64_t event = 0; !ends || event < most_events; ++event) change(blocks_[pick(kBlocks)]);
    tell({kThread, Kind::kDone, 0, image, 0, {}, pid_});
  }

 private:
  uint32_t pick(uint32_t choices) { return next_random(random_) % choices; }

  void change(Origin*& block) {
    if (block == nullptr) return put(block, Kind::kAllocate);
    switch (pick(8)) {
      case 0:
      case 1: return put(block, Kind::kReallocate);
      case 2: block = handed_over[pick(kThreads)].exchange(block, std::memory_order_acq_rel); break;
      case 3: block = nullptr; break;  // A leak.
      default:
        tell({kThread, Kind::kFree, 0, image, 0, *block, pid_});
        free(block);
        block = nullptr;
        return;
    }
    if (block == nullptr) put(block, Kind::kAllocate);
  }

  void put(Origin*& block, Kind kind) {
    const uint32_t site = pick(kSites);
    const uint32_t bytes = kLeastBytes + pick(kMostBytes - kLeastBytes);
    tell({kThread, kind, static_cast<uint8_t>(site), image, bytes, block == nullptr ? Origin() : *block, pid_});
    block = sites_[site](block, bytes);
  }

  Allocate sites_[kSites];
  Origin* blocks_[kBlocks] = {};
  uint64_t random_;
  uint32_t pid_;
};

void end_all(char** argv) {
  if (strcmp(how, "_exit") == 0) _exit(9);
  if (strcmp(how, "exit_group") == 0) syscall(SYS_exit_group, 9);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "exec") != 0) return;
  char next_image[] = {static_cast<char>('0' + image + 1), '\0'};
  char rest[] = "rest";
  char* arguments[] = {argv[0], argv[1], argv[2], argv[3], rest, next_image, nullptr};
  execv("/proc/self/exe", arguments);
  _exit(5);
}

template <unsigned kThread>
void* run(void* argv) {
  Worker<kThread>().work();
  if (kThread == 0) end_all(static_cast<char**>(argv));
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  told_fd = atoi(argv[1]);
  seed = strtoull(argv[2], nullptr, 10);
  most_events = argc > 3 ? strtoull(argv[3], nullptr, 10) : 0;
  if (argc > 4) how = argv[4];
  image = argc > 5 ? static_cast<uint8_t>(atoi(argv[5])) : 0;
  void* (*const runs[kThreads])(void*) = {run<0>, run<1>, run<2>, run<3>};
  pthread_barrier_init(&all_started, nullptr, kThreads);
  pthread_t threads[kThreads];
  for (unsigned i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], nullptr, runs[i], argv) != 0) return 1;
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  char byte;
  [[maybe_unused]] const ssize_t count = read(STDIN_FILENO, &byte, 1);
  return 0;
}
