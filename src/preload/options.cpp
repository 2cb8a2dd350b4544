// SPDX-License-Identifier: Apache-2.0
//
// SEEP_OPTIONS; see options.h. Runs inside the host, once, single-threaded; no malloc, no stdio.
#include "preload/options.h"

#include <signal.h>

#include <cstring>

#include "preload/leak_scan/heuristics.h"
#include "record/snapshot_encoder.h"

namespace seep {
namespace {

bool parse_number(const char*& text, uint64_t& value) {
  if (*text < '0' || *text > '9') return false;
  value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    if (__builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(*text - '0'), &value)) {
      return false;
    }
  }
  return true;
}

template <size_t N>
bool copy_text(char (&to)[N], const char* from) {
  const size_t bytes = strlen(from);
  if (bytes == 0 || bytes >= N) return false;
  memcpy(to, from, bytes + 1);
  return true;
}

bool parse_sample(Options& options, const char* value) {
  uint64_t bytes;
  if (!parse_bytes(value, bytes) || bytes == 0 || bytes > uint64_t{1} << 40) return false;
  options.sample_bytes = bytes;
  return true;
}

bool parse_depth(Options& options, const char* value) {
  uint64_t depth;
  if (!parse_number(value, depth) || *value != '\0' || depth == 0) return false;
  options.depth = static_cast<uint32_t>(depth > kMaxDepth ? kMaxDepth : depth);
  return true;
}

bool parse_check_traces(Options& options, const char* value) {
  options.check_traces = strcmp(value, "1") == 0;
  return options.check_traces || strcmp(value, "0") == 0;
}

bool parse_valgrind(Options& options, const char* value) {
  options.record_under_valgrind = strcmp(value, "record") == 0;
  return options.record_under_valgrind || strcmp(value, "inert") == 0;
}

bool parse_scan(Options& options, const char* value) {
  static constexpr struct {
    const char* name;
    Options::Scan scan;
  } kScans[] = {{"exit", Options::Scan::kExit}, {"request", Options::Scan::kRequest}, {"off", Options::Scan::kOff}};
  for (const auto& scan : kScans) {
    if (strcmp(value, scan.name) != 0) continue;
    options.scan = scan.scan;
    return true;
  }
  return false;
}

// A number, or a name with or without SIG. Not one that the kernel or libc sends on its own, or that cannot be caught.
bool parse_signal(Options& options, const char* value) {
  static constexpr struct {
    const char* name;
    int number;
  } kSignals[] = {{"HUP", SIGHUP},     {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"QUIT", SIGQUIT},
                  {"WINCH", SIGWINCH}, {"URG", SIGURG},   {"IO", SIGIO},     {"PWR", SIGPWR}};
  const char* name = strncmp(value, "SIG", 3) == 0 ? value + 3 : value;
  for (const auto& signal : kSignals) {
    if (strcmp(name, signal.name) == 0) options.scan_signal = signal.number;
    if (strcmp(name, signal.name) == 0) return true;
  }
  uint64_t number;
  if (!parse_number(value, number) || *value != '\0') return false;
  const bool realtime = number >= 34 && number <= 64;  // Below, glibc has its own.
  bool known = realtime;
  for (const auto& signal : kSignals) known = known || number == static_cast<uint64_t>(signal.number);
  if (known) options.scan_signal = static_cast<int>(number);
  return known;
}

// Valgrind's names and lists: "all", "none", "stdstring,newarray".
bool parse_heuristics(Options& options, const char* value) {
  static constexpr struct {
    const char* name;
    uint8_t set;
  } kNames[] = {{"all", leak_scan::kAllHeuristics},   {"none", leak_scan::kNoHeuristic},
                {"stdstring", leak_scan::kStdString}, {"length64", leak_scan::kLength64},
                {"newarray", leak_scan::kNewArray},   {"multipleinheritance", leak_scan::kMultipleInheritance}};
  uint8_t set = 0;
  for (const char* at = value;; ++at) {
    const char* comma = strchr(at, ',');
    const size_t length = comma == nullptr ? strlen(at) : static_cast<size_t>(comma - at);
    bool known = false;
    for (const auto& name : kNames) {
      if (strlen(name.name) != length || strncmp(at, name.name, length) != 0) continue;
      set |= name.set;
      known = true;
    }
    if (!known) return false;
    if (comma == nullptr) break;
    at = comma;
  }
  options.heuristics = set;
  return true;
}

