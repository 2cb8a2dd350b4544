/* SPDX-License-Identifier: Apache-2.0
 *
 * An allocator behind libseep.so that counts its calls and forwards to glibc's own: what the program asks for is the same
 * with and without seep, so any difference would be seep's. At the end the counts go to the file named by COUNTS.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void __libc_free(void*);

static unsigned long mallocs, callocs, reallocs, frees;

void* malloc(size_t size) { ++mallocs; return __libc_malloc(size); }
void* calloc(size_t count, size_t size) { ++callocs; return __libc_calloc(count, size); }
void* realloc(void* block, size_t size) { ++reallocs; return __libc_realloc(block, size); }
void free(void* block) { ++frees; __libc_free(block); }

__attribute__((destructor)) static void say(void) {
  char text[200];
  const char* path = getenv("COUNTS");
  int length = snprintf(text, sizeof text, "malloc %lu calloc %lu realloc %lu free %lu\n", mallocs, callocs, reallocs, frees);
  int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, text, (size_t)length) != length) _exit(9);
  close(fd);
}
