// SPDX-License-Identifier: Apache-2.0
// The directory that `seep run` records into: made, checked, and removed again where nothing came of it.
//
// Never removes anything but its own announce file, a directory that it made itself, if that is empty or all streams in
// it are told to go, and, where it was told to replace a recording or its directory is gone, what is left of that.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

namespace seep {

class RecordingDirectory {
 public:
  enum class Use {
    kAsNamed,  // Refused where it already holds a recording,
    kReplace,  // which goes.
    kNewName,  // Made; where the name is in use it gets ".2", ".3".
  };

  // Throws an Error (kUsage) where it cannot be written, or is not to be used. What dead processes left in shared
  // memory is a part of their recording: it goes with it. `region_place`: where such may lie beside the usual places.
  RecordingDirectory(const std::string& path, Use use, const std::string& region_place = "");
  RecordingDirectory(const RecordingDirectory&) = delete;
  RecordingDirectory& operator=(const RecordingDirectory&) = delete;
  ~RecordingDirectory();  // Unless it is to be kept: removes what it made.

  const std::string& path() const { return path_; }              // Absolute.
  const std::string& given_path() const { return given_path_; }  // As it was asked for.
  // Each process that libseep.so was loaded into appends its pid to this file.
  const std::string& announce_file() const { return announce_file_; }

  void keep() { keep_ = true; }  // The program was started.
  bool announced(pid_t pid) const { return announcements().contains(pid); }
  // How many images of each process have announced themselves.
  std::map<pid_t, size_t> announcements() const;
  void remove_announce_file() const;
  void remove_if_made() const;  // And empty.
  void remove_streams_if_made() const;
  bool made() const { return made_; }

 private:
  void set_path(const std::string& path);
  void make(bool must_be_new);
  void make_new();
  void check_streams(bool replace) const;
  void check_left_regions(bool replace, const std::string& region_place) const;
  void make_announce_file();

  std::string given_path_;
  std::string path_;
  std::string announce_file_;
  bool made_ = false;
  bool keep_ = false;
};

}  // namespace seep
