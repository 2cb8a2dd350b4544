// SPDX-License-Identifier: Apache-2.0
//
// What the program says to us and asks us: the functions behind include/seep/seep.h, and those of LeakSanitizer
// (sanitizer/lsan_interface.h), so that programs that use these need no change. What differs from LeakSanitizer: no
// function ends the process or prints a report, and a wrong call is passed over; known leaks (suppressions) are sorted
// out later, by the analyzer, so that a check here counts them.
//
// Where a sanitizer is in the process we record nothing, and its functions are the ones that count, although the
// program finds ours before them (and so does the sanitizer itself).
//
// Runs inside the host, on its threads and in its signal handlers. Must not change errno.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "preload/keep_errno.h"
#include "preload/leak_scan/program_wishes.h"
#include "preload/leak_scan/root_regions.h"
#include "preload/leak_scan/scan.h"
#include "preload/recording.h"
#include "preload/sanitizer_calls.h"
#include "preload/snapshots.h"
#include "preload/thread_state.h"
#include "seep/seep.h"

#define SEEP_API extern "C" __attribute__((visibility("default")))

namespace {

using seep::KeepErrno;
using seep::Registers;
using seep::leak_scan::ScanReply;

// The registers in the function that this is inlined into. That one has nothing else to do than to hand them on: so it
// has saved and used none of those that its caller expects back.
__attribute__((always_inline)) inline Registers registers_here() {
  Registers here{};
  seep::capture_registers(here);
  return here;
}

// A child of vfork runs in its parent's memory, and is not the process that is recorded.
bool is_recorded() {
  if (!seep::prepare_recording()) return false;
  (void)seep::notice_fork();
  return seep::is_own_process();
}

__attribute__((noinline)) ScanReply scan(const Registers& host, bool wait) {
  const KeepErrno keep_errno;
  // Where nothing was recorded yet, nothing is leaked, and there is a place to say so.
  if (!is_recorded() || !seep::open_region().valid()) return {};
  return seep::leak_scan::scan_on_request(host, seep::ScanTrigger::kRequest, wait);
}

__attribute__((noinline)) int begin_scan(const Registers& host) { return scan(host, false).done ? 0 : -1; }

__attribute__((noinline)) int check(const Registers& host, seep_leaks* leaks, size_t struct_bytes) {
  const ScanReply reply = scan(host, true);
  seep_leaks found{};
  if (reply.done) found = {reply.definite_blocks, reply.definite_bytes, seep::recording.options.exact() ? 1 : 0};
  if (leaks != nullptr) memcpy(leaks, &found, struct_bytes < sizeof found ? struct_bytes : sizeof found);
  return reply.done ? 0 : -1;
}

void disable() {
  uint16_t& depth = seep::thread_state.special.leak_check_disabled;
  if (depth != UINT16_MAX) ++depth;
}

void enable() {
  uint16_t& depth = seep::thread_state.special.leak_check_disabled;
  if (depth != 0) --depth;
}

bool ignore(const void* address) {
  const KeepErrno keep_errno;
  return is_recorded() && seep::recording.live.set_ignored(reinterpret_cast<uintptr_t>(address));
}

bool register_region(const void* start, size_t bytes) {
  const KeepErrno keep_errno;
  return is_recorded() && seep::leak_scan::root_regions.add(start, bytes);
}

bool unregister_region(const void* start, size_t bytes) {
  const KeepErrno keep_errno;
  return is_recorded() && seep::leak_scan::root_regions.remove(start, bytes);
}

// ---- LeakSanitizer's.

constinit seep::SanitizerCall<void (*)()> sanitizers_disable("__lsan_disable"), sanitizers_enable("__lsan_enable"),
    sanitizers_check("__lsan_do_leak_check");
constinit seep::SanitizerCall<int (*)()> sanitizers_recoverable_check("__lsan_do_recoverable_leak_check");
constinit seep::SanitizerCall<void (*)(const void*)> sanitizers_ignore("__lsan_ignore_object");
constinit seep::SanitizerCall<void (*)(const void*, size_t)> sanitizers_register("__lsan_register_root_region"),
    sanitizers_unregister("__lsan_unregister_root_region");

// Whose only check this is. Not that of a fork's child.
constinit std::atomic<uint32_t> checked_pid{0};

__attribute__((noinline)) void check_once(const Registers& host) {
  if (const auto function = sanitizers_check.function()) return function();
  const KeepErrno keep_errno;
  if (!is_recorded() || checked_pid.exchange(seep::recording.pid) == seep::recording.pid) return;
  if (!seep::leak_scan::is_turned_off()) (void)scan(host, true);
  seep::leak_scan::forgo_scan_at_exit();
}

__attribute__((noinline)) int check_again(const Registers& host) {
  if (const auto function = sanitizers_recoverable_check.function()) return function();
  const KeepErrno keep_errno;
  if (seep::leak_scan::is_turned_off()) return 0;
  const ScanReply reply = scan(host, true);
  return reply.done && reply.definite_blocks != 0 ? 1 : 0;
}

}  // namespace

SEEP_API int seep_api_is_active() {
  const KeepErrno keep_errno;
  return is_recorded() ? 1 : 0;
}

SEEP_API int seep_api_scan() {
  const Registers host = registers_here();
  return begin_scan(host);
}

SEEP_API int seep_api_check_leaks(seep_leaks* leaks, size_t struct_bytes) {
  const Registers host = registers_here();
  return check(host, leaks, struct_bytes);
}

SEEP_API int seep_api_snapshot() {
  const KeepErrno keep_errno;
  return is_recorded() && seep::take_snapshot() ? 0 : -1;
}

SEEP_API void seep_api_disable() { disable(); }
SEEP_API void seep_api_enable() { enable(); }

SEEP_API int seep_api_ignore(const void* address) { return ignore(address) ? 0 : -1; }

SEEP_API int seep_api_register_root_region(const void* start, size_t bytes) {
  return register_region(start, bytes) ? 0 : -1;
}

SEEP_API int seep_api_unregister_root_region(const void* start, size_t bytes) {
  return unregister_region(start, bytes) ? 0 : -1;
}

SEEP_API void __lsan_disable() {
  if (const auto function = sanitizers_disable.function()) return function();
  disable();
}

SEEP_API void __lsan_enable() {
  if (const auto function = sanitizers_enable.function()) return function();
  enable();
}

SEEP_API void __lsan_ignore_object(const void* address) {
  if (const auto function = sanitizers_ignore.function()) return function(address);
  ignore(address);
}

SEEP_API void __lsan_register_root_region(const void* start, size_t bytes) {
  if (const auto function = sanitizers_register.function()) return function(start, bytes);
  register_region(start, bytes);
}

SEEP_API void __lsan_unregister_root_region(const void* start, size_t bytes) {
  if (const auto function = sanitizers_unregister.function()) return function(start, bytes);
  unregister_region(start, bytes);
}

SEEP_API void __lsan_do_leak_check() {
  const Registers host = registers_here();
  check_once(host);
}

SEEP_API int __lsan_do_recoverable_leak_check() {
  const Registers host = registers_here();
  return check_again(host);
}
