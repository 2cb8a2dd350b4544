// SPDX-License-Identifier: Apache-2.0
// Where the stream reader gets its bytes: a file by pread (never mmap: somebody else's truncation would be a SIGBUS),
// or memory in tests. One thread a source.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace seep {

class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  // Copies what there is from `offset` on; fewer bytes than asked for only at the end.
  virtual size_t read_at(uint64_t offset, std::span<uint8_t> into) = 0;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  size_t read_at(uint64_t offset, std::span<uint8_t> into) override;

 private:
  std::vector<uint8_t> bytes_;
};

// A stream's file. Only a regular file that belongs to the same user is opened (to root: any), and no symbolic link is
// followed: a recording's directory may be writable by others.
class FileSource final : public ByteSource {
 public:
  enum class Access { kRead, kReadAndWrite };
  explicit FileSource(const std::string& path, Access access = Access::kRead);
  ~FileSource() override;
  size_t read_at(uint64_t offset, std::span<uint8_t> into) override;

  const std::string& path() const { return path_; }
  const struct stat& status() const { return status_; }  // When it was opened.
  int descriptor() const { return fd_; }

 private:
  std::string path_;
  int fd_;
  struct stat status_;
};

}  // namespace seep
