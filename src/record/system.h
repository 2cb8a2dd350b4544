// SPDX-License-Identifier: Apache-2.0
//
// The kernel as the recording needs it: raw system calls with names. No errno, no libc wrapper (another preload may
// interpose those), no cancellation point. Every function returns what the kernel does: a negative errno on failure.
// Runs inside the host and in the analyzer; any thread, signal handlers too.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "processor/processor.h"
#include "record/system_gate.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace seep {

// What the kernel returns, or -EPERM where a sandbox of the host does not let this call pass.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) noexcept {
  if (system_gate.denies(number)) return -EPERM;
  return kernel_call(number, a, b, c, d, e, f);
}

}  // namespace seep

namespace seep::sys {

inline bool failed(long result) noexcept { return result < 0 && result > -4096; }

template <typename T>
long as_long(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}

inline long open(const char* path, int flags, int mode = 0) noexcept {
  return system_call(SYS_openat, AT_FDCWD, as_long(path), flags | O_CLOEXEC, mode);
}
// Makes a file that only its owner may read and write, and he in any case, whatever the host's umask is.
inline long make_private(const char* path, int flags) noexcept {
  const long fd = open(path, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!failed(fd)) system_call(SYS_fchmod, fd, 0600);
  return fd;
}
inline long close(long fd) noexcept { return system_call(SYS_close, fd); }
inline long unlink(const char* path) noexcept { return system_call(SYS_unlinkat, AT_FDCWD, as_long(path), 0); }
inline long rename(const char* from, const char* to) noexcept {
  return system_call(SYS_renameat, AT_FDCWD, as_long(from), AT_FDCWD, as_long(to));
}
inline long make_directory(const char* path, int mode) noexcept {
  return system_call(SYS_mkdirat, AT_FDCWD, as_long(path), mode);
}
inline long truncate_fd(long fd, uint64_t bytes) noexcept {
  return system_call(SYS_ftruncate, fd, static_cast<long>(bytes));
}
inline long allocate_blocks(long fd, uint64_t offset, uint64_t bytes) noexcept {
  return system_call(SYS_fallocate, fd, 0, static_cast<long>(offset), static_cast<long>(bytes));
}
inline long status(const char* path, struct stat* result) noexcept {
  return system_call(SYS_newfstatat, AT_FDCWD, as_long(path), as_long(result), 0);
}
inline long status_fd(long fd, struct stat* result) noexcept { return system_call(SYS_fstat, fd, as_long(result)); }
inline long read_link(const char* path, char* buffer, size_t bytes) noexcept {
  return system_call(SYS_readlinkat, AT_FDCWD, as_long(path), as_long(buffer), static_cast<long>(bytes));
}
// The soft limit; RLIM64_INFINITY where there is none.
inline uint64_t resource_limit(int resource) noexcept {
  rlimit64 limit{};
  const long result = system_call(SYS_prlimit64, 0, resource, 0, as_long(&limit));
  return failed(result) ? RLIM64_INFINITY : limit.rlim_cur;
}
inline long process_id() noexcept { return system_call(SYS_getpid); }
inline long thread_id() noexcept { return system_call(SYS_gettid); }
inline long parent_process_id() noexcept { return system_call(SYS_getppid); }

// Reads on after short reads and EINTR; how much came until the end or the buffer was full.
inline long read_all(long fd, void* buffer, size_t bytes) noexcept {
  size_t done = 0;
  while (done < bytes) {
    const long got =
        system_call(SYS_read, fd, as_long(static_cast<char*>(buffer) + done), static_cast<long>(bytes - done));
    if (got == -4) continue;  // EINTR
    if (got < 0) return got;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return static_cast<long>(done);
}

// The same from an offset.
inline long read_at(long fd, void* buffer, size_t bytes, uint64_t offset) noexcept {
  size_t done = 0;
  while (done < bytes) {
    const long got = system_call(SYS_pread64, fd, as_long(static_cast<char*>(buffer) + done),
                                 static_cast<long>(bytes - done), static_cast<long>(offset + done));
    if (got == -4) continue;  // EINTR
    if (got < 0) return got;
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return static_cast<long>(done);
}

// Writes all or fails; a short write of a full disk is a failure.
inline bool write_all(long fd, const void* buffer, size_t bytes) noexcept {
  const char* data = static_cast<const char*>(buffer);
  while (bytes > 0) {
    const long put = system_call(SYS_write, fd, as_long(data), static_cast<long>(bytes));
    if (put == -4) continue;  // EINTR
    if (put <= 0) return false;
    data += put;
    bytes -= static_cast<size_t>(put);
  }
  return true;
}

// No handler runs on this thread while it lives.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    const uint64_t all = ~uint64_t{0};
    system_call(SYS_rt_sigprocmask, kSetMask, as_long(&all), as_long(&old_), sizeof all);
  }
  ~SignalsBlocked() { system_call(SYS_rt_sigprocmask, kSetMask, as_long(&old_), 0, sizeof old_); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  [[nodiscard]] uint64_t before() const noexcept { return old_; }  // The mask then: bit n - 1 for signal n.

 private:
  static constexpr long kSetMask = 2;  // SIG_SETMASK
  uint64_t old_ = 0;
};

// Null on failure.
inline void* map(void* address, size_t bytes, int protection, int flags, long fd = -1) noexcept {
  const long result = system_call(SYS_mmap, as_long(address), static_cast<long>(bytes), protection, flags, fd, 0);
  return failed(result) ? nullptr : reinterpret_cast<void*>(result);
}
inline long unmap(void* address, size_t bytes) noexcept {
  return system_call(SYS_munmap, as_long(address), static_cast<long>(bytes));
}
inline long protect(void* address, size_t bytes, int protection) noexcept {
  return system_call(SYS_mprotect, as_long(address), static_cast<long>(bytes), protection);
}
inline long advise(void* address, size_t bytes, int advice) noexcept {
  return system_call(SYS_madvise, as_long(address), static_cast<long>(bytes), advice);
}

}  // namespace seep::sys
