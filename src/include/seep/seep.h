/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program may say to seep, the leak profiler, and ask it. For C (from C99 on) and C++ (from C++11 on).
 *
 * Nothing needs to be linked. Without seep (libseep.so is not preloaded, or does not record this process) each function
 * does nothing and returns what is said below: so that the calls may stay in the program that is shipped.
 *
 * Each function may be called by any thread at any time, and leaves errno as it is. Those without a word on it may be
 * called in signal handlers, too. What they are about is memory that malloc and its kin, or operator new, gave.
 *
 * A program that uses LeakSanitizer's <sanitizer/lsan_interface.h> needs no change: seep has those functions, too.
 */
#ifndef SEEP_SEEP_H
#define SEEP_SEEP_H

#include <stddef.h>

/* What a leak scan has found. Leaked is what Valgrind calls definitely lost: no pointer leads to it. */
struct seep_leaks {
  size_t definite_blocks; /* Without those that only leaked blocks lead to, */
  size_t definite_bytes;  /* nor their bytes. */
  int exact;              /* 1: every allocation was looked at. 0: samples only, and these are counts of samples. */
};

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The functions of libseep.so behind those below, for languages that cannot include this: dlsym() finds them. They
 * may not be there, so do not call them from C. `struct_bytes` is sizeof(struct seep_leaks). */

#if defined(__linux__) && defined(__GNUC__)
#if defined(__has_attribute)
#if __has_attribute(noplt)
#define SEEP_PRIVATE_NO_PLT , __noplt__
#endif
#endif
#ifndef SEEP_PRIVATE_NO_PLT
#define SEEP_PRIVATE_NO_PLT
#endif
/* A linker makes a plain reference to a weak function null for good in a program at a fixed address (-no-pie), not one
 * by way of the global offset table. */
#define SEEP_PRIVATE_API extern __attribute__((__weak__ SEEP_PRIVATE_NO_PLT))
SEEP_PRIVATE_API int seep_api_is_active(void);
SEEP_PRIVATE_API int seep_api_scan(void);
SEEP_PRIVATE_API int seep_api_check_leaks(struct seep_leaks* leaks, size_t struct_bytes);
SEEP_PRIVATE_API int seep_api_snapshot(void);
SEEP_PRIVATE_API void seep_api_disable(void);
SEEP_PRIVATE_API void seep_api_enable(void);
SEEP_PRIVATE_API int seep_api_ignore(const void* address);
SEEP_PRIVATE_API int seep_api_register_root_region(const void* start, size_t bytes);
SEEP_PRIVATE_API int seep_api_unregister_root_region(const void* start, size_t bytes);

/* Declares `function`, and lets it point there; null where it is not. */
#if defined(__clang__) && defined(__x86_64__) && !defined(__PIC__)
#define SEEP_PRIVATE_FIND(result, name, parameters) \
  result(*function) parameters;                     \
  __asm__(".weak " #name "\n\tmovq " #name "@GOTPCREL(%%rip), %0" : "=r"(function))
#else
#define SEEP_PRIVATE_FIND(result, name, parameters) result(*const function) parameters = name
#endif
#else
#define SEEP_PRIVATE_FIND(result, name, parameters) result(*const function) parameters = NULL
#endif

/* ---- Asking. */

/* 1 if seep records this process, else 0. */
static inline int seep_is_active(void) {
  SEEP_PRIVATE_FIND(int, seep_api_is_active, (void));
  return function ? function() : 0;
}

/* Begins a leak scan, whose verdicts the next snapshot has. All threads stand still for some milliseconds, those of a
 * large heap somewhat longer; the rest is done in a copy of the process. Returns 0, or -1 if there is none: no seep,
 * option scan=off, another scan under way, threads that could not be stopped. */
static inline int seep_scan(void) {
  SEEP_PRIVATE_FIND(int, seep_api_scan, (void));
  return function ? function() : -1;
}

/* The same, and waits for the verdicts: 0, and *leaks says what was found, or -1 and it has zeros. `leaks` may be null.
 * Other threads go on meanwhile. */
static inline int seep_check_leaks(struct seep_leaks* leaks) {
  SEEP_PRIVATE_FIND(int, seep_api_check_leaks, (struct seep_leaks*, size_t));
  if (leaks) {
    leaks->definite_blocks = 0;
    leaks->definite_bytes = 0;
    leaks->exact = 0;
  }
  return function ? function(leaks, sizeof(struct seep_leaks)) : -1;
}

/* Writes a snapshot to the recording now: what is live, and the verdicts of the last leak scan. Returns 0, or -1: no
 * seep, nothing recorded yet, or it could not be written. */
static inline int seep_snapshot(void) {
  SEEP_PRIVATE_FIND(int, seep_api_snapshot, (void));
  return function ? function() : -1;
}

/* ---- What is no leak. */

/* What this thread allocates between the two is no leak, nor is what it leads to. They nest; an enable without its
 * disable does nothing. */
static inline void seep_disable(void) {
  SEEP_PRIVATE_FIND(void, seep_api_disable, (void));
  if (function) function();
}
static inline void seep_enable(void) {
  SEEP_PRIVATE_FIND(void, seep_api_enable, (void));
  if (function) function();
}

/* The block that `address` points at or into is no leak, nor is what it leads to. Until it is freed or reallocated.
 * Returns 0, or -1: no seep, or no block that it knows (in a sampled recording it knows samples only). Takes long, in
 * proportion to the number of live blocks, where `address` is not the start of one. */
static inline int seep_ignore(const void* address) {
  SEEP_PRIVATE_FIND(int, seep_api_ignore, (const void*));
  return function ? function(address) : -1;
}

/* Pointers may stand in [start, start + bytes), where seep does not look otherwise: memory within the heap of the
 * program's own allocator, say. Parts that are not readable are passed over. Returns 0, or -1: no seep, or no room. */
static inline int seep_register_root_region(const void* start, size_t bytes) {
  SEEP_PRIVATE_FIND(int, seep_api_register_root_region, (const void*, size_t));
  return function ? function(start, bytes) : -1;
}
/* Takes that back, exactly as it was said, once for each time. Returns 0, or -1: no seep, or it was not said. */
static inline int seep_unregister_root_region(const void* start, size_t bytes) {
  SEEP_PRIVATE_FIND(int, seep_api_unregister_root_region, (const void*, size_t));
  return function ? function(start, bytes) : -1;
}

#undef SEEP_PRIVATE_FIND
#undef SEEP_PRIVATE_API
#undef SEEP_PRIVATE_NO_PLT

#ifdef __cplusplus
}

namespace seep {

/* What this thread allocates while one lives is no leak. */
class ScopedDisabler {
 public:
  ScopedDisabler() { seep_disable(); }
  ~ScopedDisabler() { seep_enable(); }
  ScopedDisabler(const ScopedDisabler&) = delete;
  ScopedDisabler& operator=(const ScopedDisabler&) = delete;
};

}  // namespace seep
#endif

#endif
