// SPDX-License-Identifier: Apache-2.0
// The directory that a stream lies in, held open: its path comes from a region, so nothing on it may be exchanged while
// it is used, and in another root directory no link may lead out of it. One thread.
#pragma once

#include <string>

namespace seep {

class StreamPlace {
 public:
  enum class Missing { kIsAnError, kIsMade };

  // `path` is absolute, as its process knows it; `root` is "" or the root directory of that process ("/proc/PID/root").
  // Throws an Error where the directory cannot be opened, or made.
  StreamPlace(const std::string& root, const std::string& path, Missing missing_directory);
  ~StreamPlace();
  StreamPlace(const StreamPlace&) = delete;
  StreamPlace& operator=(const StreamPlace&) = delete;

  // Such that root() + "/" + name() is the stream, whatever becomes of the directories on the way.
  std::string root() const;
  const std::string& name() const { return name_; }
  std::string open_path() const { return root() + "/" + name_; }
  // The path of another name in it, as the process knows it.
  std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

 private:
  int open_directory(int root, const std::string& directory, Missing missing) const;

  std::string root_;
  std::string directory_;
  std::string name_;
  int fd_ = -1;
};

}  // namespace seep
