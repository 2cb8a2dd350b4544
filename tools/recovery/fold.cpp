// SPDX-License-Identifier: Apache-2.0
// Folding regions into streams.
#include "recovery/fold.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "compression/stream_compression.h"
#include "error.h"
#include "recording/opened_stream.h"
#include "recording/region_file.h"
#include "recording/region_search.h"
#include "recording/stream_listing.h"
#include "recording/stream_reader.h"
#include "recovery/acting_as.h"
#include "recovery/region_claim.h"
#include "recovery/region_writer.h"
#include "recovery/stream_place.h"
#include "recovery/stream_tail.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

Error cannot(const std::string& path, const std::string& why) { return Error(ExitCode::kUnreadable, path, why); }

// By its permissions, even for root: who has taken all write permission away wants it left alone.
bool is_writable(const std::string& path) {
  constexpr mode_t kAnyWrite = S_IWUSR | S_IWGRP | S_IWOTH;
  struct stat status;
  return stat(path.c_str(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) &&
         (status.st_mode & kAnyWrite) != 0 && faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

void check_writable(const std::string& path) {
  if (!is_writable(path)) throw cannot(path, "cannot be written");
}

std::string directory_of(const std::string& path) { return fs::path(path).parent_path().string(); }

// Whether the process made the file that lies here, or it is a copy.
bool is_original(const RegionFacts& region) {
  struct stat status;
  return region.path == region.identity.region_path ||
         (stat(region.identity.region_path, &status) == 0 && status.st_dev == region.device &&
          status.st_ino == region.inode);
}

// One fold, from the open region to its removal. All but the opening is done as the region's owner.
class Fold {
 public:
  Fold(FileSource& file, const RegionFacts& facts, const FoldRequest& request)
      : file_(file), facts_(facts), request_(request), region_(file) {
    if (region_.problem() && !request.damaged_too) throw *region_.problem();
    check_writable(directory_of(facts.path));
    choose_stream();
  }

  std::string run() {
    if (tail_) check_writable(stream_path_);
    if (request_.pretend) return stream_path_;
    if (!compressed_path_.empty()) restore();
    if (!tail_ || !tail_->closed() || has_news()) append();
    remove_region();
    return stream_path_;
  }

 private:
  // Beside the region first, as in a recording that was copied somewhere; then where the process wrote.
  void choose_stream() {
    const std::string recorded = region_.identity().stream_path;
    if (recorded.empty()) throw cannot(facts_.path, "names no stream");
    const std::string beside = directory_of(facts_.path) + "/" + fs::path(recorded).filename().string();
    const bool original = is_original(facts_);
    if (look_at(beside) || (original && look_at(recorded))) return check_wanted();
    if (look_at_compressed(beside) || (original && look_at_compressed(recorded))) return check_wanted();
    stream_path_ = original ? recorded : beside;
    check_wanted();
    // In another namespace's mounts the path may have meant another place.
    const bool known_place = region_.identity().pid_namespace == this_pid_namespace();
    std::string directory = directory_of(stream_path_);
    while (known_place && directory.size() > 1 && !fs::exists(directory)) directory = directory_of(directory);
    check_writable(directory);
  }

  bool look_at(const std::string& path) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    if ((status.st_uid != facts_.owner && status.st_uid != geteuid()) || status.st_size == 0) return false;
    FileSource stream(path);
    tail_ = read_tail(stream, region_.identity(), region_.copy().header().stream);
    if (tail_) stream_path_ = path;
    return tail_.has_value();
  }

  // Somebody compressed it, in spite of the region. Where it is not whole it is left alone: a new stream then says all
  // that the region knows.
  bool look_at_compressed(const std::string& path) {
    struct stat status;
    const std::string compressed = path + kCompressionSuffix;
    if (lstat(path.c_str(), &status) == 0 || lstat(compressed.c_str(), &status) != 0) return false;
    if (!S_ISREG(status.st_mode) || (status.st_uid != facts_.owner && status.st_uid != geteuid())) return false;
    OpenedStream stream(compressed);
    StreamReader reader(stream.bytes());
    proto::Message message;
    const bool ours =
        reader.next(message) && message.has_header() && same_recording(region_.identity(), message.header());
    while (ours && reader.next(message))
      ;
    if (!ours || !stream.compressed() || stream.damage()) return false;
    check_writable(directory_of(path));
    compressed_path_ = compressed;
    stream_path_ = path;
    return true;
  }

  // The process's own writer goes on behind the raw one.
  void restore() {
    restore_stream(compressed_path_, fs::path(stream_path_).filename().string());
    if (!look_at(stream_path_)) throw cannot(stream_path_, "has changed meanwhile");
  }

  void check_wanted() const {
    if (request_.only_into.empty()) return;
    const fs::path directory = directory_of(stream_path_), only = fs::absolute(request_.only_into).lexically_normal();
    std::error_code failed;
    const bool wanted = directory == only || fs::equivalent(directory, only, failed) || stream_path_ == only ||
                        fs::equivalent(stream_path_, only, failed);
    if (!wanted) throw cannot(stream_path_, "is another recording's place");
  }

  // Whether the region counts what its closed stream does not.
  bool has_news() const {
    if (!tail_->last_snapshot) return true;
    const RegionFile another(file_);
    MemorySource source(another.encode(SnapshotKind::kPostMortem, 0));
    StreamReader reader(source);
    proto::Snapshot now, then = *tail_->last_snapshot;
    for (proto::Message message; reader.next(message);) {
      if (message.has_snapshot()) now = message.snapshot();
    }
    for (proto::Snapshot* snapshot : {&now, &then}) {
      for (const char* of_the_moment :
           {"number", "kind", "time_ns", "changed_counters", "seep_memory_bytes", "thinned_snapshots"}) {
        snapshot->GetReflection()->ClearField(snapshot, snapshot->GetDescriptor()->FindFieldByName(of_the_moment));
      }
    }
    return now.SerializeAsString() != then.SerializeAsString();
  }

  // What the writer is to believe about the stream: what was found in it, not what the process last knew.
  void adopt_tail() const {
    RegionHeader& header = region_.copy().header();
    StreamState& state = header.stream;
    if (!tail_) {  // None, or another file has its name.
      if (is_original(facts_) && state.now.inode != 0) region_.copy().count_loss(LossKind::kFailedWrite);
      state = {};
      return;
    }
    const auto holds = [&](const StreamContents& contents) {
      return contents.bytes == tail_->whole_bytes && contents.next_sequence == tail_->next_sequence;
    };
    const bool as_written = !tail_->damaged && (holds(state.now) || holds(state.replacement));
    if (!as_written) header.progress.write_everything = 1;
    const bool replaced = state.replacement.inode != 0 && holds(state.replacement) && !holds(state.now);
    const uint64_t thinned = replaced ? state.replacement.thinned_snapshots : state.now.thinned_snapshots;
    state.device = tail_->device;
    state.now = {tail_->inode, tail_->whole_bytes, tail_->next_sequence, thinned};
    state.replacement = {};
  }

  // An End that something follows did not take place: so it is said again.
  std::optional<EndFacts> end_to_repeat() const {
    if (!tail_ || !tail_->end) return region_.end();
    const proto::End& end = *tail_->end;
    return EndFacts{static_cast<EndHow>(end.how()), end.exit_status_known(), end.exit_status(), end.signal(),
                    end.time_ns()};
  }

  // Its Header was cut, so the writer would not know it for its own.
  void empty_stream(const StreamPlace& place) const {
    const int fd = open(place.open_path().c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    const bool same =
        fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == tail_->device && status.st_ino == tail_->inode;
    const bool emptied = same && ftruncate(fd, 0) == 0;
    if (fd >= 0) close(fd);
    if (!emptied) throw cannot(stream_path_, "could not be written");
  }

  void append() {
    adopt_tail();
    const auto missing = region_.identity().pid_namespace == this_pid_namespace() ? StreamPlace::Missing::kIsMade
                                                                                  : StreamPlace::Missing::kIsAnError;
    const StreamPlace place("", stream_path_, missing);
    if (tail_ && tail_->whole_bytes == 0) empty_stream(place);
    RegionWriter writer(file_, region_, place);
    const std::optional<EndFacts> end = end_to_repeat();
    if (!writer.write(SnapshotKind::kPostMortem, region_.last_event_ns(), end ? &*end : nullptr)) {
      throw cannot(stream_path_, "could not be written");
    }
    stream_path_ = writer.stream_path();
    unlink((place.open_path() + kThinnedSuffix).c_str());  // Of a thinning that it died at.
  }

  void remove_region() const {
    struct stat status;
    if (lstat(facts_.path.c_str(), &status) != 0 && errno == ENOENT) return;
    if (status.st_dev != facts_.device || status.st_ino != facts_.inode || unlink(facts_.path.c_str()) != 0) {
      throw cannot(facts_.path, "cannot be removed");
    }
  }

  static constexpr char kThinnedSuffix[] = ".thinned";

  FileSource& file_;
  const RegionFacts& facts_;
  const FoldRequest& request_;
  RegionFile region_;
  std::optional<StreamTail> tail_;  // Of the stream that there is.
  std::string stream_path_;
  std::string compressed_path_;  // Of the one that is to be decompressed before.
};

bool is_gone(const FileSource& file) {
  struct stat status;
  return fstat(file.descriptor(), &status) == 0 && status.st_nlink == 0;
}

// The directory of a recording that somebody wants to read, where nobody but him may write: a server's workers may have
// given up the rights to it that the server had. Else empty.
std::string directory_of_reader(const std::string& path) {
  struct stat status;
  const std::string directory = fs::is_directory(path) ? path : directory_of(fs::absolute(path).string());
  const bool own = stat(directory.c_str(), &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return own ? directory : std::string();
}

void fold_quietly(const RegionFacts& region, LivenessJudge& judge, const std::string& only_into) {
  try {
    if (!region.ready || judge.judge(region) != Liveness::kDead) return;
    fold_region(region, {.own_directory = directory_of_reader(only_into), .only_into = only_into});
  } catch (const std::exception&) {
    // It stays where it is, and is read there; what is wrong with it will be said then.
  }
}

// A file that was made for a stream, and nothing could be written into it.
void fold_into_empty(const std::string& path, LivenessJudge& judge) {
  const fs::path stream = fs::absolute(path);
  for (const RegionFacts& region : regions_of(stream.parent_path().string())) {
    const bool named = fs::path(region.identity.stream_path).filename() == stream.filename();
    if (named) fold_quietly(region, judge, path);
  }
}

// A directory that is not there yet may have been meant by a process that died before its first snapshot.
void fold_for(const std::string& path, LivenessJudge& judge) {
  std::error_code failed;
  if (fs::is_directory(path, failed) || !fs::exists(path, failed)) {
    for (const RegionFacts& region : regions_of(path)) fold_quietly(region, judge, path);
    return;
  }
  if (fs::file_size(path, failed) == 0) return fold_into_empty(path, judge);
  const ProcessRecording process = beginning_of(path);
  if (!process.has_header()) return;
  if (const std::optional<RegionFacts> region = find_region(process)) fold_quietly(*region, judge, path);
}

}  // namespace

Folded fold_region(const RegionFacts& region, const FoldRequest& request) {
  struct stat status;
  if (lstat(region.path.c_str(), &status) != 0 && errno == ENOENT) return {Folded::State::kGone, {}};
  FileSource file(region.path);
  if (!lock_region(file, request.most_wait)) return {Folded::State::kBusy, {}};
  if (is_gone(file)) return {Folded::State::kGone, {}};
  const RegionFacts facts = read_region_facts(file);
  if (facts.inode != region.inode || !facts.ready) throw cannot(region.path, "has changed meanwhile");
  std::optional<ActingAs> owner;
  if (!is_own_directory(request.own_directory, facts.identity)) owner.emplace(facts.owner, facts.group);
  return {Folded::State::kDone, Fold(file, facts, request).run()};
}

void fold_before_reading(const std::vector<std::string>& paths) {
  LivenessJudge judge;
  for (const std::string& path : paths) {
    try {
      fold_for(path, judge);
    } catch (const std::exception&) {
      continue;  // The reader will say what is wrong with it.
    }
  }
}

}  // namespace seep
