// SPDX-License-Identifier: Apache-2.0
//
// The stream's file; see stream_file.h.
#include "record/stream_file.h"

#include <cerrno>
#include <cstring>

#include "record/message_frame.h"
#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr unsigned kMostSuffixes = 10'000;
constexpr size_t kFullPathBytes = sizeof(Identity::stream_path) + 64;

// `root` and `path` one after the other; false where they do not fit.
bool join(const char* root, const char* path, char (&full)[kFullPathBytes]) {
  TextBuilder text(full, sizeof full);
  text.add(root);
  text.add(path);
  return text.complete();
}

// As mkdir -p would: under the host's umask, but for what would keep ourselves out.
void make_usable_directory(const char* path) {
  if (sys::failed(sys::make_directory(path, 0777))) return;
  struct stat status {};
  const bool known = !sys::failed(sys::status(path, &status));
  if (known && (status.st_mode & 0700) != 0700) {
    system_call(SYS_fchmodat, AT_FDCWD, sys::as_long(path), static_cast<long>((status.st_mode & 07777) | 0700));
  }
}

// Makes the directories on the way to the last component, from `first` on.
void make_directories(char* full, size_t first) {
  for (char* at = full + first + 1; *at != '\0'; ++at) {
    if (*at != '/') continue;
    *at = '\0';
    make_usable_directory(full);
    *at = '/';
  }
}

constexpr size_t kNoDirectories = ~size_t{0};

// `base_bytes`: of `path`, what must be there; directories behind it are made where they are missing.
long make_private_file(const char* root, const char* path, size_t base_bytes) {
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW;
  char full[kFullPathBytes];
  if (!join(root, path, full)) return -ENAMETOOLONG;
  if (base_bytes != kNoDirectories) make_directories(full, strlen(root) + base_bytes);
  return sys::make_private(full, kFlags);
}

}  // namespace

bool StreamFile::open_any(const char* root, const char* path) noexcept {
  char full[kFullPathBytes];
  if (!join(root, path, full)) return false;
  fd_ = sys::open(full, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
  return !sys::failed(fd_) && look();
}

bool StreamFile::open(const char* root, const char* path, StreamState& state,
                      const uint8_t (&recording_id)[16]) noexcept {
  if (state.now.inode == 0 || !open_any(root, path)) return false;
  if (device_ == state.device && inode_ == state.replacement.inode) state.now = state.replacement;
  state.replacement = {};
  if (device_ == state.device && inode_ == state.now.inode && is_of(recording_id)) return true;
  close();
  return false;
}

// The recording's id is the second field of the Header, which is the first message.
bool StreamFile::is_of(const uint8_t (&recording_id)[16]) const noexcept {
  uint8_t start[64];
  if (bytes_ == 0) return true;
  const long got = sys::read_at(fd_, start, sizeof start, 0);
  return got > 0 && memmem(start, static_cast<size_t>(got), recording_id, sizeof recording_id) != nullptr;
}

uint64_t StreamFile::whole_bytes(uint64_t& next_sequence) const noexcept {
  uint64_t at = 0;
  for (next_sequence = 0;; ++next_sequence) {
    uint8_t length_bytes[kMaxVarintBytes];
    const long got = sys::read_at(fd_, length_bytes, sizeof length_bytes, at);
    const uint8_t* behind = length_bytes;
    uint64_t length;
    if (got <= 0 || !read_varint(behind, length_bytes + got, length)) return at;
    const uint64_t content = at + static_cast<uint64_t>(behind - length_bytes);
    if (length == 0 || content > bytes_ || length > bytes_ - content) return at;
    at = content + length;
  }
}

bool StreamFile::adopt_empty(const char* root, const char* path, StreamState& state) noexcept {
  if (!open_any(root, path)) return false;
  if (bytes_ == 0) {
    state = {device_, {inode_, 0, 0, 0}, 0, {}};
    return true;
  }
  close();
  return false;
}

bool StreamFile::create(const char* root, char* path, size_t path_bytes, uint64_t base_bytes,
                        StreamState& state) noexcept {
  const size_t bytes = strlen(path);
  const char* slash = strrchr(path, '/');
  const char* dot = strrchr(slash == nullptr ? path : slash, '.');
  const size_t stem_bytes = dot == nullptr ? bytes : static_cast<size_t>(dot - path);
  char extension[32] = "";
  if (dot != nullptr && bytes - stem_bytes < sizeof extension) memcpy(extension, dot, bytes - stem_bytes + 1);
  fd_ = make_private_file(root, path, kNoDirectories);
  if (fd_ == -ENOENT && base_bytes < bytes) fd_ = make_private_file(root, path, static_cast<size_t>(base_bytes));
  for (unsigned suffix = 2; fd_ == -EEXIST && suffix < kMostSuffixes; ++suffix) {
    TextBuilder text(path + stem_bytes, path_bytes - stem_bytes);
    text.add_character('.');
    text.add_number(suffix);
    text.add(extension);
    if (!text.complete()) return false;
    fd_ = make_private_file(root, path, kNoDirectories);
  }
  if (sys::failed(fd_)) return false;
  if (!look()) return false;
  state = {device_, {inode_, 0, 0, 0}, 0, {}};
  return true;
}

// Which file it is, and how much may be written.
bool StreamFile::look() noexcept {
  struct stat status {};
  if (sys::failed(sys::status_fd(fd_, &status))) {
    close();
    return false;
  }
  device_ = status.st_dev;
  inode_ = status.st_ino;
  bytes_ = static_cast<uint64_t>(status.st_size);
  most_bytes_ = sys::resource_limit(RLIMIT_FSIZE);
  return true;
}

bool StreamFile::append(const void* data, size_t bytes) noexcept {
  if (most_bytes_ < bytes_ || bytes > most_bytes_ - bytes_) return false;
  if (!sys::write_all(fd_, data, bytes)) return false;
  bytes_ += bytes;
  return true;
}

bool StreamFile::take_back(uint64_t bytes) noexcept {
  if (sys::failed(sys::truncate_fd(fd_, bytes))) return false;
  bytes_ = bytes;
  return true;
}

void StreamFile::remove(const char* root, const char* path) noexcept {
  char full[kFullPathBytes];
  if (join(root, path, full)) sys::unlink(full);
}

void StreamFile::close() noexcept {
  if (fd_ >= 0) sys::close(fd_);
  fd_ = -1;
}

}  // namespace seep
