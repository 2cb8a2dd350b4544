// SPDX-License-Identifier: Apache-2.0
//
// SEEP_OPTIONS: read once, when the shared object starts, from the environment block itself. What is wrong is said in
// one line on stderr and then ignored; it never keeps the host from running. Runs inside the host before its main;
// after that the options do not change.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep {

struct Options {
  uint64_t sample_bytes = 512 << 10;  // 1: exact.
  uint64_t interval_ns = 10'000'000'000;
  uint32_t depth = 128;
  uint64_t max_memory_bytes = 0;          // Of seep itself; 0: no limit. 64 MiB by default where sampled.
  uint64_t max_stream_bytes = 256 << 20;  // 0: no limit.
  uint64_t seed = 0;                      // 0: random.
  bool record_under_valgrind = false;
  bool check_traces = false;  // Walk also where the cache of traces has the trace, and compare; for tests.
  enum class Scan : uint8_t { kByMode, kExit, kRequest, kOff };
  Scan scan = Scan::kByMode;  // When leak scans take place; kByMode only until all options are read.
  int scan_signal = 0;        // Asks for a scan; 0: none.
  uint64_t scan_limit_ns = 2'000'000'000;
  uint8_t heuristics = 15;  // leak_scan::Heuristic, or'ed: all of them.
  char out[2048] = "seep.%e.%p/%e.%p.seep";
  char region[512] = "tmpfs";
  char announce[2048] = "";  // A file to append our pid to; for `seep run`.
  char given[1024] = "";     // SEEP_OPTIONS itself.

  [[nodiscard]] bool exact() const { return sample_bytes <= 1; }
};

// One key of SEEP_OPTIONS. The table in options.cpp is the list that the README shows.
struct OptionKey {
  const char* name;
  bool (*parse)(Options& options, const char* value);  // False: the value is no good.
};
[[gnu::visibility("hidden")]] extern const OptionKey kOptionKeys[];
[[gnu::visibility("hidden")]] extern const size_t kOptionKeyCount;

// Calls complain(context, key, value) for each unknown key (value null) and bad value.
using Complain = void (*)(void* context, const char* key, const char* value);
void parse_options(Options& options, const char* text, Complain complain, void* context) noexcept;

// "512k" -> 524288; k, m, g and t are powers of 1024. False where it is no number or too large.
[[nodiscard]] bool parse_bytes(const char* text, uint64_t& bytes) noexcept;
// "10s" -> 10^10; ns, us, ms, s, m, h; a bare number is seconds.
[[nodiscard]] bool parse_duration(const char* text, uint64_t& duration_ns) noexcept;

}  // namespace seep
