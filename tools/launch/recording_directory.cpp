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
#include "recording/process_liveness.h"
#include "recording/region_search.h"
#include "recording/stream_listing.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

}  // namespace

RecordingDirectory::RecordingDirectory(const std::string& path, Use use, const std::string& region_place) {
  set_path(path);
  if (use == Use::kNewName) {
    make_new();
  } else {
    make(false);
  }
  try {
    check_streams(use == Use::kReplace);
    check_left_regions(use == Use::kReplace, region_place);
    make_announce_file();
  } catch (...) {
    remove_if_made();
    throw;
  }
}

void RecordingDirectory::set_path(const std::string& path) {
  std::error_code failed;
  given_path_ = path;
  path_ = fs::absolute(path, failed).lexically_normal().string();
  if (failed || path.empty()) throw Error(ExitCode::kUsage, path, "is no directory to record into");
  if (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

// A pid comes again, and beside the recordings of containers that share this directory.
void RecordingDirectory::make_new() {
  constexpr int kMostNames = 10'000;
  const std::string name = given_path_;
  for (int number = 2; number < kMostNames; ++number) {
    make(true);
    if (made_) return;
    set_path(name + "." + std::to_string(number));
  }
  throw Error(ExitCode::kUsage, name, "cannot record there: so many recordings have this name (-o DIR chooses)");
}

RecordingDirectory::~RecordingDirectory() {
  if (keep_) return;
  remove_announce_file();
  remove_if_made();
}

// Readable by its owner alone, as the streams in it are.
void RecordingDirectory::make(bool must_be_new) {
  std::error_code failed;
  const fs::path parent = fs::path(path_).parent_path();
  if (!fs::exists(parent, failed)) fs::create_directories(parent, failed);
  if (mkdir(path_.c_str(), 0700) == 0) {
    made_ = true;
    return;
  }
  const int cause = errno;
  if (cause == EEXIST && (must_be_new || fs::is_directory(path_, failed))) return;
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

// Folded into the new recording, they would be processes of it. One that lives is left alone.
void RecordingDirectory::check_left_regions(bool replace, const std::string& region_place) const {
  LivenessJudge judge;
  for (const RegionFacts& region : regions_of(path_, region_place)) {
    if (judge.judge(region) != Liveness::kDead) continue;
    if (!replace && !made_) {
      throw Error(ExitCode::kUsage, given_path_,
                  "was recorded into by processes that died: seep report shows what they left (--force replaces it)");
    }
    unlink(region.path.c_str());
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

std::map<pid_t, size_t> RecordingDirectory::announcements() const {
  std::map<pid_t, size_t> images;
  std::ifstream file(announce_file_);
  for (pid_t each; file >> each;) ++images[each];
  return images;
}

void RecordingDirectory::remove_announce_file() const { unlink(announce_file_.c_str()); }

void RecordingDirectory::remove_if_made() const {
  if (made_) rmdir(path_.c_str());
}

void RecordingDirectory::remove_streams_if_made() const {
  if (!made_) return;
  for (const std::string& stream : streams_in(path_)) unlink(stream.c_str());
  remove_if_made();
}

}  // namespace seep
