// SPDX-License-Identifier: Apache-2.0
// Puts a file in the place of another one in the same directory, so that whatever happens in between one of them is
// there, and whole: written under a temporary name, synced, renamed, and only then the old one is removed.
//
// The new file is private (0600) and has the owner and the times of the old one. Nothing is followed, nothing is
// overwritten but what the caller names, and the old file is removed only if it still is the one that was read, as it
// was read. Two at a time are kept apart by a lock on the old file. One thread.
#pragma once

#include <functional>
#include <string>

#include "file_descriptor.h"
#include "recording/byte_source.h"

namespace seep {

class FileReplacement {
 public:
  // Throws an Error: somebody else is at it, or the directory cannot be written.
  explicit FileReplacement(FileSource& old);
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;
  ~FileReplacement();  // Removes what did not come to its end.

  // The new file, empty, to be written.
  int descriptor() const { return new_.get(); }
  std::string temporary_path() const { return path_of(temporary_name_); }

  // Under the first of name(1), name(2) ... that is free, or that may_go says may be replaced; then the old one goes.
  // Gives the new path. Throws an Error; the old file then is as it was, and at worst both are there.
  std::string finish(const std::function<std::string(int)>& name,
                     const std::function<bool(const std::string&)>& may_go);

 private:
  std::string path_of(const std::string& name) const;
  void remove_stale() const;
  void check_old() const;
  void seal() const;
  bool take_name(const std::string& name, const std::function<bool(const std::string&)>& may_go) const;
  [[noreturn]] void fail(const std::string& what) const;

  FileSource& old_;
  std::string directory_;
  std::string old_name_;
  std::string temporary_name_;
  FileDescriptor place_;
  FileDescriptor new_;
  bool done_ = false;
};

}  // namespace seep
