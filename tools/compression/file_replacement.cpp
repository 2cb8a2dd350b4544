// SPDX-License-Identifier: Apache-2.0
// The steps of a replacement.
#include "compression/file_replacement.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "error.h"

namespace seep {
namespace {

constexpr int kMostNames = 10'000;

bool same_time(const timespec& left, const timespec& right) {
  return left.tv_sec == right.tv_sec && left.tv_nsec == right.tv_nsec;
}

bool is_unchanged(const struct stat& before, const struct stat& now) {
  return before.st_dev == now.st_dev && before.st_ino == now.st_ino && before.st_size == now.st_size &&
         same_time(before.st_mtim, now.st_mtim);
}

}  // namespace

FileReplacement::FileReplacement(FileSource& old) : old_(old) {
  const std::filesystem::path path = old.path();
  directory_ = path.has_parent_path() ? path.parent_path().string() : ".";
  old_name_ = path.filename().string();
  temporary_name_ = "." + old_name_ + ".part";
  if (flock(old.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw Error(ExitCode::kUnreadable, old.path(), "another seep is at it");
  }
  place_ = FileDescriptor(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place_.is_open()) fail("its directory cannot be opened");
  check_old();
  remove_stale();
  new_ = FileDescriptor(
      openat(place_.get(), temporary_name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!new_.is_open()) fail("its directory cannot be written");
}

FileReplacement::~FileReplacement() {
  if (new_.is_open() && !done_) unlinkat(place_.get(), temporary_name_.c_str(), 0);
}

std::string FileReplacement::path_of(const std::string& name) const {
  return directory_ == "." && old_.path().find('/') == std::string::npos
             ? name
             : (std::filesystem::path(directory_) / name).string();
}

void FileReplacement::fail(const std::string& what) const {
  throw Error(ExitCode::kUnreadable, old_.path(), what + ": " + std::strerror(errno));
}

// Of one that was killed: who has the lock is alone here.
void FileReplacement::remove_stale() const {
  struct stat status;
  if (fstatat(place_.get(), temporary_name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (S_ISREG(status.st_mode) && (status.st_uid == geteuid() || status.st_uid == old_.status().st_uid)) {
    unlinkat(place_.get(), temporary_name_.c_str(), 0);
  }
}

void FileReplacement::check_old() const {
  struct stat now;
  if (fstatat(place_.get(), old_name_.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) fail("is not there any more");
  if (!is_unchanged(old_.status(), now)) throw Error(ExitCode::kUnreadable, old_.path(), "is being written");
}

void FileReplacement::seal() const {
  const struct stat& old = old_.status();
  struct stat now;
  const bool same_owner = fstat(new_.get(), &now) == 0 && now.st_uid == old.st_uid && now.st_gid == old.st_gid;
  // Somebody who is not root may have it in a group that is no longer his.
  if (!same_owner && fchown(new_.get(), old.st_uid, old.st_gid) != 0 && geteuid() == 0)
    fail("its owner cannot be kept");
  const timespec times[2] = {old.st_atim, old.st_mtim};
  if (futimens(new_.get(), times) != 0) fail("its time cannot be kept");
  if (fsync(new_.get()) != 0) fail("cannot be written to the disk");
}

// False: the name is another file's.
bool FileReplacement::take_name(const std::string& name, const std::function<bool(const std::string&)>& may_go) const {
  const int place = place_.get();
  if (renameat2(place, temporary_name_.c_str(), place, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  // A file system without it has links, or is refused.
  if (errno == EINVAL && linkat(place, temporary_name_.c_str(), place, name.c_str(), 0) == 0) {
    unlinkat(place, temporary_name_.c_str(), 0);
    return true;
  }
  if (errno != EEXIST) fail("a file cannot be put beside it");
  if (!may_go(path_of(name))) return false;
  if (renameat(place, temporary_name_.c_str(), place, name.c_str()) != 0) fail("a file beside it cannot be replaced");
  return true;
}

std::string FileReplacement::finish(const std::function<std::string(int)>& name,
                                    const std::function<bool(const std::string&)>& may_go) {
  seal();
  check_old();
  int number = 1;
  while (!take_name(name(number), may_go)) {
    if (++number == kMostNames) throw Error(ExitCode::kUnreadable, old_.path(), "so many files have this name");
  }
  done_ = true;
  if (fsync(place_.get()) != 0) fail("its directory cannot be written to the disk");
  check_old();
  if (unlinkat(place_.get(), old_name_.c_str(), 0) != 0) fail("cannot be removed");
  return path_of(name(number));
}

}  // namespace seep
