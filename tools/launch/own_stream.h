// SPDX-License-Identifier: Apache-2.0
// What `seep run` itself writes into a recording: the stub of a program that could not be observed, and the end of one
// that could not say it any more.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launch/child.h"
#include "seep.pb.h"

namespace seep {

struct StubFacts {
  std::string directory;
  pid_t pid = 0;
  std::string executable;  // Absolute.
  std::vector<std::string> command;
  uint64_t sample_bytes = 0;
  uint64_t started_unix_ns = 0;
  uint64_t started_monotonic_ns = 0;
  proto::NotObserved not_observed;
};

// A stream of a Header and an End. Throws an Error where it cannot be written.
void write_stub(const StubFacts& facts, const ChildEnd& end);

struct ProcessKey {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // 0: unknown.
};

// Puts an End to the stream of the process's last image, where it lacks one. What that stream says about not being
// observed is returned.
std::optional<proto::NotObserved> finish_stream(const std::string& directory, const ProcessKey& process,
                                                const ChildEnd& end);

// Programs that replaced others by exec, and into which libseep.so was not loaded: each gets a stub, so that it is told
// as not observed. `announcements`: how many images of each process were loaded with it; one that was may have recorded
// nothing.
void write_stubs_of_unseen_successors(const std::string& directory, const std::map<pid_t, size_t>& announcements);

uint64_t clock_ns(clockid_t clock);

}  // namespace seep
