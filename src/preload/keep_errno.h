// SPDX-License-Identifier: Apache-2.0
//
// errno as the host had it: it must not see that we were here. Runs inside the host, any thread, signal handlers.
#pragma once

#include <cerrno>

namespace seep {

class KeepErrno {
 public:
  KeepErrno() noexcept : saved_(errno) {}
  ~KeepErrno() { errno = saved_; }
  KeepErrno(const KeepErrno&) = delete;
  KeepErrno& operator=(const KeepErrno&) = delete;

 private:
  const int saved_;
};

}  // namespace seep
