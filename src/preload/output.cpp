// SPDX-License-Identifier: Apache-2.0
//
// The stream file; see output.h.
#include "preload/output.h"

#include <cerrno>
#include <cstring>

#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr unsigned kMostSuffixes = 10'000;

const char* last_component(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

// Makes the directories on the way to `path`'s last component.
void make_directories(char* path) {
  for (char* at = path + 1; *at != '\0'; ++at) {
    if (*at != '/') continue;
    *at = '\0';
    sys::make_directory(path, 0777);  // As mkdir -p would, under the host's umask; the stream itself is private.
    *at = '/';
  }
}

long make_private_file(const char* path) {
  return sys::open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

}  // namespace

bool expand_name(const char* pattern, const NameFacts& facts, char* name, size_t name_bytes) noexcept {
  TextBuilder text(name, name_bytes);
  for (const char* at = pattern; *at != '\0'; ++at) {
    if (*at != '%') {
      text.add_character(*at);
      continue;
    }
    switch (*++at) {
      case 'e': text.add(last_component(facts.executable)); break;
      case 'p': text.add_number(facts.pid); break;
      case 'h': text.add(facts.host); break;
      case 't': text.add_number(facts.unix_s); break;
      case 'n': text.add_number(facts.counter); break;
      case '%': text.add_character('%'); break;
      case '\0': return false;
      default: text.add_character('%'); text.add_character(*at);
    }
  }
  return text.complete() && name[0] != '\0';
}

void make_absolute(char* path, size_t path_bytes) noexcept {
  if (path[0] == '/') return;
  char directory[2048];
  const long length = system_call(SYS_getcwd, sys::as_long(directory), sizeof directory);
  if (length <= 1 || directory[0] != '/') return;
  const size_t directory_bytes = static_cast<size_t>(length) - 1;
  const size_t bytes = strlen(path) + 1;
  if (directory_bytes + 1 + bytes > path_bytes) return;
  memmove(path + directory_bytes + 1, path, bytes);
  memcpy(path, directory, directory_bytes);
  path[directory_bytes] = '/';
}

bool StreamFile::create(char* path, size_t path_bytes) noexcept {
  const size_t bytes = strlen(path);
  const char* dot = strrchr(last_component(path), '.');
  const size_t stem_bytes = dot == nullptr ? bytes : static_cast<size_t>(dot - path);
  char extension[32] = "";
  if (dot != nullptr && bytes - stem_bytes < sizeof extension) memcpy(extension, dot, bytes - stem_bytes + 1);
  fd_ = make_private_file(path);
  if (fd_ == -ENOENT) {
    make_directories(path);
    fd_ = make_private_file(path);
  }
  for (unsigned suffix = 2; fd_ == -EEXIST && suffix < kMostSuffixes; ++suffix) {
    TextBuilder text(path + stem_bytes, path_bytes - stem_bytes);
    text.add_character('.');
    text.add_number(suffix);
    text.add(extension);
    if (!text.complete()) return false;
    fd_ = make_private_file(path);
  }
  struct stat status {};
  if (sys::failed(fd_) || sys::failed(sys::status_fd(fd_, &status))) return false;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  made_ = true;
  return true;
}

bool StreamFile::open(const char* path) noexcept {
  fd_ = sys::open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
  struct stat status {};
  if (sys::failed(fd_)) return false;
  if (!sys::failed(sys::status_fd(fd_, &status)) && status.st_dev == device_ && status.st_ino == inode_) return true;
  close();
  return false;
}

bool StreamFile::append(const void* data, size_t bytes) noexcept { return sys::write_all(fd_, data, bytes); }

void StreamFile::close() noexcept {
  if (fd_ >= 0) sys::close(fd_);
  fd_ = -1;
}

}  // namespace seep
