// SPDX-License-Identifier: Apache-2.0
// The program that is run: started, signalled, waited for.
//
// It stays in our process group and keeps our standard streams. Between construction and execute() it exists as a fork
// that waits, so that its pid is known before it runs. One child at a time; the caller has one thread.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace seep {

struct ChildEnd {
  bool signalled = false;
  int exit_status = 0;  // Unless signalled.
  int signal = 0;       // If signalled.

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

  // Executes `path`. Throws an Error (kNotFound, kNotExecutable) where the kernel refuses; the child is gone then.
  void execute(const std::string& path, const std::vector<std::string>& command,
               const std::vector<std::pair<std::string, std::string>>& environment);

  // Forwards signals until the child ends.
  ChildEnd wait();

 private:
  [[noreturn]] void run_in_child();
  void reap();
  void forward(const siginfo_t& signal) const;

  pid_t pid_ = -1;
  bool reaped_ = false;
  int request_[2];  // To the child: what to execute.
  int answer_[2];   // From the child: the errno of a failed execve; closed by a good one.
  sigset_t taken_signals_;
  sigset_t original_mask_;
  struct sigaction original_child_action_;
};

}  // namespace seep
