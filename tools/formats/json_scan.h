// SPDX-License-Identifier: Apache-2.0
// A leak scan in the JSON report. Pure.
//
//   number                    from 1, of its process image
//   trigger                   exit, request (by the program), signal; unknown
//   time_ns                   since the process's start
//   failure                   why there are no verdicts: threads_ran_on, out_of_time, no_memory, no_maps, copy_died,
//                             unknown; null: there are
//   stop                      how the other threads were stopped: ptrace, signal, alone (there were none), none
//   stopped_threads, missed_threads
//   in_copy                   the search was done in a copy of the process
//   pause_ns, duration_ns     how long the threads stood still, and from the request to the verdicts
//   searched_bytes            for pointers
// What the picture lacks. Blocks may be called leaked that only this leads to:
//   unread_bytes, epoll_unread, timers_unread
// and blocks that are leaked may be called reachable:
//   heap_as_roots, unknown_stacks, overlapping_blocks
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "seep.pb.h"

namespace seep {

// Null where there is none.
nlohmann::ordered_json scan_json(const std::optional<proto::Scan>& scan);

}  // namespace seep
