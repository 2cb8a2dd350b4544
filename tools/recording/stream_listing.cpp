// SPDX-License-Identifier: Apache-2.0
// Names and beginnings of streams.
#include "recording/stream_listing.h"

#include <algorithm>

#include "error.h"
#include "recording/opened_stream.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

// Whether it is the same as the raw stream of its name, which then says all.
bool is_second_copy(const std::string& path) {
  if (!is_compressed_name(path)) return false;
  const std::string raw = fs::path(path).replace_extension().string();
  std::error_code failed;
  return fs::is_regular_file(fs::symlink_status(raw, failed)) && are_of_one_recording(raw, path);
}

std::optional<fs::file_time_type> newest_stream_time(const fs::path& directory) {
  std::optional<fs::file_time_type> newest;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, failed)) {
    if (!is_stream_name(entry.path()) || !entry.is_regular_file(failed)) continue;
    const auto time = entry.last_write_time(failed);
    if (!failed && (!newest || time > *newest)) newest = time;
  }
  return newest;
}

}  // namespace

bool is_compressed_name(const fs::path& path) {
  return path.extension() == kCompressionSuffix && path.stem().extension() == kStreamSuffix;
}

bool is_stream_name(const fs::path& path) { return path.extension() == kStreamSuffix || is_compressed_name(path); }

std::vector<std::string> streams_in(const std::string& directory) {
  std::vector<std::string> streams;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, failed)) {
    if (is_stream_name(entry.path())) streams.push_back(entry.path().string());
  }
  if (failed) throw Error(ExitCode::kUnreadable, directory, failed.message());
  std::sort(streams.begin(), streams.end());
  return streams;
}

std::vector<std::string> streams_to_read(const std::string& directory) {
  std::vector<std::string> streams = streams_in(directory);
  std::erase_if(streams, is_second_copy);
  return streams;
}

std::optional<fs::file_time_type> recording_time(const fs::directory_entry& entry) {
  std::error_code failed;
  if (entry.is_symlink(failed)) return std::nullopt;
  if (entry.is_directory(failed)) {
    return entry.path().filename().string().starts_with("seep.") ? newest_stream_time(entry.path()) : std::nullopt;
  }
  if (!is_stream_name(entry.path()) || !entry.is_regular_file(failed)) return std::nullopt;
  const auto time = entry.last_write_time(failed);
  return failed ? std::nullopt : std::optional(time);
}

ProcessRecording beginning_of(const std::string& stream_path) {
  ProcessRecording process(stream_path);
  OpenedStream stream(stream_path);
  StreamReader reader(stream.bytes());
  proto::Message message;
  if (reader.next(message) && message.has_header()) process.apply(message, 0);
  return process;
}

bool are_of_one_recording(const std::string& left, const std::string& right) {
  try {
    const std::string id = beginning_of(left).header().recording_id();
    return !id.empty() && id == beginning_of(right).header().recording_id();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace seep
