// SPDX-License-Identifier: Apache-2.0
// The symbolizer: from (module, offset) to logical frames, each address once.
//
// Use: module_of() for all modules, request() for everything that will be asked for, resolve(), then frames(); then
// request() what turns out to be wanted besides, and resolve() again. Frames stay where they are. Modules share
// nothing, and large ones are looked up in parts, so resolve() works on several threads; all else is for one. Never
// throws for want of symbols: what has none is "module+0xoffset", and missing() says why.
//
// A cache saves looking up again what was looked up before; frames are the same with and without.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "seep.pb.h"
#include "symbols/frame.h"
#include "symbols/module_symbols.h"
#include "symbols/symbol_cache.h"

namespace seep {

class Symbolizer {
 public:
  using ModuleIndex = uint32_t;
  static constexpr ModuleIndex kNoModule = 0;  // Code outside any file.

  struct MissingFile {
    std::string path;
    std::string reason;  // In words that follow the path.
  };

  // `threads`: at most so many at once; 0: as many as there are processors, up to a bound.
  explicit Symbolizer(std::optional<SymbolCache> cache = std::nullopt, size_t threads = 0);

  // The same for the same file, whatever process it was recorded in.
  ModuleIndex module_of(const proto::Module& module);
  void request(ModuleIndex module, uint64_t offset) {
    if (modules_[module].frames.try_emplace(offset).second) ++modules_[module].requested;
  }

  // `progress(done, all)` counts addresses. It is called by this thread alone.
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
    std::unique_ptr<ModuleSymbols> symbols;  // Once something was asked for.
  };
  class Progress;

  void look_up(std::vector<class ModuleLookup>& lookups, Progress& progress) const;

  std::optional<SymbolCache> cache_;
  size_t threads_;

  std::deque<Module> modules_;
  absl::flat_hash_map<std::string, ModuleIndex> index_by_identity_;
  std::vector<MissingFile> missing_;
};

}  // namespace seep
