// SPDX-License-Identifier: Apache-2.0
//
// What the host does that concerns us, besides allocating: it starts, forks, closes a library, runs another program,
// ends.
//
// The constructor is the only one of libseep.so, and the first of all (it is linked with -z initfirst), before libc's
// and .preinit_array, so that what it registers for the end runs last: an on_exit handler, and one of at_quick_exit.
// They run after the destructors of all libraries and after every handler of the host; so what those free is free in
// the last snapshot. Runs inside the host.
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>

#include "preload/exec_target.h"
#include "preload/host_memory.h"
#include "preload/identity.h"
#include "preload/keep_errno.h"
#include "preload/next_allocator.h"
#include "preload/other_tools.h"
#include "preload/recorder.h"
#include "preload/recording.h"
#include "preload/region_place.h"
#include "preload/snapshots.h"
#include "record/system.h"
#include "record/text.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))

namespace {

// Values of proto NotObserved.Reason.
constexpr uint32_t kNotInterposed = 1;
constexpr uint32_t kSanitizer = 5;
constexpr uint32_t kValgrind = 7;

template <typename Function>
Function next_function(const char* symbol) {
  return reinterpret_cast<Function>(seep::find_next(symbol));
}

struct NextEvents {
  void* (*dlopen)(const char*, int);
  int (*dlclose)(void*);
  void (*exit_now)(int);
  int (*execve)(const char*, char* const*, char* const*);
  int (*execvpe)(const char*, char* const*, char* const*);
  int (*fexecve)(int, char* const*, char* const*);
  int (*execveat)(int, const char*, char* const*, char* const*, int);
};
constinit NextEvents next_events{};

// Mostly by the constructor; by a hook that comes before it.
const NextEvents& events() {
  if (next_events.dlclose == nullptr) {
    next_events.dlopen = next_function<void* (*)(const char*, int)>("dlopen");
    next_events.exit_now = next_function<void (*)(int)>("_exit");
    next_events.execve = next_function<int (*)(const char*, char* const*, char* const*)>("execve");
    next_events.execvpe = next_function<int (*)(const char*, char* const*, char* const*)>("execvpe");
    next_events.fexecve = next_function<int (*)(int, char* const*, char* const*)>("fexecve");
    next_events.execveat = next_function<int (*)(int, const char*, char* const*, char* const*, int)>("execveat");
    next_events.dlclose = next_function<int (*)(void*)>("dlclose");
  }
  return next_events;
}

bool end_with(const seep::EndFacts& end, bool keep_region, const seep::leak_scan::HostExit* host) {
  const seep::KeepErrno keep_errno;
  const auto kind = end.how == seep::EndHow::kExec ? seep::SnapshotKind::kExec : seep::SnapshotKind::kExit;
  return seep::final_snapshot(kind, end, keep_region, host);
}

// Inlined, so that the registers are those of the function that the host has called.
__attribute__((always_inline)) inline void end_by_exit(bool status_known, int status, unsigned libc_frames) {
  seep::leak_scan::HostExit host;
  host.libc_frames = libc_frames;
  seep::capture_registers(host.registers);
  end_with({seep::EndHow::kExit, status_known, status & 0xFF, 0, seep::now_ns()}, false, &host);
}

// exit and quick_exit call what was registered through one function more.
constexpr unsigned kExitFrames = 2;
void on_host_exit(int status, void*) { end_by_exit(true, status, kExitFrames); }
void on_quick_exit() { end_by_exit(false, 0, kExitFrames); }  // Its status is not told.

// Option scan_signal. Without SA_NODEFER, so that one scan is done before the next is asked for.
void on_scan_signal(int, siginfo_t*, void*) {
  const seep::KeepErrno keep_errno;
  seep::Registers here;
  seep::capture_registers(here);
  seep::leak_scan::scan_on_request(here, seep::ScanTrigger::kSignal, false);
}

void listen_to_scan_signal() {
  const int signal = seep::recording.options.scan_signal;
  if (signal == 0 || seep::recording.options.scan == seep::Options::Scan::kOff) return;
  struct {  // The kernel's own struct sigaction.
    void (*handler)(int, siginfo_t*, void*);
    unsigned long flags;
    void (*restorer)();
    uint64_t mask;
  } const action{on_scan_signal, SA_SIGINFO | SA_RESTART | SA_ONSTACK | seep::kSignalRestorerFlag,
                 seep::return_from_signal, 0};
  seep::system_call(SYS_rt_sigaction, signal, seep::sys::as_long(&action), 0, sizeof action.mask);
}

// For `seep run`, which cannot tell otherwise that we were loaded: a sampled process may leave nothing.
void announce() {
  const char* path = seep::recording.options.announce;
  if (path[0] == '\0') return;
  const long fd = seep::sys::open(path, O_WRONLY | O_APPEND | O_NOFOLLOW);
  if (seep::sys::failed(fd)) return;
  char line[32];
  seep::TextBuilder text(line, sizeof line);
  text.add_number(seep::recording.pid);
  text.add_character('\n');
  struct stat status {};
  // Growing a file past that limit raises SIGXFSZ, which kills.
  const bool fits = !seep::sys::failed(seep::sys::status_fd(fd, &status)) &&
                    static_cast<uint64_t>(status.st_size) + text.length() <= seep::sys::resource_limit(RLIMIT_FSIZE);
  if (fits) seep::sys::write_all(fd, line, text.length());
  seep::sys::close(fd);
}

// A malloc that is found before ours, in the program itself or in a library preloaded before us: ours is never called.
const char* other_malloc() {
  const void* found = dlsym(RTLD_DEFAULT, "malloc");
  if (found == nullptr || seep::same_object(found, reinterpret_cast<const void*>(&other_malloc))) return nullptr;
  Dl_info info{};
  void* symbol = nullptr;
  if (dladdr1(found, &info, &symbol, RTLD_DL_SYMENT) == 0 || info.dli_fname == nullptr) return "the program";
  // A program at a fixed address (python3) that takes malloc's address has a stub of that name, which leads to ours.
  if (symbol != nullptr && static_cast<const ElfW(Sym)*>(symbol)->st_shndx == SHN_UNDEF) return nullptr;
  return info.dli_fname;
}

// This early libc has not looked at the environment yet; it will find the same.
__attribute__((constructor)) void seep_start(int, char**, char** environment) {
  const seep::KeepErrno keep_errno;
  if (environ == nullptr) environ = environment;
  events();
  seep::find_next_memory_calls();
  if (seep::prepare_recording()) {
    announce();
    seep::remove_region_of_image_before();
    pthread_atfork(nullptr, nullptr, seep::record_fork_in_child);
    if (!seep::recording.options.record_under_valgrind && seep::runs_under_valgrind()) {
      if (!seep::parent_is_observed()) seep::say("not recording: this runs under valgrind");
      seep::leave_stub(kValgrind, "");
    } else if (const char* owner = other_malloc()) {
      char detail[256];
      seep::TextBuilder text(detail, sizeof detail);
      text.add("malloc is defined in ");
      text.add(owner);
      seep::leave_stub(kNotInterposed, detail);
    } else {
      on_exit(on_host_exit, nullptr);
      at_quick_exit(on_quick_exit);
      listen_to_scan_signal();
    }
  }
}

// The last of all destructors. Only now may more be done beside a sanitizer than forward.
__attribute__((destructor)) void seep_finish() {
  const char* sanitizer = seep::sanitizer_runtime();
  if (sanitizer != nullptr) seep::leave_stub(kSanitizer, sanitizer);
}

// Whether the new image will have us in it, if it can.
bool carries_preload(char* const* environment) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    if (strncmp(*environment, "LD_PRELOAD=", 11) != 0) continue;
    return memmem(*environment, strlen(*environment), "/libseep.so", 11) != nullptr;
  }
  return false;
}

