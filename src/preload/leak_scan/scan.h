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

// `host`: the registers at the entry of whatever function of ours the host called: what lies above that stack pointer
// is the host's.
//
// On request. `wait`: for the verdicts, which a copy finds while other threads go on; else the reply says only whether
// the scan was begun.
ScanReply scan_on_request(const Registers& host, ScanTrigger trigger, bool wait) noexcept;

// At the end of the process. From here to let_go() no other thread runs.
void scan_at_exit(const Registers& host) noexcept;
void let_go() noexcept;

// A copy that has finished is taken off the kernel's list of processes; called now and then.
void look_after_copy() noexcept;

// The program says that this memory may hold pointers, and takes that back: both exactly as it was said before. False:
// no room, or not known.
bool register_root_region(const void* start, size_t bytes) noexcept;
bool unregister_root_region(const void* start, size_t bytes) noexcept;

}  // namespace seep::leak_scan
