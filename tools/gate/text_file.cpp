// SPDX-License-Identifier: Apache-2.0
// Reading with a bound, and replacing by a rename.
#include "gate/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "error.h"
#include "file_descriptor.h"

namespace seep {
namespace {

Error file_error(const std::string& path, const char* what) {
  return Error(ExitCode::kUsage, path, std::string(what) + ": " + std::strerror(errno));
}

// As a new file would have it.
mode_t plain_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

// The file behind a symbolic link is replaced, not the link.
std::string resolved(const std::string& path) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

}  // namespace

std::string read_text_file(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) throw file_error(path, "cannot be read");
  std::string text;
  std::array<char, 1 << 16> buffer;
  while (true) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw file_error(path, "cannot be read");
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
    if (text.size() > kMostTextBytes) throw Error(ExitCode::kUsage, path, "is too large: more than 16 MiB");
  }
}

// Our own streams are not opened anew: where they are files, that would have another place in them.
void append_to_text_file(const std::string& path, const std::string& text) {
  const int own = path == "/dev/stdout" ? STDOUT_FILENO : path == "/dev/stderr" ? STDERR_FILENO : -1;
  const FileDescriptor file(own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 0)
                                     : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666));
  if (!file.is_open() || !write_all(file.get(), text)) throw file_error(path, "cannot be written");
}

void replace_text_file(const std::string& path, const std::string& text) {
  struct stat there = {};
  const bool exists = stat(path.c_str(), &there) == 0;
  if (exists && (!S_ISREG(there.st_mode) || path.starts_with("/dev/"))) return append_to_text_file(path, text);
  const std::string target = exists ? resolved(path) : path;
  std::string temporary = target + ".XXXXXX";
  const FileDescriptor file(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.is_open()) throw file_error(path, "cannot be written");
  const bool written = write_all(file.get(), text) &&
                       fchmod(file.get(), exists ? there.st_mode & 07777 : plain_mode()) == 0 &&
                       fsync(file.get()) == 0 && rename(temporary.c_str(), target.c_str()) == 0;
  if (written) return;
  const Error error = file_error(path, "cannot be written");
  unlink(temporary.c_str());
  throw error;
}

}  // namespace seep
