// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands in a mapping of the program's: anonymous, private and shared; a file, private and
// shared; a memfd; System V shared memory; made read-only; between two pages that nobody may touch; memory that the
// program got from sbrk, beside the allocator's; and one that was unmapped.
//
// Expected: all reachable, but of the mapping that is gone: definite. Valgrind looks into writable memory alone, so
// what the read-only mapping holds is definite there.
#include <sys/mman.h>
#include <sys/shm.h>

#include "told.h"

enum { kPage = 4096, kBytes = 16 * kPage, kPlace = 9 * kPage / sizeof(void*) + 5 };

#define FROM(name, bytes) \
  SITE static void from_##name(void** memory) { memory[kPlace] = blank(bytes); }
FROM(anonymous, 24)
FROM(shared, 40)
FROM(private_file, 56)
FROM(shared_file, 72)
FROM(memfd, 88)
FROM(segment, 104)
FROM(read_only, 120)
FROM(guarded, 136)
FROM(break, 152)
FROM(unmapped, 168)

static void** map(int flags, int fd) {
  void* memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  must(memory != MAP_FAILED, "mmap");
  return memory;
}
static int sized(int fd) {
  must(fd >= 0 && ftruncate(fd, kBytes) == 0, "a file");
  return fd;
}
static int temporary_file(void) {
  char path[] = "/tmp/mappings.XXXXXX";
  const int fd = mkstemp(path);
  must(fd >= 0 && unlink(path) == 0, "mkstemp");
  return sized(fd);
}

SITE static void fill(void) {
  from_anonymous(map(MAP_PRIVATE | MAP_ANONYMOUS, -1));
  from_shared(map(MAP_SHARED | MAP_ANONYMOUS, -1));
  from_private_file(map(MAP_PRIVATE, temporary_file()));
  from_shared_file(map(MAP_SHARED, temporary_file()));
  from_memfd(map(MAP_SHARED, sized(memfd_create("pointers", 0))));
  const int segment = shmget(IPC_PRIVATE, kBytes, 0600);
  void* attached = segment < 0 ? NULL : shmat(segment, NULL, 0);
  must(attached != NULL && attached != (void*)-1 && shmctl(segment, IPC_RMID, NULL) == 0, "shmat");
  from_segment(attached);
  void** read_only = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  from_read_only(read_only);
  must(mprotect(read_only, kBytes, PROT_READ) == 0, "mprotect");
  void** guarded = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  from_guarded(guarded);
  must(mprotect(guarded, 9 * kPage, PROT_NONE) == 0 &&
           mprotect((char*)guarded + 10 * kPage, kBytes - 10 * kPage, PROT_NONE) == 0,
       "mprotect");
  void* grown = sbrk(kBytes);
  must(grown != (void*)-1, "sbrk");
  from_break(grown);
  void** unmapped = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
  from_unmapped(unmapped);
  must(munmap(unmapped, kBytes) == 0, "munmap");
}

int main(void) {
  fill();
  tell("from_anonymous", "reachable", 1, 24);
  tell("from_shared", "reachable", 1, 40);
  tell("from_private_file", "reachable", 1, 56);
  tell("from_shared_file", "reachable", 1, 72);
  tell("from_memfd", "reachable", 1, 88);
  tell("from_segment", "reachable", 1, 104);
  tell("from_read_only", "reachable", 1, 120);
  tell_of_valgrind("from_read_only", "definite", 1, 120);
  tell("from_guarded", "reachable", 1, 136);
  tell("from_break", "reachable", 1, 152);
  tell("from_unmapped", "definite", 1, 168);
  last_words();
  return 0;
}
