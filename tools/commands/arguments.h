// SPDX-License-Identifier: Apache-2.0
// What the commands share about their command lines: parsing with one way to fail, sizes and times, the terminal.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace seep {

// True: the command line was a request for help, and it has been printed. Throws an Error (kUsage) where it is wrong.
bool parse_arguments(CLI::App& app, std::vector<std::string> arguments);

// Of every command that looks up functions.
void add_symbol_cache_option(CLI::App& app, bool& no_symbol_cache);

// The line that help begins with.
void set_usage(CLI::App& app, const std::string& usage);

// "512k" -> 524288; suffixes k, m, g. Throws an Error (kUsage) that names the option.
uint64_t parse_size(const std::string& option, const std::string& text);

// "500ms" -> 500,000,000; units ns, us, ms, s, m, h; none: seconds. Throws an Error (kUsage) that names the option.
std::chrono::nanoseconds parse_duration(const std::string& option, const std::string& text);

// Whether the stream with this descriptor is a terminal that wants colours.
bool wants_color(int fd);

// Writes all of it, or throws an Error: a report that is cut without a word would be a lie.
void write_output(int fd, const std::string& text);

}  // namespace seep
