// SPDX-License-Identifier: Apache-2.0
//
// The leak scan: all threads stand still, every pointer is searched, and each trace of the recording gets the verdicts
// of its blocks (record/region.h, ScanState), which the next snapshot writes.
//
//     stop_threads ─ live table ─ roots.collect ─ (copy of the process) ─ block_index ─ roots.find_touched ─ mark ─
//     region
//
// At exit all is done in place, and the threads stand still until the last snapshot is written, so that what it says of
// live blocks adds up. On request everything after `collect` is done in a copy of the process (process_copy.h), and the
// threads go on at once; where no copy can be had, in place.
//
// Runs inside the host, any thread, signal handlers, on a stack of its own; one scan at a time, others are refused.
// Must never write to the program's memory, leave a thread stopped, or take longer than its limit.
#pragma once

#include <cstdint>

#include "processor/processor.h"
#include "record/region.h"

namespace seep::leak_scan {

struct ScanReply {
  bool done;                                 // There are verdicts.
  ScanFailure why;                           // If not; kNone: there was nothing to scan, or another scan is under way.
  uint64_t definite_blocks, definite_bytes;  // In all; sampled: of samples.
};

// On request; calls functions of the program, unless it was by a signal. `host`: the registers of the function of ours
// that the host called; the stack of its caller is the host's. `wait`: for the verdicts, which a copy finds while other
// threads go on; else the reply says only whether the scan was begun.
ScanReply scan_on_request(const Registers& host, ScanTrigger trigger, bool wait) noexcept;

// Where the host came to its end: the registers of our function, and how many frames of libc's stand between that and
// the host's own code. They are passed over: what they left uninitialized may still show a pointer of long ago.
struct HostExit {
  Registers registers;
  unsigned libc_frames;
};

// Whether there is to be one at the end: the option and the program say so. Calls functions of the program.
[[nodiscard]] bool wants_scan_at_exit() noexcept;

// At the end of the process. From here to let_go() no other thread runs. let_go: false where threads had gone on
// before, and what stood in the recording for verdicts does no more.
// `blocked_by_host`: signals, in the calling thread, which has blocked all by now.
void scan_at_exit(const HostExit& host, uint64_t blocked_by_host) noexcept;
[[nodiscard]] bool let_go() noexcept;
// The program has had its check, and wants none at its end.
void forgo_scan_at_exit() noexcept;

// A copy that has finished is taken off the kernel's list of processes, and if it was killed, that is said in the
// recording: now and then; before the last snapshot, which waits for it; before an exec, which does not.
bool look_after_copy() noexcept;  // True: there may be news for a snapshot.
void wait_for_copy(uint64_t until_ns) noexcept;
void end_copy() noexcept;

}  // namespace seep::leak_scan
