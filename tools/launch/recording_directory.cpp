// SPDX-License-Identifier: Apache-2.0
// Making and clearing the directory of a recording.
#include "launch/recording_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "error.h"
#include "recording/recording.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

}  // namespace

RecordingDirectory::RecordingDirectory(const std::string& path, bool replace) : given_path_(path) {
  std::error_code failed;
  path_ = fs::absolute(path, failed).lexically_normal().string();
  if (failed || path.empty()) throw Error(ExitCode::kUsage, path, "is no directory to record into");
  if (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  make();
  try {
    check_streams(replace);
    make_announce_file();
  } catch (...) {
    remove_if_made();
    throw;
  }
}

RecordingDirectory::~RecordingDirectory() {
  if (keep_) return;
  remove_announce_file();
  remove_if_made();
}

// Readable by its owner alone, as the streams in it are.
void RecordingDirectory::make() {
  std::error_code failed;
  const fs::path parent = fs::path(path_).parent_path();
  if (!fs::exists(parent, failed)) fs::create_directories(parent, failed);
  if (mkdir(path_.c_str(), 0700) == 0) {
    made_ = true;
    return;
  }
  const int cause = errno;
  if (cause == EEXIST && fs::is_directory(path_, failed)) return;
  const char* reason = cause == EEXIST ? "is not a directory" : std::strerror(cause);
  throw Error(ExitCode::kUsage, given_path_, std::string("cannot record there: ") + reason + " (-o DIR chooses)");
}

void RecordingDirectory::check_streams(bool replace) const {
  const auto streams = streams_in(path_);
  if (streams.empty()) return;
  if (!replace) throw Error(ExitCode::kUsage, given_path_, "holds a recording already (--force replaces it)");
  for (const std::string& stream : streams) {
    if (unlink(stream.c_str()) != 0) {
      throw Error(ExitCode::kUsage, stream, std::string("cannot be replaced: ") + std::strerror(errno));
    }
  }
}

// Also proves that the directory can be written.
void RecordingDirectory::make_announce_file() {
  announce_file_ = path_ + "/.announced." + std::to_string(getpid());
  const int fd = open(announce_file_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    throw Error(ExitCode::kUsage, given_path_, std::string("cannot be written: ") + std::strerror(errno));
  }
  close(fd);
}

bool RecordingDirectory::announced(pid_t pid) const {
  std::ifstream file(announce_file_);
  for (pid_t each; file >> each;) {
    if (each == pid) return true;
  }
  return false;
}

void RecordingDirectory::remove_announce_file() const { unlink(announce_file_.c_str()); }

void RecordingDirectory::remove_if_made() const {
  if (made_) rmdir(path_.c_str());
}

}  // namespace seep
