// SPDX-License-Identifier: Apache-2.0
// Starting a program from a fork that waits, and forwarding signals to it.
#include "launch/child.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "error.h"
#include "file_descriptor.h"
#include "launch/elf_facts.h"
#include "recording/process_liveness.h"

namespace seep {
namespace {

Error system_error(const char* what) {
  return Error(ExitCode::kNotExecutable, std::string(what) + ": " + std::strerror(errno));
}

bool read_all(int fd, void* into, size_t size) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t count = read(fd, at, size);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    at += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

// Strings over a pipe: a count, then each with its length. Both ends are the same program.
void append_strings(std::string& bytes, const std::vector<std::string>& strings) {
  const auto append_number = [&bytes](size_t number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  append_number(strings.size());
  for (const std::string& text : strings) {
    append_number(text.size());
    bytes += text;
  }
}

bool read_strings(int fd, std::vector<std::string>& strings) {
  size_t count = 0;
  if (!read_all(fd, &count, sizeof count)) return false;
  for (; count > 0; --count) {
    size_t size = 0;
    if (!read_all(fd, &size, sizeof size)) return false;
    std::string text(size, '\0');
    if (!read_all(fd, text.data(), size)) return false;
    strings.push_back(std::move(text));
  }
  return true;
}

std::vector<char*> argument_pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

timespec until(std::chrono::nanoseconds left) {
  const int64_t count = std::max<int64_t>(left.count(), 0);
  return {.tv_sec = count / 1'000'000'000, .tv_nsec = count % 1'000'000'000};
}

// Returns with errno set.
void replace_image(const std::string& path, std::vector<std::string> command) {
  execv(path.c_str(), argument_pointers(command).data());
  if (errno != ENOEXEC || elf_facts(path).is_elf) return;
  // A script without `#!` is the shell's, as every shell and execvp(3) have it.
  command[0] = path;
  command.insert(command.begin(), "sh");
  execv("/bin/sh", argument_pointers(command).data());
}

}  // namespace

Child::Child() {
  sigemptyset(&taken_signals_);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&taken_signals_, signal);
  sigprocmask(SIG_BLOCK, &taken_signals_, &original_mask_);
  // Ignored SIGCHLD would be inherited from whoever started us, and wait() would find no child.
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &by_default, &original_child_action_);
  if (pipe2(request_, O_CLOEXEC) != 0) throw system_error("no pipe");
  if (pipe2(answer_, O_CLOEXEC) != 0) throw system_error("no pipe");
  pid_ = fork();
  if (pid_ < 0) throw system_error("cannot fork");
  if (pid_ == 0) run_in_child();
  close(request_[0]);
  close(answer_[1]);
  start_ticks_ = start_ticks_of(static_cast<uint32_t>(pid_));
}

Child::~Child() {
  if (request_[1] >= 0) close(request_[1]);  // Tells one that still waits to go.
  close(answer_[0]);
  if (!reaped_) reap();
}

void Child::run_in_child() {
  close(request_[1]);
  close(answer_[0]);
  std::vector<std::string> path, command, environment;
  const bool asked =
      read_strings(request_[0], path) && read_strings(request_[0], command) && read_strings(request_[0], environment);
  if (!asked) _exit(0);
  for (const std::string& setting : environment) {
    const size_t equals = setting.find('=');
    setenv(setting.substr(0, equals).c_str(), setting.c_str() + equals + 1, 1);
  }
  sigaction(SIGCHLD, &original_child_action_, nullptr);
  sigprocmask(SIG_SETMASK, &original_mask_, nullptr);
  replace_image(path.front(), std::move(command));
  const int cause = errno;
  [[maybe_unused]] const ssize_t written = write(answer_[1], &cause, sizeof cause);
  _exit(127);
}

void Child::execute(const std::string& path, const std::vector<std::string>& command,
                    const std::vector<std::pair<std::string, std::string>>& environment) {
  std::vector<std::string> settings;
  for (const auto& [name, value] : environment) settings.push_back(name + "=" + value);
  std::string request;
  append_strings(request, {path});
  append_strings(request, command);
  append_strings(request, settings);
  (void)write_all(request_[1], request);  // Where the child is gone, waiting for it will tell.
  close(request_[1]);
  request_[1] = -1;
  int cause = 0;
  if (!read_all(answer_[0], &cause, sizeof cause)) return;
  reap();
  const bool missing = cause == ENOENT;
  throw Error(missing ? ExitCode::kNotFound : ExitCode::kNotExecutable, command.front(),
              missing ? "not found (or its interpreter)" : std::string("cannot be executed: ") + std::strerror(cause));
}

std::optional<ChildEnd> Child::ended() {
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended < 0 && errno != EINTR) throw system_error("cannot wait for the program");
  if (ended != pid_) return std::nullopt;
  reaped_ = true;
  if (WIFSIGNALED(status)) return ChildEnd{.signalled = true, .signal = WTERMSIG(status)};
  return ChildEnd{.exit_status = WEXITSTATUS(status)};
}

ChildEnd Child::wait() {
  return wait(std::chrono::hours(1), [] {});
}

ChildEnd Child::wait(std::chrono::nanoseconds interval, const std::function<void()>& tick) {
  using Clock = std::chrono::steady_clock;
  auto next_tick = Clock::now() + interval;
  while (true) {
    if (const std::optional<ChildEnd> end = ended()) return *end;
    const auto now = Clock::now();
    if (now >= next_tick) {
      tick();
      const auto after = Clock::now();
      // At most a fifth of a processor's time.
      next_tick = after + std::max<Clock::duration>(interval, 4 * (after - now));
    }
    const timespec timeout = until(next_tick - Clock::now());
    siginfo_t signal;
    if (sigtimedwait(&taken_signals_, &signal, &timeout) > 0) forward(signal);
  }
}

// The terminal signals its whole foreground group, in which the child is: it must not get that twice.
void Child::forward(const siginfo_t& signal) const {
  if (signal.si_signo == SIGCHLD || signal.si_code == SI_KERNEL) return;
  kill(pid_, signal.si_signo);
}

void Child::reap() {
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

}  // namespace seep
