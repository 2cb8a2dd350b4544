// SPDX-License-Identifier: Apache-2.0
//
// Runs commands by system, popen in both directions, posix_spawn and posix_spawnp, with allocations in between, while
// another thread allocates, too.
//
// Expected: the commands' output and status are the same, the counts of this program are true, and every command that
// allocates has a recording.
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kRounds = 5, kBytes = 123, kThreadBytes = 321 };

extern char** environ;

static atomic_int over;
void* volatile kept[4 * kRounds];
static int used;

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* allocate_in_thread(void) { return escape(malloc(kThreadBytes)); }

static void hold(void) { kept[used++] = allocate(); }

static void* run(void* unused) {
  (void)unused;
  unsigned long made = 0;
  for (; !atomic_load(&over); ++made) free(allocate_in_thread());
  return (void*)made;
}

static void by_popen(int round) {
  char line[64] = "";
  FILE* from = popen("echo from a pipe; exit 3", "r");
  if (from == NULL || fgets(line, sizeof line, from) == NULL) abort();
  const int status = pclose(from);
  printf("popen %d: %d, %s", round, WEXITSTATUS(status), line);
  fflush(stdout);
  FILE* to = popen("cat", "w");
  if (to == NULL || fprintf(to, "to a pipe %d\n", round) < 0) abort();
  printf("pclose %d: %d\n", round, pclose(to));
  fflush(stdout);
}

static void by_spawn(int round) {
  char* const shell[] = {"sh", "-c", "exit $STATUS", NULL};
  char* const environment[] = {"STATUS=4", NULL};
  char* const true_command[] = {"true", NULL};
  pid_t child = -1;
  int status = 0;
  if (posix_spawn(&child, "/bin/sh", NULL, NULL, shell, environment) == 0) waitpid(child, &status, 0);
  printf("posix_spawn %d: %d\n", round, WEXITSTATUS(status));
  status = -1;
  if (posix_spawnp(&child, "true", NULL, NULL, true_command, environ) == 0) waitpid(child, &status, 0);
  printf("posix_spawnp %d: %d; of nothing: %d\n", round, status,
         posix_spawn(&child, "/nonexistent", NULL, NULL, true_command, environ));
  fflush(stdout);
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) != 0) return 2;
  for (int round = 0; round < kRounds; ++round) {
    hold();
    printf("system %d: %d\n", round, WEXITSTATUS(system("echo from system; exit 7")));
    fflush(stdout);
    hold();
    by_popen(round);
    hold();
    by_spawn(round);
    hold();
  }
  atomic_store(&over, 1);
  void* made = NULL;
  pthread_join(thread, &made);
  const unsigned long in_thread = (unsigned long)made;
  process_truth(getpid(), "allocate", 4 * kRounds, 4 * kRounds * kBytes, 4 * kRounds, 4 * kRounds * kBytes);
  process_truth(getpid(), "allocate_in_thread", in_thread, in_thread * kThreadBytes, 0, 0);
  return 0;
}
