// SPDX-License-Identifier: Apache-2.0
// What can be found out about addresses of one module: from its debug information, else from its symbols.
//
// One thread at a time. Several threads use several, which share the symbols.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "seep.pb.h"
#include "symbols/dwarf_frames.h"
#include "symbols/frame.h"
#include "symbols/module_file.h"
#include "symbols/symbol_table.h"

namespace seep {

class ModuleSymbols {
 public:
  // Finds the file, and no more. Where there is none, why_not() says so, in words that follow the path.
  explicit ModuleSymbols(const proto::Module& module) : ModuleSymbols(module, nullptr) {}

  bool usable() const { return file_ != nullptr; }
  const std::string& why_not() const { return why_not_; }

  // Reads debug information and symbols, unless it has. To be called before frames_at().
  void load();
  bool has_debug_information() const { return dwarf_frames_.has_value(); }

  // Another one for the same module, loaded. Null where the file has gone meanwhile.
  std::unique_ptr<ModuleSymbols> for_another_thread() const;

  // Frames with function, file, line, `named` and `inlined`; never empty.
  std::vector<Frame> frames_at(uint64_t offset);

  // All that frames_at() depends on, in words; nothing where that cannot be said. After loading it may be that more is
  // known: then it is nothing, or something else than before.
  std::optional<std::string> sources() const;

 private:
  ModuleSymbols(const proto::Module& module, std::shared_ptr<const SymbolTable> symbols)
      : module_(module), file_(ModuleFile::open(module, why_not_)), symbols_(std::move(symbols)) {}

  proto::Module module_;
  std::string why_not_;
  std::unique_ptr<ModuleFile> file_;
  bool loaded_ = false;
  std::optional<DwarfFrames> dwarf_frames_;
  std::shared_ptr<const SymbolTable> symbols_;
};

}  // namespace seep
