// SPDX-License-Identifier: Apache-2.0
// Looking where regions lie: on tmpfs, or beside the output.
#include "recording/region_search.h"

#include <filesystem>

#include "recording/byte_source.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

bool is_region_name(const fs::path& path) {
  return path.filename().string().starts_with("seep.") && path.extension() == ".region";
}

// Without the last slash, as the path of a stream in it begins.
fs::path normal(const std::string& directory) {
  std::error_code failed;
  const fs::path path = fs::absolute(directory, failed).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

std::vector<std::unique_ptr<RegionFile>> regions_of(const std::string& directory) {
  std::vector<std::unique_ptr<RegionFile>> regions;
  for (const std::string& place : {std::string("/dev/shm"), directory}) {
    std::error_code failed;
    for (const fs::directory_entry& entry : fs::directory_iterator(place, failed)) {
      if (!is_region_name(entry.path())) continue;
      try {
        auto region = std::make_unique<RegionFile>(entry.path().string());
        if (fs::path(region->identity().stream_path).parent_path() != normal(directory)) continue;
        regions.push_back(std::move(region));
      } catch (const Error&) {
        continue;
      }
    }
  }
  return regions;
}

std::unique_ptr<ProcessRecording> described_by(const RegionFile& region) {
  auto process = std::make_unique<ProcessRecording>(region.path());
  MemorySource source(region.encode(SnapshotKind::kPostMortem, 0));
  StreamReader reader(source);
  for (proto::Message message; reader.next(message);) process->apply(message, 0);
  return process;
}

}  // namespace seep
