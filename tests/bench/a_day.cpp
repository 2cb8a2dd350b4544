// SPDX-License-Identifier: Apache-2.0
//
// How large the stream of a day becomes: a steady program of 5,000 sites, of which 20 change each second, with one
// snapshot a second, by the real encoder. Prints megabytes a day and bytes for each site that changed, all included.
//   a_day [sampled]
// One thread; writes no file.
#include <cstdio>
#include <memory>

#include "record/snapshot_encoder.h"
#include "steady_program.h"

namespace seep {
namespace {

constexpr unsigned kSites = 5000, kBusySites = 200, kChangesASecond = 20;
constexpr uint64_t kSecondsADay = 86'400;

int run(bool sampled) {
  SteadyProgram program(sampled, kSites);
  const auto scratch = std::make_unique<EncoderScratch>();
  uint64_t bytes = 0, first_bytes = 0;
  const auto count = [](void* context, const void*, size_t written) {
    *static_cast<uint64_t*>(context) += written;
    return true;
  };
  for (uint64_t second = 0; second < kSecondsADay; ++second) {
    program.live_a_second(second, kChangesASecond, kBusySites);
    const SnapshotKind kind = SnapshotKind::kInterval;
    if (!encode_snapshot(program.region(), *scratch, {count, &bytes}, kind, program.now_ns(), nullptr)) return 1;
    if (second == 0) first_bytes = bytes;
  }
  const double changes = static_cast<double>((kSecondsADay - 1) * kChangesASecond);
  std::printf("%s: %.1f MB a day, %.1f bytes a changed site\n", sampled ? "sampled" : "exact",
              static_cast<double>(bytes) / 1e6, static_cast<double>(bytes - first_bytes) / changes);
  return 0;
}

}  // namespace
}  // namespace seep

int main(int argc, char**) { return seep::run(argc > 1); }
