// SPDX-License-Identifier: Apache-2.0
//
// Leaks known blocks from ten sites (malloc, calloc, realloc, posix_memalign, aligned new, new[], strdup, a template,
// an inline function, a library that is closed again) and frees as many more. Expected: what it prints, as JSON: file,
// line, function, blocks and bytes of each site; nothing else of its own is live at exit.
//
// It counts in static memory and prints with write(2), so that nothing of the counting is in the count.

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

struct Site {
  char file[256];  // Copies: the plugin's own strings go when it is closed.
  int line;
  char function[64];
  size_t blocks;
  size_t bytes;
};

Site sites[32];
void* volatile escaped[8192];
size_t escaped_count;

// Makes a block escape and adds it to the truth: to the row of its line.
__attribute__((noinline)) void keep(void* block, size_t size_bytes, const char* file, int line, const char* function) {
  escaped[escaped_count++ % 8192] = block;
  for (Site& site : sites) {
    if (site.blocks == 0) {
      site.line = line;
      snprintf(site.file, sizeof site.file, "%s", file);
      snprintf(site.function, sizeof site.function, "%s", function);
    }
    if (site.line != line || strcmp(site.file, file) != 0) continue;
    ++site.blocks;
    site.bytes += size_bytes;
    return;
  }
}

#define KEEP(block, size_bytes, function) keep(block, size_bytes, __FILE__, __LINE__, function)

struct alignas(64) Line {
  char data[192];
};

__attribute__((noinline)) void leak_malloc(size_t count) {
  for (size_t i = 0; i < count; ++i) KEEP(malloc(100 + i), 100 + i, "leak_malloc");
}

__attribute__((noinline)) void leak_calloc(size_t count) {
  for (size_t i = 0; i < count; ++i) KEEP(calloc(i + 1, 24), (i + 1) * 24, "leak_calloc");
}

__attribute__((noinline)) void leak_realloc(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    void* volatile small = malloc(8);
    KEEP(realloc(small, 5000 + i), 5000 + i, "leak_realloc");
  }
}

__attribute__((noinline)) void leak_posix_memalign(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    void* block = nullptr;
    KEEP(posix_memalign(&block, 256, 640) == 0 ? block : nullptr, 640, "leak_posix_memalign");
  }
}

__attribute__((noinline)) void leak_aligned_new(size_t count) {
  for (size_t i = 0; i < count; ++i) KEEP(new Line, sizeof(Line), "leak_aligned_new");
}

__attribute__((noinline)) void leak_new_array(size_t count) {
  for (size_t i = 0; i < count; ++i) KEEP(new char[3 * i + 1], 3 * i + 1, "leak_new_array");
}

__attribute__((noinline)) void leak_strdup(size_t count) {
  for (size_t i = 0; i < count; ++i) KEEP(strdup("a string of 27 characters.."), 28, "leak_strdup");
}

template <typename Value>
struct Table {
  __attribute__((noinline)) static void leak(size_t count) {
    for (size_t i = 0; i < count; ++i) KEEP(new Value[7], 7 * sizeof(Value), "Table<double>::leak");
  }
};

__attribute__((always_inline)) inline void leak_inlined(size_t size_bytes) {
  KEEP(malloc(size_bytes), size_bytes, "leak_inlined");
}

__attribute__((noinline)) void call_inlined() {
  for (size_t i = 0; i < 11; ++i) leak_inlined(90);
  escaped[0] = nullptr;
}

bool leak_in_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  auto leak = reinterpret_cast<void (*)(decltype(&keep))>(dlsym(library, "leak_in_plugin"));
  if (leak != nullptr) leak(&keep);
  return dlclose(library) == 0 && leak != nullptr;
}

void allocate_and_free() {
  for (size_t i = 0; i < 500; ++i) {
    void* volatile block = malloc(i);
    free(block);
    char* volatile array = new char[i];
    delete[] array;
  }
}

void print_truth() {
  static char text[8192];
  size_t used = 0;
  for (const Site& site : sites) {
    if (site.blocks == 0) break;
    used += static_cast<size_t>(snprintf(text + used, sizeof text - used,
                                         "%s{\"file\": \"%s\", \"line\": %d, \"function\": \"%s\", \"blocks\": %zu, "
                                         "\"bytes\": %zu}",
                                         used == 0 ? "[" : ",\n ", site.file, site.line, site.function, site.blocks,
                                         site.bytes));
  }
  text[used++] = ']';
  text[used++] = '\n';
  if (write(STDOUT_FILENO, text, used) < 0) _exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !leak_in_library(argv[1])) return 1;
  leak_malloc(17);
  leak_calloc(5);
  leak_realloc(3);
  leak_posix_memalign(4);
  leak_aligned_new(6);
  leak_new_array(50);
  leak_strdup(9);
  Table<double>::leak(8);
  call_inlined();
  allocate_and_free();
  print_truth();
  return 0;
}
