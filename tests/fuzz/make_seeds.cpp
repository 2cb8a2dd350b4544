// SPDX-License-Identifier: Apache-2.0
//
// Writes what the fuzzers begin with: streams and regions of random programs, by the real encoder.
//
//     make_seeds DIRECTORY     files in DIRECTORY/stream and DIRECTORY/region
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "compact_region.h"
#include "random_program.h"

namespace {

using namespace seep;

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  if (!file.flush())
    throw std::filesystem::filesystem_error("cannot write", path, std::error_code(errno, std::generic_category()));
}

void make(const std::filesystem::path& directory, unsigned seed) {
  RandomProgram program(seed, seed % 2 == 1, 1 + seed % 4);
  const EndFacts end{seed % 3 == 0 ? EndHow::kExit : EndHow::kExec, true, 1, 0, 5};
  Identity& identity = program.header().identity;
  memcpy(identity.command, "program\0-v", 11);
  identity.command_bytes = 11;
  if (seed == 7) identity.not_observed_reason = 2;
  program.snapshots(1 + seed % 8);
  if (seed % 4 == 1) program.header().progress.write_everything = 1;
  program.snapshot(&end);
  write(directory / "stream" / std::to_string(seed), program.stream);
  program.header().ready = 1;
  if (seed % 2 == 0) program.header().progress = {};
  write(directory / "region" / std::to_string(seed),
        fuzz::compact(&program.header(), program.header().used_bytes.load()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  for (const char* kind : {"stream", "region"}) std::filesystem::create_directories(directory / kind);
  for (unsigned seed = 0; seed < 16; ++seed) make(directory, seed);
}
