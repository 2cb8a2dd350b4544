// SPDX-License-Identifier: Apache-2.0
// One line on stderr that says how far long work is: only on a terminal, only after a second, and gone at the end.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace seep {

class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  void show(size_t done, size_t all);

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point next_;
};

}  // namespace seep
