// SPDX-License-Identifier: Apache-2.0
// Asking a module's DWARF, then its symbols, then nobody.
#include "symbols/symbolizer.h"

#include <absl/strings/str_format.h>

#include <memory>
#include <optional>

#include "symbols/dwarf_frames.h"
#include "symbols/module_file.h"
#include "symbols/runtime_frames.h"
#include "symbols/stable_hash.h"
#include "symbols/symbol_table.h"

namespace seep {
namespace {

std::string identity_key(const proto::Module& module) {
  if (!module.build_id().empty()) return "build id " + module.build_id();
  return absl::StrFormat("%d %d %s", module.file_size_bytes(), module.file_modified_unix_ns(), module.path());
}

// What is known about one module's file, opened at the first question.
class ModuleSymbols {
 public:
  explicit ModuleSymbols(const proto::Module& module) : file_(ModuleFile::open(module, why_not_)) {
    if (file_ == nullptr) return;
    if (Dwarf* dwarf = file_->dwarf()) dwarf_frames_.emplace(dwarf);
    symbols_.emplace(*file_);
  }

  const std::string& why_not() const { return why_not_; }
  bool usable() const { return file_ != nullptr; }

  std::vector<Frame> frames_at(uint64_t offset) {
    std::vector<Frame> frames;
    if (dwarf_frames_) frames = dwarf_frames_->find(offset + file_->dwarf_bias());
    if (frames.empty()) frames.emplace_back();
    Frame& emitted = frames.back();
    if (!emitted.named && symbols_) {
      if (auto name = symbols_->find(offset)) {
        emitted.function = *name;
        emitted.named = true;
      }
    }
    return frames;
  }

 private:
  std::string why_not_;
  std::unique_ptr<ModuleFile> file_;
  std::optional<DwarfFrames> dwarf_frames_;
  std::optional<SymbolTable> symbols_;
};

uint64_t identity_of(const Frame& frame) {
  StableHash hash;
  hash.add(frame.named ? std::string_view(frame.function) : module_base_name(frame.module));
  return hash.value();
}

// What every frame has, whoever named it.
void complete(std::vector<Frame>& frames, const std::string& module_path, uint64_t offset) {
  for (Frame& frame : frames) {
    frame.module = module_path;
    if (!frame.named) {
      frame.function = module_path.empty() ? absl::StrFormat("0x%x", offset)
                                           : absl::StrFormat("%s+0x%x", module_base_name(module_path), offset);
    }
    frame.runtime = frame.named && is_runtime_function(frame.function);
    frame.identity = identity_of(frame);
  }
}

}  // namespace

Symbolizer::Symbolizer() : modules_(1) {}

Symbolizer::ModuleIndex Symbolizer::module_of(const proto::Module& module) {
  const auto [entry, added] =
      index_by_identity_.try_emplace(identity_key(module), static_cast<ModuleIndex>(modules_.size()));
  if (added) modules_.push_back({module, {}});
  return entry->second;
}

void Symbolizer::resolve(const std::function<void(size_t, size_t)>& progress) {
  size_t all = 0;
  for (const Module& module : modules_) all += module.requested;
  size_t done = 0;
  for (Module& module : modules_) {
    if (module.requested == 0) continue;
    progress(done, all);
    ModuleSymbols symbols(module.identity);
    const std::string& path = module.identity.path();
    const bool is_missing = !symbols.usable() && path.starts_with('/');
    if (is_missing && !module.is_missing) missing_.push_back({path, symbols.why_not()});
    module.is_missing = is_missing;
    for (auto& [offset, frames] : module.frames) {
      if (!frames.empty()) continue;
      frames = symbols.frames_at(offset);
      complete(frames, path, offset);
      progress(++done, all);
    }
    module.requested = 0;
  }
}

}  // namespace seep
