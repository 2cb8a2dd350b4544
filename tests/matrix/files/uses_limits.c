// SPDX-License-Identifier: Apache-2.0
//
// Allocates what its arguments say, small blocks and large, under whatever limits it was started with (prlimit) or sets
// itself: `RESOURCE=LIMIT` sets one, `COUNTxBYTES` allocates and keeps, `churn` allocates and frees for a while,
// `fill-fds` opens descriptors until there are no more, `threads` starts four, `peak:FILE` writes the most address
// space used to a file.
//
// Expected: each malloc that succeeds without seep does so with it: how many failed is printed.
#include <pthread.h>
#include <sys/resource.h>

#include "truth.h"

static unsigned long failed;

__attribute__((noinline)) static void* allocates_under_limits(size_t bytes) {
  char* block = escape(malloc(bytes));
  if (block == NULL) ++failed;
  else block[0] = block[bytes - 1] = 1;
  return block;
}

static void keep(unsigned long count, unsigned long bytes) {
  for (unsigned long i = 0; i < count; ++i) allocates_under_limits(bytes);
  truth_site("allocates_under_limits", count, count * bytes, count, count * bytes);
}

static void churn(void) {
  enum { kTimes = 5000, kBytes = 700 };
  for (int i = 0; i < kTimes; ++i) free(allocates_under_limits(kBytes));
  truth_site("allocates_under_limits", kTimes, kTimes * kBytes, 0, 0);
}

static void* in_thread(void* argument) {
  free(allocates_under_limits(9000));
  return argument;
}

static void threads(void) {
  enum { kThreads = 4 };
  pthread_t thread[kThreads];
  int started = 0;
  while (started < kThreads && pthread_create(&thread[started], NULL, in_thread, NULL) == 0) ++started;
  printf("%d threads\n", started);
  truth_site("allocates_under_limits", (unsigned long)started, (unsigned long)started * 9000, 0, 0);
  while (started > 0) pthread_join(thread[--started], NULL);
}

static void fill_descriptors(void) {
  int last = -1;
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) last = fd;
  printf("the last descriptor is %d\n", last);
}

static void tell_peak(const char* path) {
  char line[256];
  FILE* status = fopen("/proc/self/status", "r");
  FILE* out = fopen(path, "w");
  while (status != NULL && out != NULL && fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, "VmPeak:", 7) == 0) fputs(line + 7, out);
  }
  if (status != NULL) fclose(status);
  if (out != NULL) fclose(out);
}

static int set_limit(const char* name, unsigned long limit) {
  static const struct {
    const char* name;
    int resource;
  } kResources[] = {{"nofile", RLIMIT_NOFILE},  {"fsize", RLIMIT_FSIZE}, {"as", RLIMIT_AS},
                    {"data", RLIMIT_DATA},      {"stack", RLIMIT_STACK}, {"nproc", RLIMIT_NPROC},
                    {"memlock", RLIMIT_MEMLOCK}};
  for (size_t i = 0; i < sizeof kResources / sizeof *kResources; ++i) {
    if (strcmp(kResources[i].name, name) == 0) {
      const struct rlimit both = {limit, limit};
      return setrlimit((__rlimit_resource_t)kResources[i].resource, &both);
    }
  }
  return -1;
}

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    unsigned long first, second;
    char name[16];
    if (sscanf(arguments[i], "%15[a-z]=%lu", name, &first) == 2) printf("%s: %d\n", name, set_limit(name, first));
    else if (sscanf(arguments[i], "%lux%lu", &first, &second) == 2) keep(first, second);
    else if (strcmp(arguments[i], "churn") == 0) churn();
    else if (strcmp(arguments[i], "threads") == 0) threads();
    else if (strcmp(arguments[i], "fill-fds") == 0) fill_descriptors();
    else if (strncmp(arguments[i], "peak:", 5) == 0) tell_peak(arguments[i] + 5);
    else return 2;
  }
  printf("%lu failed\n", failed);
  return 0;
}
