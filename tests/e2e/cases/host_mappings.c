// SPDX-License-Identifier: Apache-2.0
//
// Maps memory itself. The argument names what is done; each check for leaks is a line on stdout. `errors`: what each
// call answers that must fail. The others keep the only pointer to a block of 77 bytes in memory that was mapped so and
// so: at an address that malloc had before (`hole_...`), or that a copy of the process does not get (`fork_...`).
// Expected: no leak while it stands there, one when it does not. Runs as the program under test.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "seep/seep.h"
#include "told.h"

enum { kPage = 4096, kBytes = 10 * kPage };
static const int kPlain = MAP_PRIVATE | MAP_ANONYMOUS;

static void check(const char* what) {
  struct seep_leaks leaks;
  forget();
  const int result = seep_check_leaks(&leaks);
  printf("%s %d %zu %zu\n", what, result, leaks.definite_blocks, leaks.definite_bytes);
  fflush(stdout);
}

SITE static void keep(void* place) { *(void**)place = malloc(77); }

static void* map_pages(void) {
  void* pages = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, kPlain, -1, 0);
  must(pages != MAP_FAILED, "mmap");
  return pages;
}

void* volatile fillers[16];

// malloc maps a block of its own only where what it has is too short.
SITE static char* take_mapped_block(size_t bytes) {
  must(mallopt(M_MMAP_THRESHOLD, (int)bytes) == 1, "mallopt");
  for (int i = 0; i < 16; ++i) {
    const size_t* block = (size_t*)escape(malloc(bytes));
    const size_t is_mapped = 2;  // In glibc's size, before the block.
    if ((block[-1] & is_mapped) != 0) return (char*)block;
    fillers[i] = (void*)block;
  }
  must(0, "a block of its own");
  return NULL;
}

// Where a block was that malloc has given back to the kernel, when it was freed.
SITE static char* make_hole(void) {
  char* block = take_mapped_block(kBytes - 100);
  char* hole = (char*)((uintptr_t)block & ~(uintptr_t)(kPage - 1));
  unsigned char resident;
  free(block);
  must(mincore(hole, kPage, &resident) != 0, "the hole in the heap");
  return hole;
}

static void try_out(char* pages) {
  keep(pages + kPage);
  check("kept");
  memset(pages + kPage, 0, sizeof(void*));
  check("gone");
}

static void hole_mmap(void) {
  char* hole = make_hole();
  must(mmap(hole, kBytes, PROT_READ | PROT_WRITE, kPlain | MAP_FIXED_NOREPLACE, -1, 0) == hole, "mmap");
  try_out(hole);
}

static void hole_mmap64(void) {
  char* hole = make_hole();
  must(mmap64(hole, kBytes, PROT_READ | PROT_WRITE, kPlain | MAP_FIXED_NOREPLACE, -1, 0) == hole, "mmap64");
  try_out(hole);
}

static void hole_mremap(void) {
  void* pages = map_pages();
  char* hole = make_hole();
  must(mremap(pages, kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, hole) == hole, "mremap");
  try_out(hole);
}

static void hole_shmat(void) {
  const int id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0600);
  must(id >= 0, "shmget");
  char* hole = make_hole();
  void* attached = shmat(id, hole, 0);
  must(shmctl(id, IPC_RMID, NULL) == 0, "shmctl");
  must(attached == hole, "shmat");
  try_out(hole);
}

static void fork_dontfork(void) {
  char* pages = (char*)map_pages();
  must(madvise(pages, kBytes, MADV_DONTFORK) == 0, "madvise");
  try_out(pages);
}

static void fork_wipeonfork(void) {
  char* pages = (char*)map_pages();
  must(madvise(pages, kBytes, MADV_WIPEONFORK) == 0, "madvise");
  try_out(pages);
}

static void fork_moved(void) {
  char* pages = (char*)map_pages();
  char* there = (char*)map_pages();
  must(madvise(pages, kBytes, MADV_DONTFORK) == 0, "madvise");
  must(mremap(pages, kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there, "mremap");
  try_out(there);
}

// Allowed again, and unmapped: what is there later is copied as ever.
static void fork_undone(void) {
  char* pages = (char*)map_pages();
  must(madvise(pages, kBytes, MADV_DONTFORK) == 0 && madvise(pages, kBytes, MADV_DOFORK) == 0, "madvise");
  try_out(pages);
  must(madvise(pages, kBytes, MADV_WIPEONFORK) == 0 && munmap(pages, kBytes) == 0, "munmap");
  must(mmap(pages, kBytes, PROT_READ | PROT_WRITE, kPlain | MAP_FIXED_NOREPLACE, -1, 0) == pages, "mmap");
  check("gone");
  try_out(pages);
}

static void say(const char* what, int failed) { printf("%s %d %d\n", what, failed, failed ? errno : 0); }

static void errors(void) {
  char* pages = (char*)map_pages();
  say("mmap of nothing", mmap(NULL, 0, PROT_READ, kPlain, -1, 0) == MAP_FAILED);
  say("mmap of no file", mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 12345, 0) == MAP_FAILED);
  say("mmap of too much", mmap(NULL, (size_t)1 << 60, PROT_READ, kPlain, -1, 0) == MAP_FAILED);
  say("mmap off pages", mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, 0, 100) == MAP_FAILED);
  say("mmap of what is there", mmap(pages, kPage, PROT_READ, kPlain | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
  say("mremap off pages", mremap(pages + 1, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  say("mremap without room", mremap(pages, kPage, 2 * kPage, 0) == MAP_FAILED);
  say("munmap off pages", munmap(pages + 1, kPage) != 0);
  say("munmap of nothing", munmap(pages, 0) != 0);
  say("munmap", munmap(pages, kBytes) != 0);
  say("munmap again", munmap(pages, kBytes) != 0);
  say("mremap of a hole", mremap(pages, kPage, 2 * kPage, MREMAP_MAYMOVE) == MAP_FAILED);
  say("madvise of a hole", madvise(pages, kPage, MADV_DONTNEED) != 0);
  say("madvise of a hole about copies", madvise(pages, kPage, MADV_DONTFORK) != 0);
  say("madvise of no kind", madvise(pages, kPage, 4711) != 0);
  say("shmat of nothing", shmat(-1, NULL, 0) == MAP_FAILED);
}

int main(int count, char** arguments) {
  static const struct {
    const char* name;
    void (*run)(void);
  } kAll[] = {{"errors", errors},
              {"hole_mmap", hole_mmap},
              {"hole_mmap64", hole_mmap64},
              {"hole_mremap", hole_mremap},
              {"hole_shmat", hole_shmat},
              {"fork_dontfork", fork_dontfork},
              {"fork_wipeonfork", fork_wipeonfork},
              {"fork_moved", fork_moved},
              {"fork_undone", fork_undone}};
  must(count == 2, "an argument");
  for (unsigned i = 0; i < sizeof kAll / sizeof kAll[0]; ++i) {
    if (strcmp(arguments[1], kAll[i].name) != 0) continue;
    kAll[i].run();
    return 0;
  }
  must(0, "no such thing");
}
