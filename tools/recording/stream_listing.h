// SPDX-License-Identifier: Apache-2.0
// Which files are streams, by their names, and whose they are, by their beginnings. Reads only; one thread.
//
// X.seep.zst is X.seep, compressed. Both may be there: of one recording, where compressing was interrupted before the
// raw one was removed; or of two, where a later process got the name that was free again. The recording's number in the
// Header tells.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "recording/process_recording.h"

namespace seep {

inline constexpr char kStreamSuffix[] = ".seep";
inline constexpr char kCompressionSuffix[] = ".zst";

// `X.seep.zst`.
bool is_compressed_name(const std::filesystem::path& path);
// `X.seep` or `X.seep.zst`.
bool is_stream_name(const std::filesystem::path& path);

// All streams of a directory, sorted; an Error where it cannot be read.
std::vector<std::string> streams_in(const std::string& directory);

// Those that are to be read: without a compressed one whose raw one is there, too.
std::vector<std::string> streams_to_read(const std::string& directory);

// When a directory entry was last recorded into, if it is a recording at all: a `seep.*` directory, or a stream.
std::optional<std::filesystem::file_time_type> recording_time(const std::filesystem::directory_entry& entry);

// The first message alone, if it is a Header: who it is, and where its region was. Throws an Error where the file
// cannot be read.
ProcessRecording beginning_of(const std::string& stream_path);

// Whether both files begin with the Header of one recording.
bool are_of_one_recording(const std::string& left, const std::string& right);

}  // namespace seep
