// SPDX-License-Identifier: Apache-2.0
// The directory that `seep run` records into: made, checked, and removed again where nothing came of it.
//
// Never removes anything but its own announce file, a directory that it made itself and that is empty, and, where it
// was told to replace a recording, that recording's streams.
#pragma once

#include <sys/types.h>

#include <string>

namespace seep {

class RecordingDirectory {
 public:
  // Throws an Error (kUsage) where it cannot be written, or already holds a recording and `replace` is false.
  RecordingDirectory(const std::string& path, bool replace);
  RecordingDirectory(const RecordingDirectory&) = delete;
  RecordingDirectory& operator=(const RecordingDirectory&) = delete;
  ~RecordingDirectory();  // Unless it is to be kept: removes what it made.

  const std::string& path() const { return path_; }              // Absolute.
  const std::string& given_path() const { return given_path_; }  // As it was asked for.
  // Each process that libseep.so was loaded into appends its pid to this file.
  const std::string& announce_file() const { return announce_file_; }

  void keep() { keep_ = true; }  // The program was started.
  bool announced(pid_t pid) const;
  void remove_announce_file() const;
  void remove_if_made() const;  // And empty.

 private:
  void make();
  void check_streams(bool replace) const;
  void make_announce_file();

  std::string given_path_;
  std::string path_;
  std::string announce_file_;
  bool made_ = false;
  bool keep_ = false;
};

}  // namespace seep
