// SPDX-License-Identifier: Apache-2.0
//
// Closes every descriptor that it has not opened itself, as daemons do (close_range, closefrom, a walk through
// /proc/self/fd, or one by one to the limit), and uses the numbers for files, a pipe and a socket pair of its own; then
// it allocates, also out of code that no unwind table describes, so that stacks are looked for and memory is tried.
//
// Expected: the numbers are the ones it would get, and in the files, the pipe and the sockets there is, byte for byte,
// what it wrote.
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "truth.h"

enum { kFiles = 8, kTimes = 400, kBytes = 3000 };

static void by_proc(void) {
  DIR* directory = opendir("/proc/self/fd");
  int found[1024], count = 0;
  for (struct dirent* entry; directory != NULL && (entry = readdir(directory)) != NULL && count < 1024;) {
    if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2) found[count++] = atoi(entry->d_name);
  }
  if (directory != NULL) closedir(directory);
  while (count > 0) close(found[--count]);
}

static void close_all(const char* how) {
  if (strcmp(how, "close_range") == 0) close_range(3, ~0u, 0);
  else if (strcmp(how, "closefrom") == 0) closefrom(3);
  else if (strcmp(how, "proc") == 0) by_proc();
  else
    for (int fd = 3; fd < 1024; ++fd) close(fd);
}

__attribute__((noinline)) static void* allocates_meanwhile(size_t bytes) { return escape(malloc(bytes)); }

// push rbp; xor ebp, ebp; mov rax, rdi; mov rdi, rsi; call rax; pop rbp; ret
static const unsigned char kCode[] = {0x55, 0x31, 0xED, 0x48, 0x89, 0xF8, 0x48, 0x89, 0xF7, 0xFF, 0xD0, 0x5D, 0xC3};
typedef void* (*without_tables)(void* (*)(size_t), size_t);

static unsigned long sum_of(int fd) {
  unsigned char bytes[4096];
  unsigned long sum = 5381;
  ssize_t got;
  lseek(fd, 0, SEEK_SET);
  while ((got = read(fd, bytes, sizeof bytes)) > 0) {
    for (ssize_t i = 0; i < got; ++i) sum = sum * 33 + bytes[i];
  }
  return sum;
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, kCode, sizeof kCode);
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  without_tables code;
  memcpy(&code, &page, sizeof code);

  free(allocates_meanwhile(kBytes));
  close_all(arguments[1]);
  int files[kFiles], ends[2], sockets[2];
  for (int i = 0; i < kFiles; ++i) files[i] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (pipe(ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets) != 0) return 2;
  printf("%d to %d, %d, %d, %d\n", files[0], files[kFiles - 1], ends[0], ends[1], sockets[0]);
  char text[64];
  for (int i = 0; i < kTimes; ++i) {
    const int length = snprintf(text, sizeof text, "line %d of what the program wrote\n", i);
    for (int j = 0; j < kFiles; ++j) {
      if (write(files[j], text, (size_t)length) != length) return 2;
    }
    (void)!write(ends[1], text, 1);
    (void)!write(sockets[0], text, 1);
    free(i % 2 == 0 ? allocates_meanwhile(kBytes) : code(allocates_meanwhile, kBytes));
  }
  for (int i = 0; i < kFiles; ++i) printf("%lu ", sum_of(files[i]));
  char got[2 * kTimes];
  printf("%zd in the pipe", read(ends[0], got, sizeof got));
  printf(", %zd in the socket, ", read(sockets[1], got, sizeof got));
  printf("%zd after it\n", read(sockets[1], got, sizeof got));
  truth_site("allocates_meanwhile", kTimes + 1, (kTimes + 1) * kBytes, 0, 0);
  return 0;
}