// An exec that succeeds ends the image, and nobody could write the last snapshot afterwards, so it is written before.
// If the exec fails, the stream goes on behind that End. Shells try one directory of PATH after the other: what will
// fail for sure is not worth a snapshot. The region stays where the new image will be ours, too, and remove it.
template <typename Exec>
int with_end(seep::ExecTarget target, bool shell_runs_text, char* const* environment, Exec exec) {
  using seep::ExecTarget;
  const bool ends = target == ExecTarget::kText ? shell_runs_text : target != ExecTarget::kNone;
  const bool keep_region = target != ExecTarget::kOther && carries_preload(environment);
  const bool ended = ends && end_with({seep::EndHow::kExec, false, 0, 0, seep::now_ns()}, keep_region, nullptr);
  const int result = exec();
  if (ended) seep::go_on_after_failed_exec();
  return result;
}

// A program named by a directory's descriptor, or by its own.
seep::ExecTarget look_at_descriptor(int fd, const char* path) {
  if (path[0] == '/' || (fd == AT_FDCWD && path[0] != '\0')) return seep::look_at_program(path);
  char name[4200];
  seep::TextBuilder text(name, sizeof name);
  text.add("/proc/self/fd/");
  text.add_number(static_cast<uint64_t>(fd));
  if (path[0] != '\0') text.add_character('/');
  text.add(path);
  return text.complete() ? seep::look_at_program(name) : seep::ExecTarget::kOther;
}

