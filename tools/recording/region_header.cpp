// SPDX-License-Identifier: Apache-2.0
// Reading a region's header.
#include "recording/region_header.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>

#include "error.h"

namespace seep {
namespace {

constexpr size_t kBytesBeforeTrie = offsetof(RegionHeader, trie_root);
constexpr uint64_t kStatBlockBytes = 512;  // stat(2): whatever the file system's own are.

template <size_t N>
void end_text(char (&text)[N]) {
  text[N - 1] = '\0';
}

void end_texts(Identity& identity) {
  end_text(identity.not_observed_detail);
  end_text(identity.executable);
  end_text(identity.command);
  end_text(identity.host);
  end_text(identity.region_path);
  end_text(identity.stream_path);
  end_text(identity.options);
}

// One that was killed before it had written anything has a file of zeros.
bool is_empty(const RegionHeader& header) {
  return std::all_of(std::begin(header.magic), std::end(header.magic), [](char byte) { return byte == '\0'; });
}

void check(const RegionHeader& header, const std::string& path) {
  if (is_empty(header)) return;
  if (std::memcmp(header.magic, kRegionMagic, sizeof header.magic) != 0) {
    throw Error(ExitCode::kUnreadable, path, "is not a region");
  }
  if (header.version != kRegionVersion) {
    throw Error(ExitCode::kUnreadable, path,
                absl::StrFormat("was written by another version of seep: region version %u, and this seep reads %u",
                                header.version, kRegionVersion));
  }
}

}  // namespace

std::string RegionFacts::recorded_name() const {
  const std::string recorded = identity.region_path[0] == '\0' ? path : identity.region_path;
  return recorded.substr(recorded.rfind('/') + 1);
}

RegionFacts read_region_facts(FileSource& file) {
  RegionFacts facts;
  facts.read_at = std::chrono::steady_clock::now();
  facts.path = file.path();
  const struct stat& status = file.status();
  facts.device = status.st_dev;
  facts.inode = status.st_ino;
  facts.owner = status.st_uid;
  facts.group = status.st_gid;
  facts.taken_bytes = static_cast<uint64_t>(status.st_blocks) * kStatBlockBytes;
  const auto header = std::make_unique<RegionHeader>();
  const auto into = std::span(reinterpret_cast<uint8_t*>(header.get()), kBytesBeforeTrie);
  if (file.read_at(0, into) < kBytesBeforeTrie) {
    throw Error(ExitCode::kUnreadable, file.path(), "is too short for a region");
  }
  check(*header, file.path());
  facts.ready = !is_empty(*header) && header->ready.load(std::memory_order_relaxed) == 1;
  if (facts.ready) facts.identity = header->identity;
  end_texts(facts.identity);
  return facts;
}

RegionFacts read_region_facts(const std::string& path) {
  FileSource file(path);
  return read_region_facts(file);
}

}  // namespace seep
