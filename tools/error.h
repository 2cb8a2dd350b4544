// SPDX-License-Identifier: Apache-2.0
// The one way in which the analyzer fails, and the exit codes of the command line.
//
// An Error is thrown where it is found, with the path and the byte it is about, and caught once, in main, which prints
// it as one line. Nothing below main prints or exits.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace seep {

// The contract with scripts: never renumbered.
enum class ExitCode : int {
  kFine = 0,
  kGateFailed = 1,
  kUsage = 2,            // Wrong usage: nothing was started, nothing was read.
  kUnreadable = 3,       // A recording could not be read or judged.
  kLeaksFound = 23,      // LeakSanitizer's number, for `seep run` with a gate.
  kNotExecutable = 126,  // As shells have it: the program exists and cannot be executed,
  kNotFound = 127,       // or does not exist.
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string message) : Error(code, {}, std::nullopt, std::move(message)) {}
  Error(ExitCode code, std::string path, std::string message)
      : Error(code, std::move(path), std::nullopt, std::move(message)) {}
  Error(ExitCode code, std::string path, std::optional<uint64_t> offset, std::string message)
      : std::runtime_error(compose(path, offset, message)), code_(code), path_(std::move(path)), offset_(offset) {}

  ExitCode code() const { return code_; }
  const std::string& path() const { return path_; }
  std::optional<uint64_t> offset() const { return offset_; }

 private:
  static std::string compose(const std::string& path, std::optional<uint64_t> offset, const std::string& message) {
    std::string line = path;
    if (offset) line += (line.empty() ? "at byte " : ": at byte ") + std::to_string(*offset);
    if (!line.empty()) line += ": ";
    return line + message;
  }

  ExitCode code_;
  std::string path_;
  std::optional<uint64_t> offset_;
};

}  // namespace seep
