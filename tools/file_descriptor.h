// SPDX-License-Identifier: Apache-2.0
// An open file that is closed with its owner, and writing to one. Any thread.
#pragma once

#include <string_view>

namespace seep {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  // Somebody else's from now on.
  int release();

 private:
  int fd_;
};

// All bytes, also where a signal or the file itself takes only some at once. False: not all, and errno says why.
[[nodiscard]] bool write_all(int fd, std::string_view bytes);

}  // namespace seep
