// SPDX-License-Identifier: Apache-2.0
// The commands there are.
#include "commands/command.h"

#include <array>

namespace seep {
namespace {

constexpr std::array<Command, 8> kCommands = {{
    {"run", "run a program under observation", run_command},
    {"report", "show what is leaked, or still live, in a recording", report_command},
    {"gate", "pass or fail a recording, for CI", gate_command},
    {"diff", "what is different between two recordings", diff_command},
    {"snapshot", "have a running process say what it holds now", snapshot_command},
    {"compress", "make recordings smaller, each in its place", compress_command},
    {"clean", "remove what dead processes left in shared memory", clean_command},
    {"preload", "print the path of libseep.so, for LD_PRELOAD", preload_command},
}};

}  // namespace

std::span<const Command> all_commands() { return kCommands; }

}  // namespace seep
