// SPDX-License-Identifier: Apache-2.0
// A module's share in one Symbolizer::resolve(): which addresses are wanted, what the cache knows of them, who finds
// out about the others, and what the cache learns from that.
//
// In this order: open(); then look_up() of each slice, by any threads at once; then finish(). Each step by one thread.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "seep.pb.h"
#include "symbols/cached_symbols.h"
#include "symbols/frame.h"
#include "symbols/module_symbols.h"
#include "symbols/symbol_cache.h"

namespace seep {

// An address, and where its frames go.
struct WantedAddress {
  uint64_t offset;
  std::vector<Frame>* frames;
};

class ModuleLookup {
 public:
  // `symbols` is what an earlier look-up of this module opened, if there was one; it is left to the next. `cache` may
  // be null.
  ModuleLookup(const proto::Module& module, std::vector<WantedAddress> wanted, std::unique_ptr<ModuleSymbols>& symbols,
               const SymbolCache* cache);

  size_t wanted_count() const { return wanted_.size(); }
  // It takes time: there is a file to be read.
  bool has_file() const { return module_.path().starts_with('/'); }

  // How many addresses need not be looked up, because the cache has them.
  size_t open();

  // Into how many parts the rest is divided, for so many threads: one where another reader of the file would cost more
  // than it saves.
  size_t slices(size_t threads) const;
  // `done` is called for each address.
  void look_up(size_t slice, size_t of_slices, absl::FunctionRef<void()> done);

  // Where the file was missed, why.
  const std::string* missed() const;
  void finish();

 private:
  size_t take_from_cache();
  bool may_write() const;
  bool is_wanted(uint64_t offset) const;

  const proto::Module& module_;
  std::vector<WantedAddress> wanted_;   // In ascending order.
  std::vector<WantedAddress> unknown_;  // Those of them that the cache has not.
  std::unique_ptr<ModuleSymbols>& symbols_;
  const SymbolCache* cache_;
  std::string key_;  // Of the cache; empty: not for this module.
  std::string name_;
  std::vector<KnownAddress> known_;  // What the cache knows of others, and would lose.
};

}  // namespace seep
