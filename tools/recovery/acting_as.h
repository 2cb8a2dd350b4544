// SPDX-License-Identifier: Apache-2.0
// File work for somebody else: when root reads another user's region, what it does with his files it does as he would,
// so that a region cannot make it write where its owner could not. Changes the credentials of the whole process for as
// long as an object lives: one at a time, one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "record/region.h"

namespace seep {

class ActingAs {
 public:
  // Does nothing unless we are root and he is not. Throws an Error where it cannot be done.
  ActingAs(uid_t user, gid_t group);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  bool changed_ = false;
  gid_t own_group_ = 0;
  std::vector<gid_t> own_groups_;
};

// Whether a recording's stream lies in this directory, and that is ours: then it is written with our own rights, since
// the process may have given up those that it began with. An empty path is no directory.
bool is_own_directory(const std::string& directory, const Identity& identity);

}  // namespace seep
