// SPDX-License-Identifier: Apache-2.0
// Choosing formats, naming and writing files.
#include "commands/outputs.h"

#include <cstdlib>
#include <filesystem>

#include "error.h"
#include "formats/text_parts.h"
#include "gate/text_file.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

// The work tree that the working directory is in, else the working directory.
std::string default_source_root() {
  std::error_code failed;
  const fs::path here = fs::current_path(failed);
  for (fs::path directory = here; !directory.empty(); directory = directory.parent_path()) {
    if (fs::exists(directory / ".git", failed)) return directory.string();
    if (directory == directory.root_path()) break;
  }
  return here.string();
}

// `%p` the pid, `%e` the executable's name, `%%` a percent sign, as in the names of streams.
std::string file_name(const std::string& pattern, const Profile& profile) {
  std::string name;
  for (size_t at = 0; at < pattern.size(); ++at) {
    const char next = pattern[at] == '%' && at + 1 < pattern.size() ? pattern[at + 1] : '\0';
    const bool known = next == '%' || next == 'p' || next == 'e';
    if (!known) name += pattern[at];
    if (known) ++at;
    if (next == '%') name += '%';
    if (next == 'p' && !profile.processes.empty()) name += std::to_string(profile.processes.front().pid);
    if (next == 'e' && !profile.processes.empty()) name += program_name(profile.processes.front());
  }
  return name == "-" ? "/dev/stdout" : name;
}

std::string names_of_formats(bool (*has)(const Format& format)) {
  std::string names;
  for (const Format& format : all_formats()) {
    if (has(format)) names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

}  // namespace

void add_output_options(CLI::App& app, OutputArguments& arguments, const std::string& group, CLI::Option* needed,
                        bool (*has)(const Format& format)) {
  const auto add = [&](CLI::Option* option, const char* type) {
    if (type != nullptr) option->type_name(type);
    option->group(group);
    if (needed != nullptr) option->needs(needed);
    return option;
  };
  add(app.add_option("--format", arguments.format, "what is shown: " + names_of_formats(has) + " (default: text)"),
      "FORMAT");
  for (const Format& format : all_formats()) {
    if (!has(format)) continue;
    const auto take = [&arguments, &format](const std::string& path) { arguments.files.emplace_back(&format, path); };
    const std::string what = "also into a file (%e program, %p pid): " + std::string(format.description);
    add(app.add_option_function<std::string>("--" + std::string(format.name), take, what), "FILE")->trigger_on_parse();
  }
  add(app.add_flag("--github", arguments.github,
                   "annotations behind what is shown, and Markdown into $GITHUB_STEP_SUMMARY"),
      nullptr);
  add(app.add_option("--source-root", arguments.source_root,
                     "sources are named relative to it (default: the work tree of git, or this directory)"),
      "DIR");
  add(app.add_option("--top", arguments.top, "show only the first N sites"), "N")->check(CLI::NonNegativeNumber);
}

Outputs::Outputs(OutputArguments arguments, bool (*has)(const Format& format)) : arguments_(std::move(arguments)) {
  format_ = find_format(arguments_.format);
  if (format_ == nullptr || !has(*format_)) {
    throw Error(ExitCode::kUsage, "--format: '" + arguments_.format + "' is none of " + names_of_formats(has));
  }
  std::error_code failed;
  for (const auto& [format, path] : arguments_.files) {
    const fs::path parent = fs::absolute(path, failed).parent_path();
    if (path.empty() || !fs::is_directory(parent, failed)) {
      throw Error(ExitCode::kUsage, "--" + std::string(format->name), "'" + path + "' is in no directory");
    }
  }
  source_root_ =
      arguments_.source_root.empty() ? default_source_root() : fs::canonical(arguments_.source_root, failed).string();
  if (source_root_.empty()) {
    throw Error(ExitCode::kUsage, "--source-root", "'" + arguments_.source_root + "' is no directory");
  }
}

std::string Outputs::write(const Profile& profile, ReportOptions shown, const Writer& writer) const {
  shown.source_root = source_root_;
  shown.top = arguments_.top;
  ReportOptions plain = shown;
  plain.color = false;
  plain.short_report = false;
  const auto text_of = [&](const Format& format) {
    std::string output;
    writer(format, plain, output);
    return output;
  };
  for (const auto& [format, path] : arguments_.files) replace_text_file(file_name(path, profile), text_of(*format));
  std::string output;
  writer(*format_, shown, output);
  if (!arguments_.github) return output;
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary != nullptr && *summary != '\0') append_to_text_file(summary, text_of(*find_format("markdown")));
  return output + text_of(*find_format("annotations"));
}

}  // namespace seep
