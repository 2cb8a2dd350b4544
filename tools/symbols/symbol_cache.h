// SPDX-License-Identifier: Apache-2.0
// The symbol cache: files of one user in one directory, found by name, with a bound on what they take in all; those
// that have not been used for longest go first. What is in them is the caller's (see cached_symbols.h).
//
// It only ever saves time: where the directory cannot be used, nothing is read and nothing written, and nobody is told.
// Any number of threads and processes may use it at once: a file is written under another name and renamed, so that
// who reads has the one before or the one after, whole. Only the user's own files in a directory that is the user's and
// that nobody else may write to are read, and all of it is made for the user alone (mode 0600 and 0700).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "symbols/file_facts.h"

namespace seep {

class SymbolCache {
 public:
  static constexpr uint64_t kMostBytes = 64u << 20;
  static constexpr size_t kMostFileBytes = 8u << 20;

  // $XDG_CACHE_HOME/seep, or ~/.cache/seep where that is not set. Nothing where HOME is neither.
  static std::optional<SymbolCache> of_user();

  // `seep` in a directory that is there, or whose parent is: then it is made when something is written.
  explicit SymbolCache(std::string parent, uint64_t most_bytes = kMostBytes)
      : parent_(std::move(parent)), most_bytes_(most_bytes) {}

  // Nothing where there is no such file, or it is larger than one may be. It counts as used now.
  std::optional<std::string> read(const std::string& name) const;

  // In place of what has the name, if anything has.
  void write(const std::string& name, std::string_view bytes) const;

 private:
  enum class Missing { kIsMade, kIsNone };

  FileDescriptor open_directory(Missing missing) const;
  void make_room(int directory) const;

  std::string parent_;
  uint64_t most_bytes_;
};

}  // namespace seep