// Calls with a list of arguments: those on the stack, counted first.
constexpr size_t kMostArguments = 1 << 16;

size_t count_arguments(va_list list) {
  size_t count = 1;
  while (va_arg(list, const char*) != nullptr && count < kMostArguments) ++count;
  return count;
}

}  // namespace

// A jump: the loader looks at who calls it. A library that is bound to libc before all else allocates unseen.
SEEP_HOOK void* dlopen(const char* file, int mode) {
  if ((mode & RTLD_DEEPBIND) != 0) seep::recording.has_unseen_blocks.store(true, std::memory_order_relaxed);
  return events().dlopen(file, mode);
}

// Not a jump: what was remembered of the library's code is void once it is gone, and what another thread looked up
// while it went, too.
SEEP_HOOK int dlclose(void* handle) {
  seep::recording.forget_loaded_code();
  const int result = events().dlclose(handle);
  seep::recording.forget_loaded_code();
  return result;
}

SEEP_HOOK __attribute__((noreturn)) void _exit(int status) {
  end_by_exit(true, status, 0);
  events().exit_now(status);
  __builtin_unreachable();
}

SEEP_HOOK __attribute__((noreturn)) void _Exit(int status) {
  end_by_exit(true, status, 0);
  events().exit_now(status);
  __builtin_unreachable();
}

SEEP_HOOK int execve(const char* path, char* const* arguments, char* const* environment) {
  return with_end(seep::look_at_program(path), false, environment,
                  [&] { return events().execve(path, arguments, environment); });
}

SEEP_HOOK int execv(const char* path, char* const* arguments) { return execve(path, arguments, environ); }

SEEP_HOOK int execvpe(const char* file, char* const* arguments, char* const* environment) {
  return with_end(seep::look_for_program(file), true, environment,
                  [&] { return events().execvpe(file, arguments, environment); });
}

SEEP_HOOK int execvp(const char* file, char* const* arguments) { return execvpe(file, arguments, environ); }

SEEP_HOOK int fexecve(int fd, char* const* arguments, char* const* environment) {
  return with_end(look_at_descriptor(fd, ""), false, environment,
                  [&] { return events().fexecve(fd, arguments, environment); });
}

SEEP_HOOK int execveat(int fd, const char* path, char* const* arguments, char* const* environment, int flags) {
  return with_end(look_at_descriptor(fd, path), false, environment,
                  [&] { return events().execveat(fd, path, arguments, environment, flags); });
}

#define SEEP_COLLECT_ARGUMENTS(FIRST)                                                    \
  va_list list;                                                                          \
  va_start(list, FIRST);                                                                 \
  const size_t count = count_arguments(list);                                            \
  va_end(list);                                                                          \
  char** arguments = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*))); \
  va_start(list, FIRST);                                                                 \
  arguments[0] = const_cast<char*>(FIRST);                                               \
  for (size_t i = 1; i <= count; ++i) arguments[i] = va_arg(list, char*)

SEEP_HOOK int execl(const char* path, const char* argument, ...) {
  SEEP_COLLECT_ARGUMENTS(argument);
  va_end(list);
  return execv(path, arguments);
}

SEEP_HOOK int execlp(const char* file, const char* argument, ...) {
  SEEP_COLLECT_ARGUMENTS(argument);
  va_end(list);
  return execvp(file, arguments);
}

SEEP_HOOK int execle(const char* path, const char* argument, ...) {
  SEEP_COLLECT_ARGUMENTS(argument);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return execve(path, arguments, environment);
}
