// SPDX-License-Identifier: Apache-2.0
// Opening and reading a stream's file, and the refusals.
#include "recording/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace seep {
namespace {

// Why an open file is not to be read, or nothing.
std::string refusal(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "is a directory";
  if (!S_ISREG(status.st_mode)) return "is not a regular file";
  const uid_t user = geteuid();
  if (user != 0 && status.st_uid != user) return "belongs to another user";
  if (status.st_size == 0) return "is empty";
  return {};
}

}  // namespace

size_t MemorySource::read_at(uint64_t offset, std::span<uint8_t> into) {
  if (offset >= bytes_.size()) return 0;
  const size_t count = std::min(into.size(), bytes_.size() - static_cast<size_t>(offset));
  std::memcpy(into.data(), bytes_.data() + offset, count);
  return count;
}

FileSource::FileSource(const std::string& path, Access access)
    // O_NONBLOCK: a pipe in place of the file must not hang the reader.
    : path_(path),
      fd_(open(path.c_str(), (access == Access::kRead ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) {
  if (fd_ < 0) {
    const int cause = errno;
    throw Error(ExitCode::kUnreadable, path, cause == ELOOP ? "is a symbolic link" : std::strerror(cause));
  }
  const std::string reason = fstat(fd_, &status_) != 0 ? std::strerror(errno) : refusal(status_);
  if (!reason.empty()) {
    close(fd_);
    throw Error(ExitCode::kUnreadable, path, reason);
  }
}

FileSource::~FileSource() { close(fd_); }

size_t FileSource::read_at(uint64_t offset, std::span<uint8_t> into) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw Error(ExitCode::kUnreadable, path_, offset + done, std::strerror(errno));
    }
    done += static_cast<size_t>(count);
  }
  return done;
}

}  // namespace seep
