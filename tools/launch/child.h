// SPDX-License-Identifier: Apache-2.0
// The program that is run: started, signalled, waited for.
//
// It stays in our process group and keeps our standard streams. Between construction and execute() it exists as a fork
// that waits, so that its pid is known before it runs. One child at a time; the caller has one thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace seep {

struct ChildEnd {
  bool signalled = false;
  int exit_status = 0;      // Unless signalled.
  int signal = 0;           // If signalled.
  bool oom_killed = false;  // By SIGKILL, and the kernel counted an OOM kill meanwhile.

  // As a shell says it: 128+N for signal N.
  int status() const { return signalled ? 128 + signal : exit_status; }
};

class Child {
 public:
  // Forks. From here on SIGINT, SIGTERM, SIGHUP and SIGQUIT are taken by wait().
  Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();  // One that was never executed is gone without a trace.

  pid_t pid() const { return pid_; }
  uint64_t start_ticks() const { return start_ticks_; }  // Field 22 of its /proc/PID/stat; 0 where unreadable.

  // Executes `path`. Throws an Error (kNotFound, kNotExecutable) where the kernel refuses; the child is gone then.
  void execute(const std::string& path, const std::vector<std::string>& command,
               const std::vector<std::pair<std::string, std::string>>& environment);

  // Forwards signals until the child ends. Meanwhile calls `tick` so often, or less often where that takes long.
  ChildEnd wait(std::chrono::nanoseconds interval, const std::function<void()>& tick);
  ChildEnd wait();

 private:
  [[noreturn]] void run_in_child();
  void reap();
  void forward(const siginfo_t& signal) const;

  std::optional<ChildEnd> ended();

  pid_t pid_ = -1;
  uint64_t start_ticks_ = 0;
  bool reaped_ = false;
  int request_[2];  // To the child: what to execute.
  int answer_[2];   // From the child: the errno of a failed execve; closed by a good one.
  sigset_t taken_signals_;
  sigset_t original_mask_;
  struct sigaction original_child_action_;
};

}  // namespace seep
