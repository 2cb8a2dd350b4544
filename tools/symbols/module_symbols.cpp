// SPDX-License-Identifier: Apache-2.0
// Asking a module's DWARF, then its symbols.
#include "symbols/module_symbols.h"

#include <utility>

namespace seep {

void ModuleSymbols::load() {
  if (file_ == nullptr || std::exchange(loaded_, true)) return;
  if (Dwarf* dwarf = file_->dwarf()) dwarf_frames_.emplace(dwarf);
  if (symbols_ == nullptr) symbols_ = std::make_shared<const SymbolTable>(*file_);
}

std::unique_ptr<ModuleSymbols> ModuleSymbols::for_another_thread() const {
  std::unique_ptr<ModuleSymbols> other(new ModuleSymbols(module_, symbols_));
  if (!other->usable()) return nullptr;
  other->load();
  return other;
}

std::vector<Frame> ModuleSymbols::frames_at(uint64_t offset) {
  std::vector<Frame> frames;
  if (dwarf_frames_) frames = dwarf_frames_->find(offset + file_->dwarf_bias());
  if (frames.empty()) frames.emplace_back();
  Frame& emitted = frames.back();
  if (emitted.named || symbols_ == nullptr) return frames;
  if (auto name = symbols_->find(offset)) {
    emitted.function = *name;
    emitted.named = true;
  }
  return frames;
}

std::optional<std::string> ModuleSymbols::sources() const {
  if (file_ == nullptr || (dwarf_frames_ && dwarf_frames_->is_split())) return std::nullopt;
  return file_->sources();
}

}  // namespace seep
