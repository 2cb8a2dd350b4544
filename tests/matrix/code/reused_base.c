// SPDX-License-Identifier: Apache-2.0
//
// dlopen of a library, allocation in it, dlclose; then another library at the same base whose function at the same
// place has another frame size. Both ways round: from the small frame to the large one and back. Arguments: the two
// libraries; a third one names a file that each is copied to in its turn, so that also the path is the same.
//
// Expected: the base is reused (said so), nobody faults, and each allocation is in the function of the library that was
// there at the time; of a file that is gone nothing false is said.
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "truth.h"

enum { kRounds = 50, kLeaked = 3, kBytes = 3000 };

static void copy(const char* from, const char* to) {
  unlink(to);
  const int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  struct stat status;
  if (in < 0 || out < 0 || fstat(in, &status) != 0) abort();
  for (off_t at = 0; at < status.st_size;) {
    if (sendfile(out, in, &at, (size_t)(status.st_size - at)) <= 0) abort();
  }
  close(in);
  close(out);
}

// The base that the library had.
static uintptr_t use(const char* path, int leaked) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
  }
  void* (*allocate)(size_t) = (void* (*)(size_t))dlsym(library, "allocate");
  for (int i = 0; i < leaked; ++i) allocate(kBytes);
  for (int i = 0; i < 20; ++i) free(allocate(kBytes));
  struct link_map* map;
  dlinfo(library, RTLD_DI_LINKMAP, &map);
  const uintptr_t base = map->l_addr;
  dlclose(library);
  return base;
}

int main(int count, char** arguments) {
  if (count < 3) return 2;
  unsigned reused = 0;
  uintptr_t last = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 2; ++i) {
      if (count == 4) copy(arguments[1 + i], arguments[3]);
      const uintptr_t base = use(arguments[count == 4 ? 3 : 1 + i], kLeaked);
      reused += base == last;
      last = base;
    }
  }
  const unsigned long blocks = kRounds * (kLeaked + 20ul), live = kRounds * (unsigned long)kLeaked;
  if (count == 3) {
    truth_site("allocates_in_small_frame", blocks, blocks * kBytes, live, live * kBytes);
    truth_site("allocates_in_large_frame", blocks, blocks * kBytes, live, live * kBytes);
  }
  puts(reused >= kRounds ? "the base was reused" : "the base was not reused");
  return 0;
}
