// SPDX-License-Identifier: Apache-2.0
//
// When the stream is written: each interval, by a thread that happens to be on the slow path; before exec; at the end.
// Unless somebody outside has just done so (RegionHeader::last_snapshot_ns). One thread at a time
// (RegionHeader::snapshot_owner), the others go on. It runs on a stack of seep's own with all
// signals blocked, so that it may be called from a thread with 16 KiB of stack or from a handler on an alternate one.
// Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/leak_scan/scan.h"
#include "record/snapshot_encoder.h"
#include "record/system_gate.h"

namespace seep {

// Takes one if the interval is over and nobody else is at it. From the slow path, every now and then.
void maybe_snapshot() noexcept;

// The last one, with how it ended; from then on nobody takes another. If the stream holds all, the region is closed,
// and its file removed unless `keep_file`. Waits a bounded time for a thread that is taking one. False where there was
// nothing to do, or it could not be done: nothing to recording, another's recording, already ended.
// `host`: not null where the host ends itself, and the leak scan at exit may come before it (see leak_scan/scan.h).
bool final_snapshot(SnapshotKind kind, const EndFacts& end, bool keep_file,
                    const leak_scan::HostExit* host = nullptr) noexcept;

// One now, because somebody asks. Waits a bounded time for another thread that is taking one. False: nothing is
// recorded yet, it has ended, or it could not be written whole.
bool take_snapshot() noexcept;

// After a final_snapshot() that returned true: it was not the last, because the exec has failed.
void go_on_after_failed_exec() noexcept;

// The host is about to put itself into a sandbox that lets these system calls not pass: from here on they are not made.
// Where they are needed for the region or the stream, a snapshot is taken and some room before. `all_threads`: the
// sandbox is for threads, too, that may be inside a system call of ours now.
void close_gate(const SystemGate::Denied& denied, bool all_threads) noexcept;

// In the child of a fork, before it has taken on its own pid: the stream is the parent's, but the directory is for
// both.
void leave_parents_stream() noexcept;

// The name that the stream gets, but for a suffix against names in use.
[[nodiscard]] bool expand_stream_path(char* path, size_t path_bytes) noexcept;

}  // namespace seep
