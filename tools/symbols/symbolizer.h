// SPDX-License-Identifier: Apache-2.0
// The symbolizer: from (module, offset) to logical frames, each address once.
//
// Use: module_of() for all modules, request() for everything that will be asked for, resolve(), then frames(); then
// request() what turns out to be wanted besides, and resolve() again. Frames stay where they are. Work is grouped by
// module, and modules share nothing, so that resolve() can give each to a thread of its own; today it uses the
// caller's. Never throws for want of symbols: what has none is "module+0xoffset", and missing() says why.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "seep.pb.h"
#include "symbols/frame.h"

namespace seep {

class Symbolizer {
 public:
  using ModuleIndex = uint32_t;
  static constexpr ModuleIndex kNoModule = 0;  // Code outside any file.

  struct MissingFile {
    std::string path;
    std::string reason;  // In words that follow the path.
  };

  Symbolizer();

  // The same for the same file, whatever process it was recorded in.
  ModuleIndex module_of(const proto::Module& module);
  void request(ModuleIndex module, uint64_t offset) {
    if (modules_[module].frames.try_emplace(offset).second) ++modules_[module].requested;
  }

  // `progress(done, all)` counts addresses.
  void resolve(const std::function<void(size_t, size_t)>& progress);

  // Innermost first, never empty. The address must have been requested, and resolved.
  const std::vector<Frame>& frames(ModuleIndex module, uint64_t offset) const {
    return modules_[module].frames.at(offset);
  }

  // Files that could not be used, and whose functions may lack names therefore.
  const std::vector<MissingFile>& missing() const { return missing_; }

 private:
  struct Module {
    proto::Module identity;
    absl::flat_hash_map<uint64_t, std::vector<Frame>> frames;  // Empty: requested, and not resolved yet.
    size_t requested = 0;                                      // So many of them.
    bool is_missing = false;
  };

  std::vector<Module> modules_;
  absl::flat_hash_map<std::string, ModuleIndex> index_by_identity_;
  std::vector<MissingFile> missing_;
};

}  // namespace seep
