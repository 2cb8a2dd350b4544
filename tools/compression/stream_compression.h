// SPDX-License-Identifier: Apache-2.0
// A raw stream becomes a compressed one, and a compressed one a raw one. What was written is read back and compared
// before the file that it was made of is removed. Judges nothing: whether a stream may be replaced is
// finished_streams.h's. One thread.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

struct CompressedStream {
  std::string path;
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;
};

// X.seep becomes X.seep.zst; where that is another recording's, X.2.seep.zst. Throws an Error; then it is as it was.
CompressedStream compress_stream(const std::string& path);

// X.seep.zst becomes `raw_name` in its directory, for somebody who goes on writing. Throws an Error where that is
// there, or where not all of it can be decompressed; then it is as it was.
void restore_stream(const std::string& path, const std::string& raw_name);

}  // namespace seep