bool parse_seed(Options& options, const char* value) {
  uint64_t seed;
  if (!parse_number(value, seed) || *value != '\0') return false;
  options.seed = seed;
  return true;
}

}  // namespace

bool parse_bytes(const char* text, uint64_t& bytes) noexcept {
  uint64_t number;
  if (!parse_number(text, number)) return false;
  unsigned shift = 0;
  switch (*text) {
    case 't':
    case 'T': shift = 40; break;
    case 'g':
    case 'G': shift = 30; break;
    case 'm':
    case 'M': shift = 20; break;
    case 'k':
    case 'K': shift = 10; break;
    default: break;
  }
  if (shift != 0) ++text;
  if (*text != '\0' || __builtin_mul_overflow(number, uint64_t{1} << shift, &number)) return false;
  bytes = number;
  return true;
}

bool parse_duration(const char* text, uint64_t& duration_ns) noexcept {
  static constexpr struct {
    const char* name;
    uint64_t ns;
  } kUnits[] = {{"", 1'000'000'000}, {"s", 1'000'000'000},  {"ms", 1'000'000},       {"us", 1'000},
                {"ns", 1},           {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  uint64_t number;
  if (!parse_number(text, number)) return false;
  for (const auto& unit : kUnits) {
    if (strcmp(text, unit.name) != 0) continue;
    if (__builtin_mul_overflow(number, unit.ns, &number) || number == 0) return false;
    duration_ns = number;
    return true;
  }
  return false;
}

// In the order of the table in the README.
const OptionKey kOptionKeys[] = {
    {"sample", parse_sample},
    {"out", [](Options& o, const char* value) { return copy_text(o.out, value); }},
    {"region", [](Options& o, const char* value) { return copy_text(o.region, value); }},
    {"interval", [](Options& o, const char* value) { return parse_duration(value, o.interval_ns); }},
    {"depth", parse_depth},
    {"scan", parse_scan},
    {"scan_signal", parse_signal},
    {"scan_limit", [](Options& o, const char* value) { return parse_duration(value, o.scan_limit_ns); }},
    {"scan_heuristics", parse_heuristics},
    {"max_memory", [](Options& o, const char* value) { return parse_bytes(value, o.max_memory_bytes); }},
    {"max_stream", [](Options& o, const char* value) { return parse_bytes(value, o.max_stream_bytes); }},
    {"seed", parse_seed},
    {"valgrind", parse_valgrind},
    {"check_traces", parse_check_traces},
    {"announce", [](Options& o, const char* value) { return copy_text(o.announce, value); }},
};
const size_t kOptionKeyCount = sizeof kOptionKeys / sizeof kOptionKeys[0];

namespace {

void apply(Options& options, char* pair, bool& memory_given, Complain complain, void* context) {
  char* equals = strchr(pair, '=');
  if (equals != nullptr) *equals = '\0';
  for (const OptionKey& key : kOptionKeys) {
    if (strcmp(key.name, pair) != 0) continue;
    const char* value = equals == nullptr ? "" : equals + 1;
    if (!key.parse(options, value)) complain(context, pair, value);
    else if (strcmp(pair, "max_memory") == 0) memory_given = true;
    return;
  }
  complain(context, pair, nullptr);
}

}  // namespace

void parse_options(Options& options, const char* text, Complain complain, void* context) noexcept {
  bool memory_given = false;
  if (text != nullptr) {
    strncpy(options.given, text, sizeof options.given - 1);
    char pair[2304];
    size_t used = 0;
    for (const char* at = text;; ++at) {
      if (*at == '\\' && at[1] == ':') {
        if (used < sizeof pair - 1) pair[used++] = *++at;
      } else if (*at == ':' || *at == '\0') {
        pair[used] = '\0';
        if (used > 0) apply(options, pair, memory_given, complain, context);
        used = 0;
        if (*at == '\0') break;
      } else if (used < sizeof pair - 1) {
        pair[used++] = *at;
      }
    }
  }
  if (!memory_given && !options.exact()) options.max_memory_bytes = 64 << 20;
  if (options.scan == Options::Scan::kByMode) {
    options.scan = options.exact() ? Options::Scan::kExit : Options::Scan::kRequest;
  }
}

}  // namespace seep
