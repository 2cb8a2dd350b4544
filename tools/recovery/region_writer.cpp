// SPDX-License-Identifier: Apache-2.0
// Writing a stream from a copy of a region.
#include "recovery/region_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "record/trace_table.h"

namespace seep {
namespace {

constexpr uint64_t kProgressAt = offsetof(RegionHeader, progress);
constexpr uint64_t kStreamAt = offsetof(RegionHeader, stream);
constexpr uint64_t kStreamPathAt = offsetof(RegionHeader, identity) + offsetof(Identity, stream_path);

uint64_t failed_writes(const RegionHeader& header) {
  return header.loss[static_cast<unsigned>(LossKind::kFailedWrite)].load(std::memory_order_relaxed);
}

void set_path(Identity& identity, const std::string& path) {
  std::memset(identity.stream_path, 0, sizeof identity.stream_path);
  std::strncpy(identity.stream_path, path.c_str(), sizeof identity.stream_path - 1);
}

}  // namespace

RegionWriter::RegionWriter(FileSource& file, const RegionFile& copy, const StreamPlace& place)
    : file_(file),
      place_(place),
      region_(copy.copy()),
      progress_before_(region_.header().progress),
      failed_writes_before_(failed_writes(region_.header())) {
  set_path(region_.header().identity, "/" + place.name());
  for (Ref ref = region_.header().newest[0].trace.load(); ref != 0; ref = region_.at<Trace>(ref)->next_older) {
    signatures_.emplace_back(ref, region_.at<Trace>(ref)->written_signature);
  }
}

bool RegionWriter::write(SnapshotKind kind, uint64_t now_ns, const EndFacts* end) {
  return write_snapshot(region_, *scratch_, place_.root().c_str(), kind, now_ns, end);
}

std::string RegionWriter::stream_path() const { return place_.path_of(region_.header().identity.stream_path + 1); }

void RegionWriter::announce() {
  const uint32_t everything = 1;
  put(kProgressAt + offsetof(EncoderProgress, write_everything), &everything, sizeof everything);
}

// `progress` last: it takes back what announce() said.
void RegionWriter::carry_back(RegionClaim& claim) {
  const RegionHeader& header = region_.header();
  for (const auto& [ref, before] : signatures_) {
    const uint64_t now = region_.at<Trace>(ref)->written_signature;
    if (now == before) continue;
    put(uint64_t{ref} * kRefUnitBytes + offsetof(Trace, written_signature), &now, sizeof now);
  }
  const std::string path = stream_path();
  if (path.size() < sizeof(Identity::stream_path)) put(kStreamPathAt, path.c_str(), path.size() + 1);
  const uint64_t last_snapshot_ns = header.last_snapshot_ns.load(std::memory_order_relaxed);
  put(offsetof(RegionHeader, last_snapshot_ns), &last_snapshot_ns, sizeof last_snapshot_ns);
  put(kStreamAt, &header.stream, sizeof header.stream);
  claim.count_loss(LossKind::kFailedWrite, failed_writes(header) - failed_writes_before_);
  EncoderProgress progress = header.progress;
  // What lies in the process's private memory was not seen from here.
  progress.newest_module[1] = progress_before_.newest_module[1];
  progress.newest_thread_name[1] = progress_before_.newest_thread_name[1];
  progress.private_alloc_blocks = progress_before_.private_alloc_blocks;
  put(kProgressAt, &progress, sizeof progress);
}

void RegionWriter::put(uint64_t offset, const void* bytes, size_t count) {
  ssize_t done;
  do {
    done = pwrite(file_.descriptor(), bytes, count, static_cast<off_t>(offset));
  } while (done < 0 && errno == EINTR);
  if (done != static_cast<ssize_t>(count)) {
    throw Error(ExitCode::kUnreadable, file_.path(), std::string("cannot be written: ") + std::strerror(errno));
  }
}

}  // namespace seep
