// SPDX-License-Identifier: Apache-2.0
// Opening the directory of a stream, step by step.
#include "recovery/stream_place.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace seep {
namespace {

constexpr int kDirectoryFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;

// Inside `root`, whatever links there are; -1 with errno.
int open_inside(int root, const std::string& directory) {
  open_how how{};
  how.flags = kDirectoryFlags;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, root, directory.c_str(), &how, sizeof how));
}

[[noreturn]] void refuse(const std::string& path, int cause) {
  throw Error(ExitCode::kUnreadable, path, std::strerror(cause));
}

}  // namespace

StreamPlace::StreamPlace(const std::string& root, const std::string& path, Missing missing_directory) : root_(root) {
  const size_t slash = path.rfind('/');
  if (!path.starts_with('/') || slash + 1 == path.size()) refuse(path, EINVAL);
  directory_ = path.substr(0, slash);
  name_ = path.substr(slash + 1);
  if (name_ == "." || name_ == "..") refuse(path, EINVAL);
  int inside = -1;
  if (!root.empty() && (inside = open(root.c_str(), kDirectoryFlags)) < 0) refuse(root, errno);
  fd_ = open_directory(inside, directory_.empty() ? "/" : directory_, missing_directory);
  const int cause = errno;
  if (inside >= 0) close(inside);
  if (fd_ < 0) refuse(directory_, cause);
}

StreamPlace::~StreamPlace() { close(fd_); }

std::string StreamPlace::root() const { return "/proc/self/fd/" + std::to_string(fd_); }

// -1 with errno. Missing ones are made as mkdir -p would: the stream itself is private.
int StreamPlace::open_directory(int root, const std::string& directory, Missing missing) const {
  const int fd = root < 0 ? open(directory.c_str(), kDirectoryFlags) : open_inside(root, directory);
  if (fd >= 0 || errno != ENOENT || missing == Missing::kIsAnError) return fd;
  const size_t slash = directory.rfind('/');
  if (slash == std::string::npos || directory == "/") return -1;
  const int parent = open_directory(root, slash == 0 ? "/" : directory.substr(0, slash), missing);
  if (parent < 0) return -1;
  const std::string name = directory.substr(slash + 1);
  const bool made = name.empty() || mkdirat(parent, name.c_str(), 0777) == 0 || errno == EEXIST;
  const int cause = errno;
  close(parent);
  errno = cause;
  if (!made) return -1;
  return root < 0 ? open(directory.c_str(), kDirectoryFlags) : open_inside(root, directory);
}

}  // namespace seep
