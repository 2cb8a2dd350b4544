// SPDX-License-Identifier: Apache-2.0
//
// What a filter does to a system call, beside the kernel's own judgement: the same filter is installed in a child that
// then makes the call, and lives or is killed.
#include "preload/seccomp_filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "processor/processor.h"

namespace seep {
namespace {

using Filter = std::vector<sock_filter>;

constexpr sock_filter kLoadNumber = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
constexpr sock_filter kKill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

bool passes(const Filter& filter, unsigned number) {
  return filter_lets_pass(filter.data(), static_cast<unsigned>(filter.size()), number);
}

// Whether a child lives through this call under this filter. getuid and getgid have no arguments and no effect.
bool lives(Filter filter, long number) {
  const pid_t child = fork();
  if (child == 0) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      _exit(99);
    }
    kernel_call(number, 0, 0, 0, 0, 0, 0);
    kernel_call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 99) << "the filter was not accepted";
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// In each of them exit_group passes.
std::vector<Filter> filters() {
  const sock_filter only_ours = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kAuditArchitecture, 1, 0);
  return {
      {kAllow},
      // A list of what is allowed, behind a look at the architecture, as libseccomp writes it.
      {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)), only_ours, kKill, kLoadNumber,
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 2, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
       kKill, kAllow},
      // A binary search.
      {kLoadNumber, BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_getgid, 0, 3),
       BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_getgid, 1, 0), kKill, kAllow, kAllow},
      // An error instead of death.
      {kLoadNumber, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1), kAllow},
      // Arithmetic, memory and the index register: number * 2 - number == getgid?
      {kLoadNumber, BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2), BPF_STMT(BPF_LDX | BPF_MEM, 3),
       BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getgid, 0, 1), kKill, kAllow},
      // Bits, a jump over code, the accumulator as the result.
      {kLoadNumber, BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x400, 0, 1), kKill, BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
       kKill, BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0)},
  };
}

TEST(SeccompFilter, SaysWhatTheKernelDoes) {
  for (const Filter& filter : filters()) {
    for (const long number : {SYS_getuid, SYS_getgid}) {
      EXPECT_EQ(passes(filter, static_cast<unsigned>(number)), lives(filter, number))
          << "filter of " << filter.size() << " instructions, system call " << number;
    }
  }
}

TEST(SeccompFilter, WhatDependsOnArgumentsDoesNotPass) {
  const Filter filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
                         BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1), kKill, kAllow};
  EXPECT_FALSE(passes(filter, SYS_getuid));
}

TEST(SeccompFilter, TrapsAndTracersDoNotPass) {
  for (const uint32_t action : {SECCOMP_RET_TRAP, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_KILL_THREAD}) {
    EXPECT_FALSE(passes({BPF_STMT(BPF_RET | BPF_K, action)}, SYS_getuid)) << action;
  }
}

TEST(SeccompFilter, WhatIsNoProgramPassesNothingAndEnds) {
  EXPECT_FALSE(passes({}, 0));
  EXPECT_FALSE(passes({kLoadNumber}, 0));                                           // No return.
  EXPECT_FALSE(passes({BPF_JUMP(BPF_JMP | BPF_JA, 0xFFFFFFFF, 0, 0), kAllow}, 0));  // Jumps out.
  EXPECT_FALSE(passes({BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), kAllow}, 0));
  EXPECT_FALSE(passes({BPF_STMT(BPF_ST, BPF_MEMWORDS), kAllow}, 0));
  EXPECT_FALSE(passes({BPF_STMT(BPF_LD | BPF_MEM, BPF_MEMWORDS), kAllow}, 0));
}

TEST(SeccompFilter, DeniesAllThatDoesNotPass) {
  const Filter filter = filters()[1];
  const SystemGate::Denied denied = denied_by_filter(filter.data(), static_cast<unsigned>(filter.size()));
  SystemGate gate;
  EXPECT_FALSE(gate.denies(SYS_getgid));
  gate.close(denied);
  EXPECT_FALSE(gate.denies(SYS_getuid));
  EXPECT_FALSE(gate.denies(SYS_exit_group));
  EXPECT_TRUE(gate.denies(SYS_getgid));
  EXPECT_TRUE(gate.denies(100'000)) << "a number that no filter was asked for";
  gate.open_to({});
  EXPECT_FALSE(gate.denies(SYS_getgid));
}

}  // namespace
}  // namespace seep
