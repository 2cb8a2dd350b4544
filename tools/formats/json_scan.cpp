// SPDX-License-Identifier: Apache-2.0
// A leak scan in words and numbers.
#include "formats/json_scan.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

const char* word(proto::Scan::Trigger trigger) {
  switch (trigger) {
    case proto::Scan::EXIT: return "exit";
    case proto::Scan::REQUEST: return "request";
    case proto::Scan::SIGNAL: return "signal";
    default: return "unknown";
  }
}

const char* word(proto::Scan::Stop stop) {
  switch (stop) {
    case proto::Scan::ALONE: return "alone";
    case proto::Scan::BY_PTRACE: return "ptrace";
    case proto::Scan::BY_SIGNAL: return "signal";
    default: return "none";
  }
}

ordered_json failure_json(proto::Scan::Failure failure) {
  switch (failure) {
    case proto::Scan::NONE: return {};
    case proto::Scan::THREADS_RAN_ON: return "threads_ran_on";
    case proto::Scan::OUT_OF_TIME: return "out_of_time";
    case proto::Scan::NO_MEMORY: return "no_memory";
    case proto::Scan::NO_MAPS: return "no_maps";
    case proto::Scan::COPY_DIED: return "copy_died";
    default: return "unknown";
  }
}

}  // namespace

nlohmann::ordered_json scan_json(const std::optional<proto::Scan>& scan) {
  ordered_json object;
  if (!scan) return object;
  object["number"] = scan->number();
  object["trigger"] = word(scan->trigger());
  object["time_ns"] = scan->time_ns();
  object["failure"] = failure_json(scan->failure());
  object["stop"] = word(scan->stop());
  object["stopped_threads"] = scan->stopped_threads();
  object["missed_threads"] = scan->missed_threads();
  object["in_copy"] = scan->in_copy();
  object["pause_ns"] = scan->pause_ns();
  object["duration_ns"] = scan->duration_ns();
  object["searched_bytes"] = scan->searched_bytes();
  object["unread_bytes"] = scan->unread_bytes();
  object["epoll_unread"] = scan->epoll_unread();
  object["timers_unread"] = scan->timers_unread();
  object["heap_as_roots"] = scan->heap_as_roots();
  object["unknown_stacks"] = scan->unknown_stacks();
  object["overlapping_blocks"] = scan->overlapping_blocks();
  return object;
}

}  // namespace seep
