// SPDX-License-Identifier: Apache-2.0
// Going through the streams.
#include "compression/recording_compression.h"

#include <filesystem>

#include "compression/finished_streams.h"
#include "compression/stream_compression.h"
#include "formats/human.h"
#include "recording/opened_stream.h"
#include "recording/stream_listing.h"
#include "text.h"

namespace seep {

void RecordingCompression::add(const std::string& path) {
  try {
    std::error_code failed;
    if (!std::filesystem::is_directory(path, failed)) return add_stream(path);
    const std::vector<std::string> streams = streams_in(path);
    if (streams.empty()) throw Error(ExitCode::kUnreadable, path, "holds no recording (no *.seep in it)");
    for (const std::string& stream : streams) add_stream(stream);
  } catch (const Error& error) {
    problems_.push_back(error);
  }
}

void RecordingCompression::add_stream(const std::string& path) {
  try {
    if (OpenedStream(path).compressed()) {
      ++already_compressed_;
      return;
    }
    if (const auto why = why_not_finished(path, judge_)) {
      left_.push_back(printable(path) + ": left as it is: " + printable(*why));
      return;
    }
    const CompressedStream stream = compress_stream(path);
    ++compressed_;
    bytes_before_ += stream.bytes_before;
    bytes_after_ += stream.bytes_after;
  } catch (const Error& error) {
    problems_.push_back(error);
  }
}

std::string RecordingCompression::summary() const {
  std::string text = human_count(compressed_, "stream") + " compressed";
  if (compressed_ > 0) {
    text += ": " + human_bytes(static_cast<double>(bytes_before_)) + " before, " +
            human_bytes(static_cast<double>(bytes_after_)) + " after";
  }
  if (!left_.empty())
    text += "; " + human_count(left_.size()) + " left as " + (left_.size() == 1 ? "it is" : "they are");
  if (!problems_.empty()) text += "; " + human_count(problems_.size()) + " could not be";
  if (already_compressed_ > 0) {
    text +=
        "; " + human_count(already_compressed_) + (already_compressed_ == 1 ? " was" : " were") + " compressed already";
  }
  return text;
}

}  // namespace seep
