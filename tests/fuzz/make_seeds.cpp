// SPDX-License-Identifier: Apache-2.0
//
// Writes what the fuzzers begin with: streams, raw and compressed, and regions of random programs, and files of the
// symbol cache without their checksum, each by what really writes them.
//
//     make_seeds DIRECTORY     files in DIRECTORY/stream, compressed, region, symbols, policy, suppressions, baseline
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "compact_region.h"
#include "random_program.h"
#include "symbol_seeds.h"
#include "zstd_frame.h"

namespace {

using namespace seep;
using seep::testing::zstd_frame;
using seep::testing::ZstdFrame;

constexpr size_t kMostRegionBytes = 8192;  // As in scripts/fuzz.

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush())
    throw std::filesystem::filesystem_error("cannot write", path, std::error_code(errno, std::generic_category()));
}

// A leak scan that has just judged what each trace has live, and where their blocks are mostly freed from.
void scan(RandomProgram& program, unsigned seed) {
  const Region region = program.region();
  ScanState& state = region.header().scan;
  ScanResult& result = state.results[seed % 2];
  result.capacity = region.header().trace_count;
  result.verdicts = region.allocate(result.capacity * sizeof(TraceVerdicts));
  if (result.verdicts == 0) throw std::runtime_error("no room for the verdicts of a scan");
  const TraceTable table(region);
  for (Ref ref = region.header().newest[0].trace; ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    TraceVerdicts& verdicts = region.at<TraceVerdicts>(result.verdicts)[trace.id - 1];
    verdicts.blocks[trace.id % kVerdictClasses] = trace.id;
    verdicts.bytes[trace.id % kVerdictClasses] = trace.id * uint64_t{64};
    verdicts.held_blocks = trace.id % 3;
    verdicts.held_bytes = verdicts.held_blocks * 48;
    verdicts.definite_blocks = verdicts.definite_blocks_variance = trace.id * 100.0;
    verdicts.definite_bytes = verdicts.definite_bytes_variance = trace.id * 6400.0;
    if (trace.id % 2 == 0 && trace.next_older != 0) table.note_freeing(trace, trace.next_older);
  }
  result.facts = {.number = 1, .trigger = ScanTrigger::kExit, .time_ns = 77, .stop = ScanStop::kByPtrace};
  state.standing = seed % 2 + 1;
  state.failed = {.number = 2, .trigger = ScanTrigger::kRequest, .failure = ScanFailure::kOutOfTime};
  state.has_failed = seed % 3 == 0 ? 1 : 0;
  strcpy(state.default_suppressions, "# known\nleak:*lib*.so$\nleak:^main\n");
}

// Some in two frames, some with a checksum.
std::string compressed(const std::string& stream, unsigned seed) {
  const ZstdFrame frame{.checksum = seed % 2 == 1};
  if (seed % 4 != 3) return zstd_frame(stream, frame);
  return zstd_frame(stream.substr(0, stream.size() / 2), frame) + zstd_frame(stream.substr(stream.size() / 2), frame);
}

void make_stream(const std::filesystem::path& directory, unsigned seed) {
  RandomProgram program(seed, seed % 2 == 1, 1 + seed % 4);
  const EndFacts end{seed % 3 == 0 ? EndHow::kExit : EndHow::kExec, true, 1, 0, 5};
  Identity& identity = program.header().identity;
  memcpy(identity.command, "program\0-v", 11);
  identity.command_bytes = 11;
  if (seed == 7) identity.not_observed_reason = 2;
  program.snapshots(1 + seed % 8);
  if (seed % 3 != 2) scan(program, seed);
  if (seed % 4 == 1) program.header().progress.write_everything = 1;
  program.snapshot(&end);
  write(directory / "stream" / std::to_string(seed), program.stream);
  write(directory / "compressed" / std::to_string(seed), compressed(program.stream, seed));
}

// So small that it stays whole below the fuzzer's longest input.
void make_region(const std::filesystem::path& directory, unsigned seed) {
  RandomProgram program(seed, seed % 2 == 1, 1);
  program.snapshots(1 + seed % 2);
  if (seed % 3 != 2) scan(program, seed);
  if (seed % 4 < 2) program.header().progress = {};
  program.header().ready = 1;
  const std::string bytes = fuzz::compact(&program.header(), program.header().used_bytes.load());
  if (bytes.size() > kMostRegionBytes) throw std::runtime_error("a region is longer than the fuzzer's inputs");
  write(directory / "region" / std::to_string(seed), bytes);
}

// Files that people write, a key of each kind.
constexpr char kPolicy[] =
    "fail = [\"definite\", \"possible\"]\nmax_bytes = \"64k\"\nmax_blocks = 3\nmin_coverage = 0.5\n"
    "allow_unjudged = [\"redis-*\"]\nconfidence = 0.99\nstrict = true\nbaseline = \"b\"\nsuppressions = \"s\"\n"
    "[[site_budget]]\nstack = [\"load\", \"...\", \"main\"]\nmax_bytes = 4096\nreason = \"r\"\n"
    "[[allocation_budget]]\nfunction = \"^open$\"\nmax_blocks = 1\ncalls = 1000\n";
constexpr char kSuppressions[] =
    "[[suppress]]\nstack = [\"^\", \"^make_message$\", \"...\", \"main\", \"$\"]\nkinds = [\"definite\"]\n"
    "max_bytes = 4096\nmax_blocks = 2\nexpires = 2027-01-31\nreason = \"r\"\n";
constexpr char kLsanSuppressions[] = "# known\nleak:make_*ge$\nleak:^net::Session\n";
constexpr char kValgrindSuppressions[] =
    "{\n  name\n  Memcheck:Leak\n  match-leak-kinds: definite,possible\n  fun:_Znwm\n  fun:_ZN3net7Session*\n"
    "  ...\n  obj:*/server\n  src:main.cpp:10\n}\n{\n  n\n  Memcheck:Cond\n  fun:f\n}\n";
constexpr char kBaseline[] =
    "schema = \"seep.baseline/1\"\nfail = [\"definite\"]\nsampled = true\n[[leak]]\nfingerprint = "
    "\"2ff70c1dffabc517\"\n"
    "bytes = 1000\nblocks = 10\nstack = [\"make_message\", \"main\"]\nnote = \"n\"\n"
    "samples = {count = 2, bytes = 1000.0, bytes_deviation = 7.5, proven_bytes = 20, blocks = 10.0, blocks_deviation = "
    "2.0}\n[[allocations]]\nfunction = \"f\"\ncalls = 10\nbytes = 1\nblocks = 1\n";

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  for (const char* kind : {"stream", "compressed", "region", "symbols", "policy", "suppressions", "baseline"}) {
    std::filesystem::create_directories(directory / kind);
  }
  for (unsigned seed = 0; seed < 16; ++seed) {
    make_stream(directory, seed);
    make_region(directory, seed);
    write(directory / "symbols" / std::to_string(seed), fuzz::symbols(seed));
  }
  write(directory / "policy/all", std::string(kPolicy) + kSuppressions);
  write(directory / "suppressions/seep", kSuppressions);
  write(directory / "suppressions/lsan", kLsanSuppressions);
  write(directory / "suppressions/valgrind", kValgrindSuppressions);
  write(directory / "baseline/all", kBaseline);
}
