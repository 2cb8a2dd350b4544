// SPDX-License-Identifier: Apache-2.0
//
// The host puts itself into a sandbox: it installs a seccomp filter, by prctl or by syscall (which is what libseccomp
// and everybody else call, since libc has no wrapper). What the filter would kill us for is found out first
// (seccomp_filter.h), and never called again (record/system_gate.h). Where that ends the recording's growth, one more
// snapshot is taken and some room kept before; what happens afterwards is counted in the region, as far as that
// reaches, and stays there for `seep run` and `seep report`, since nothing can be written from inside any more.
//
// A filter that came with the image, from before its exec, cannot be looked at; what it forbids may then hit us.
// Runs inside the host, any thread. Must never change what the two functions do.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include <cerrno>

#include "preload/next_allocator.h"
#include "preload/recorder.h"
#include "preload/recording.h"
#include "preload/seccomp_filter.h"
#include "preload/snapshots.h"
#include "record/system.h"

namespace {

using PrctlFunction = int (*)(int, unsigned long, unsigned long, unsigned long, unsigned long);
using SyscallFunction = long (*)(long, long, long, long, long, long, long);
constinit std::atomic<PrctlFunction> next_prctl{nullptr};
constinit std::atomic<SyscallFunction> next_syscall{nullptr};

enum class Copied { kDone, kNotThere, kRefused };

// Memory of ours that may not be there: a filter that is null asks whether filters are supported.
Copied copy_safely(void* to, const void* from, size_t bytes) {
  const iovec local{to, bytes}, remote{const_cast<void*>(from), bytes};
  const long got = seep::system_call(SYS_process_vm_readv, seep::recording.pid, seep::sys::as_long(&local), 1,
                                     seep::sys::as_long(&remote), 1, 0);
  if (got == static_cast<long>(bytes)) return Copied::kDone;
  return got >= 0 || got == -EFAULT ? Copied::kNotThere : Copied::kRefused;
}

// What a filter denies that may not be looked at: everything.
void deny_everything(seep::SystemGate::Denied& denied) {
  for (auto& bits : denied.bits) bits = ~uint64_t{0};
}

Copied look_into_filter(const void* address, void* buffer, size_t most_bytes, seep::SystemGate::Denied& denied) {
  sock_fprog program;
  const Copied found = copy_safely(&program, address, sizeof program);
  if (found != Copied::kDone) return found;
  const size_t bytes = program.len * sizeof(sock_filter);
  if (bytes == 0 || bytes > most_bytes) return Copied::kNotThere;
  const Copied copied = copy_safely(buffer, program.filter, bytes);
  if (copied == Copied::kDone) denied = seep::denied_by_filter(static_cast<const sock_filter*>(buffer), program.len);
  return copied;
}

// False where the kernel will not accept the filter: it is not there.
bool look_at_filter(const void* address, seep::SystemGate::Denied& denied) {
  constexpr size_t kMostBytes = seep::kMostFilterInstructions * sizeof(sock_filter);
  void* buffer = seep::recording.memory.take(kMostBytes);
  const Copied looked = buffer == nullptr ? Copied::kRefused : look_into_filter(address, buffer, kMostBytes, denied);
  if (buffer != nullptr) seep::recording.memory.give_back(buffer, kMostBytes);
  if (looked == Copied::kRefused) deny_everything(denied);
  return looked != Copied::kNotThere;
}

// From here on the recording goes without system calls, or with some of them. `install`: the real call.
template <typename Install>
long enter_sandbox(bool strict, const void* filter, bool all_threads, Install install) {
  const int saved = errno;
  seep::SystemGate::Denied denied{};
  // A vfork child runs in its parent's memory, and the filter is not its parent's.
  (void)seep::notice_fork();
  const bool ours = seep::prepare_recording() && seep::is_own_process();
  bool close = ours;
  if (strict) deny_everything(denied);
  else close = ours && look_at_filter(filter, denied);
  const seep::SystemGate::Denied before = seep::system_gate.denied();
  if (close) seep::close_gate(denied, all_threads);
  errno = saved;
  const long result = install();
  if (close && result < 0) seep::system_gate.open_to(before);
  return result;
}

bool installs_filter(unsigned long option) { return option == PR_SET_SECCOMP; }

}  // namespace

// Declared variadic, but called alike: what is not given is read from registers and handed on as it is.
extern "C" __attribute__((visibility("default"))) int host_prctl(int option, unsigned long a, unsigned long b,
                                                                 unsigned long c, unsigned long d) __asm__("prctl");
extern "C" __attribute__((visibility("default"))) long host_syscall(long number, long a, long b, long c, long d, long e,
                                                                    long f) __asm__("syscall");

int host_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  const PrctlFunction next = seep::find_next_once(next_prctl, "prctl");
  if (__builtin_expect(!installs_filter(static_cast<unsigned long>(option)), true)) return next(option, a, b, c, d);
  const bool strict = a == SECCOMP_MODE_STRICT;
  return static_cast<int>(enter_sandbox(strict, reinterpret_cast<const void*>(b), false,
                                        [&] { return static_cast<long>(next(option, a, b, c, d)); }));
}

__attribute__((noinline, cold)) static long sandboxing_syscall(long number, long a, long b, long c, long d, long e,
                                                               long f) {
  const SyscallFunction next = seep::find_next_once(next_syscall, "syscall");
  const auto install = [&] { return next(number, a, b, c, d, e, f); };
  if (number == SYS_prctl && installs_filter(static_cast<unsigned long>(a))) {
    return enter_sandbox(b == SECCOMP_MODE_STRICT, reinterpret_cast<const void*>(c), false, install);
  }
  if (number == SYS_seccomp && (a == SECCOMP_SET_MODE_STRICT || a == SECCOMP_SET_MODE_FILTER)) {
    return enter_sandbox(a == SECCOMP_SET_MODE_STRICT, reinterpret_cast<const void*>(c),
                         (b & SECCOMP_FILTER_FLAG_TSYNC) != 0, install);
  }
  return install();
}

// A jump, whatever is called: a fork or clone by number returns twice, the second time into a copy of the caller's
// frame, and there must be none of ours.
long host_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (__builtin_expect(number == SYS_seccomp || number == SYS_prctl, false)) {
    return sandboxing_syscall(number, a, b, c, d, e, f);
  }
  return seep::find_next_once(next_syscall, "syscall")(number, a, b, c, d, e, f);
}
