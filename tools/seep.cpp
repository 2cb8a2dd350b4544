// SPDX-License-Identifier: Apache-2.0
// main of `seep`: finds the command, runs it, and says in one line what went wrong.
#include <unistd.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "commands/arguments.h"
#include "commands/command.h"
#include "error.h"

namespace {

std::string help() {
  std::string text =
      "seep finds memory leaks in programs as they are: no rebuild, no root.\n"
      "\n"
      "Usage: seep COMMAND [OPTIONS]\n"
      "\n"
      "Commands:\n";
  for (const seep::Command& command : seep::all_commands()) {
    text += "  " + std::string(command.name) + std::string(10 - command.name.size(), ' ') +
            std::string(command.summary) + "\n";
  }
  return text +
         "\n"
         "Options:\n"
         "  --help     this text; each command has its own\n"
         "  --version  print the version\n"
         "\n"
         "Example:\n"
         "  seep run ./server --port 8080\n";
}

// `ctest -T memcheck` runs its memory checker as if it were Valgrind: `--log-file=FILE` stands before everything else.
std::vector<std::string> with_log_file_as_option(std::vector<std::string> words) {
  constexpr std::string_view kLogFile = "--log-file=";
  if (words.size() < 2 || !words[0].starts_with(kLogFile)) return words;
  const std::string file = words[0].substr(kLogFile.size());
  words.erase(words.begin());
  words.insert(words.begin() + 1, {"--valgrind", file});
  return words;
}

int dispatch(const std::vector<std::string>& words) {
  if (words.empty()) throw seep::Error(seep::ExitCode::kUsage, "no command (see seep --help)");
  if (words[0] == "--help" || words[0] == "-h") {
    seep::write_output(STDOUT_FILENO, help());
    return 0;
  }
  if (words[0] == "--version") {
    seep::write_output(STDOUT_FILENO, "seep " SEEP_VERSION "\n");
    return 0;
  }
  for (const seep::Command& command : seep::all_commands()) {
    if (command.name == words[0]) return command.run({words.begin() + 1, words.end()});
  }
  const char* what = words[0].starts_with('-') ? "unknown option" : "unknown command";
  throw seep::Error(seep::ExitCode::kUsage, std::string(what) + " '" + words[0] + "' (see seep --help)");
}

int fail(const char* message, seep::ExitCode code) {
  std::string line = std::string("seep: ") + message + "\n";
  // Where even stderr is gone, the exit code is all there is.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch(with_log_file_as_option({argv + 1, argv + argc}));
  } catch (const seep::Error& error) {
    return fail(error.what(), error.code());
  } catch (const std::exception& error) {
    return fail(error.what(), seep::ExitCode::kUnreadable);
  }
}
