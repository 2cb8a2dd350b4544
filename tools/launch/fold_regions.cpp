// SPDX-License-Identifier: Apache-2.0
// Folding regions into streams.
#include "launch/fold_regions.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include "recording/process_liveness.h"
#include "recording/recording.h"
#include "recording/region_file.h"
#include "recording/region_search.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kMostSuffixes = 1000;

bool append_to(const std::string& path, int more_flags, const std::vector<uint8_t>& bytes) {
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | more_flags, 0600);
  if (fd < 0) return false;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  return close(fd) == 0 && done == bytes.size();
}

// The sequence number behind the last message of the region's stream; none if there is no stream of it yet.
std::optional<uint64_t> next_sequence(const Identity& identity) {
  std::error_code failed;
  if (!fs::exists(identity.stream_path, failed)) return std::nullopt;
  std::vector<Error> problems;
  const auto stream = load_stream(identity.stream_path, problems);
  if (!same_recording(identity, stream->header())) return std::nullopt;
  return stream->next_sequence;
}

// True if a stream holds everything now. The name that the process had in mind may be another image's by now.
bool fold(const RegionFile& region) {
  const Identity& identity = region.identity();
  if (const auto sequence = next_sequence(identity)) {
    return append_to(identity.stream_path, 0, region.encode(SnapshotKind::kPostMortem, *sequence));
  }
  const std::vector<uint8_t> bytes = region.encode(SnapshotKind::kPostMortem, 0);
  const fs::path wanted = identity.stream_path;
  if (append_to(wanted, O_CREAT | O_EXCL, bytes)) return true;
  const std::string stem = (wanted.parent_path() / wanted.stem()).string();
  for (unsigned suffix = 2; suffix < kMostSuffixes; ++suffix) {
    if (append_to(stem + "." + std::to_string(suffix) + wanted.extension().string(), O_CREAT | O_EXCL, bytes)) {
      return true;
    }
  }
  return false;
}

}  // namespace

void fold_regions(const std::string& directory) {
  LivenessJudge judge;
  for (const RegionFacts& facts : regions_of(directory)) {
    try {
      if (judge.judge(facts) == Liveness::kDead && fold(RegionFile(facts.path))) unlink(facts.path.c_str());
    } catch (const Error&) {
      continue;  // It stays where it is.
    }
  }
}

}  // namespace seep
