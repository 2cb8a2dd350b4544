// SPDX-License-Identifier: Apache-2.0
// Parsing by CLI11, with its errors as ours.
#include "commands/arguments.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>

#include "error.h"
#include "text.h"

namespace seep {
namespace {

// CLI11's own line knows nothing of a command behind the options.
class FixedUsage final : public CLI::Formatter {
 public:
  explicit FixedUsage(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return "Usage: " + usage_ + "\n"; }

 private:
  std::string usage_;
};

}  // namespace

void set_usage(CLI::App& app, const std::string& usage) { app.formatter(std::make_shared<FixedUsage>(usage)); }

void add_symbol_cache_option(CLI::App& app, bool& no_symbol_cache) {
  app.add_flag("--no-symbol-cache", no_symbol_cache,
               "neither use nor fill the cache of functions and lines (~/.cache/seep)");
}

bool parse_arguments(CLI::App& app, std::vector<std::string> arguments) {
  try {
    std::reverse(arguments.begin(), arguments.end());  // As CLI11 wants them.
    app.parse(std::move(arguments));
    return false;
  } catch (const CLI::CallForHelp&) {
    write_output(STDOUT_FILENO, app.help());
    return true;
  } catch (const CLI::ParseError& error) {
    std::string message = error.what();
    message = message.substr(0, message.find('\n'));
    throw Error(ExitCode::kUsage, message + " (see " + app.get_name() + " --help)");
  }
}

uint64_t parse_size(const std::string& option, const std::string& text) {
  const std::optional<uint64_t> size = size_in(text);
  if (!size) throw Error(ExitCode::kUsage, option + ": '" + text + "' is no size, such as 4096, 512k or 2m");
  return *size;
}

std::chrono::nanoseconds parse_duration(const std::string& option, const std::string& text) {
  static const std::map<std::string, uint64_t> kUnits = {
      {"ns", 1},           {"us", 1'000},         {"ms", 1'000'000},       {"s", 1'000'000'000},
      {"", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  constexpr uint64_t kMostNs = std::numeric_limits<int64_t>::max();
  uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  const bool understood = failed == std::errc() && value > 0 && unit != kUnits.end() && value <= kMostNs / unit->second;
  if (!understood) throw Error(ExitCode::kUsage, option + ": '" + text + "' is no time, such as 10s, 500ms or 2m");
  return std::chrono::nanoseconds(value * unit->second);
}

bool wants_color(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  return isatty(fd) != 0 && (no_color == nullptr || *no_color == '\0') && !dumb;
}

void write_output(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(ExitCode::kUnreadable, std::string("cannot write the output: ") + std::strerror(errno));
    done += static_cast<size_t>(count);
  }
}

}  // namespace seep
