// SPDX-License-Identifier: Apache-2.0
// Looking where regions lie: on tmpfs, or beside the output.
#include "recording/region_search.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "recording/byte_source.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

bool is_region_name(const fs::path& path) {
  return path.filename().string().starts_with("seep.") && path.extension() == ".region";
}

// Whether this user may have to do with it.
bool is_ours(const fs::path& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  return geteuid() == 0 || status.st_uid == geteuid();
}

// Without the last slash, as the path of a stream in it begins.
fs::path normal(const std::string& directory) {
  std::error_code failed;
  const fs::path path = fs::absolute(directory, failed).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

bool is_same_directory(const fs::path& left, const fs::path& right) {
  std::error_code failed;
  return left == right || fs::equivalent(left, right, failed);
}

}  // namespace

RegionListing regions_in(const std::string& directory) {
  RegionListing listing;
  std::error_code failed;
  fs::directory_iterator entries(directory, failed);
  for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
    const fs::path path = entries->path();
    if (!is_region_name(path) || !is_ours(path)) continue;
    try {
      listing.regions.push_back(read_region_facts(path.string()));
    } catch (const Error& error) {
      std::error_code ignored;
      if (fs::exists(path, ignored)) listing.problems.push_back(error);
    }
  }
  std::sort(listing.regions.begin(), listing.regions.end(),
            [](const RegionFacts& left, const RegionFacts& right) { return left.path < right.path; });
  return listing;
}

std::vector<RegionFacts> regions_of(const std::string& directory, const std::string& another_place) {
  const fs::path wanted = normal(directory);
  std::vector<RegionFacts> found = regions_in(wanted.string()).regions;
  for (const std::string& place : {std::string(kRegionDirectory), another_place}) {
    if (place.empty() || is_same_directory(wanted, place)) continue;
    for (RegionFacts& region : regions_in(place).regions) {
      const fs::path recorded = fs::path(region.identity.stream_path).parent_path();
      // A relative path is that of a process without a working directory: ours has nothing to do with it.
      if (!region.ready || !recorded.is_absolute()) continue;
      if (is_same_directory(recorded, wanted)) found.push_back(std::move(region));
    }
  }
  std::erase_if(found, [](const RegionFacts& region) { return !region.ready; });
  return found;
}

std::unique_ptr<ProcessRecording> described_by(const RegionFile& region, SnapshotKind kind) {
  auto process = std::make_unique<ProcessRecording>(region.path());
  MemorySource source(region.encode(kind, 0));
  StreamReader reader(source);
  for (proto::Message message; reader.next(message);) process->apply(message, 0);
  return process;
}

}  // namespace seep
