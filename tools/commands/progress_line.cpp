// SPDX-License-Identifier: Apache-2.0
// Progress on a terminal.
#include "commands/progress_line.h"

#include <unistd.h>

#include <cstdio>

namespace seep {

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0), next_(Clock::now() + std::chrono::seconds(1)) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(size_t done, size_t all) {
  if (!terminal_ || Clock::now() < next_) return;
  next_ = Clock::now() + std::chrono::milliseconds(100);
  shown_ = true;
  std::fprintf(stderr, "\r\033[K%s: %zu of %zu (%zu %%)", what_.c_str(), done, all, all == 0 ? 0 : 100 * done / all);
  std::fflush(stderr);
}

}  // namespace seep
