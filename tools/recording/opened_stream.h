// SPDX-License-Identifier: Apache-2.0
// A stream's file, opened to be read, whether it is compressed or not: its first bytes say it, not its name. One
// thread.
#pragma once

#include <optional>
#include <string>

#include "recording/byte_source.h"
#include "recording/decompressing_source.h"

namespace seep {

class OpenedStream {
 public:
  // Throws an Error where it must not or cannot be read, as FileSource does.
  explicit OpenedStream(const std::string& path) : file_(path) {
    if (is_compressed(file_)) decompressing_.emplace(file_);
  }

  // Of the raw stream.
  ByteSource& bytes() {
    if (decompressing_) return *decompressing_;
    return file_;
  }
  FileSource& file() { return file_; }
  bool compressed() const { return decompressing_.has_value(); }
  // Known when all has been read.
  std::optional<CompressionDamage> damage() const { return decompressing_ ? decompressing_->damage() : std::nullopt; }

 private:
  FileSource file_;
  std::optional<DecompressingSource> decompressing_;
};

}  // namespace seep
