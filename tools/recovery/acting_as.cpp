// SPDX-License-Identifier: Apache-2.0
// Effective user and groups, there and back.
#include "recovery/acting_as.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "error.h"

namespace seep {

ActingAs::ActingAs(uid_t user, gid_t group) : own_group_(getegid()) {
  if (geteuid() != 0 || user == 0) return;
  own_groups_.resize(static_cast<size_t>(getgroups(0, nullptr)));
  if (!own_groups_.empty()) getgroups(static_cast<int>(own_groups_.size()), own_groups_.data());
  if (setgroups(1, &group) == 0 && setegid(group) == 0 && seteuid(user) == 0) {
    changed_ = true;
    return;
  }
  const int cause = errno;
  [[maybe_unused]] int restored = setegid(own_group_);
  restored = setgroups(own_groups_.size(), own_groups_.data());
  throw Error(ExitCode::kUnreadable,
              "cannot act as user " + std::to_string(user) + ", to whom it belongs: " + std::strerror(cause));
}

ActingAs::~ActingAs() {
  if (!changed_) return;
  const bool restored =
      seteuid(0) == 0 && setegid(own_group_) == 0 && setgroups(own_groups_.size(), own_groups_.data()) == 0;
  if (!restored) std::abort();  // To go on as somebody else would be wrong whatever came next.
}

bool is_own_directory(const std::string& directory, const Identity& identity) {
  struct stat status;
  if (directory.empty() || stat(directory.c_str(), &status) != 0 || status.st_uid != geteuid()) return false;
  const std::filesystem::path stream = identity.stream_path;
  std::error_code failed;
  return stream.extension() == ".seep" && std::filesystem::equivalent(stream.parent_path(), directory, failed);
}

}  // namespace seep
