// SPDX-License-Identifier: Apache-2.0
// From wanted addresses to frames, by way of the cache.
#include "symbols/module_lookup.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>
#include <elfutils/libdwfl.h>

#include <algorithm>
#include <utility>

#include "symbols/runtime_frames.h"
#include "symbols/stable_hash.h"

namespace seep {
namespace {

// So many addresses take longer to look up than a file takes to be opened again: with debug information, and without,
// where only the symbols are shared out.
constexpr size_t kSliceWithDebugInformation = 4096;
constexpr size_t kSliceOfSymbols = 1024;

// What of a key is the same for all modules: the program that writes, and the library that reads for it. What another
// build of it wrote is nothing to this one. Empty where it cannot be told.
const std::string& writer() {
  static const std::string text = [] {
    const std::string program = file_facts("/proc/self/exe");
    return program.empty() ? program : "written by " + program + "\nwith libdw " + dwfl_version(nullptr);
  }();
  return text;
}

std::string cache_name(const std::string& build_id, const std::string& key) {
  constexpr size_t kMostBuildIdBytes = 20;
  std::string name;
  for (const char byte : build_id.substr(0, kMostBuildIdBytes)) {
    name += absl::StrFormat("%02x", static_cast<unsigned char>(byte));
  }
  StableHash hash;
  hash.add(key);
  return name + absl::StrFormat("-%016x", hash.value());
}

// What every frame has, whoever named it. Few functions have many addresses: what depends on a name alone is found out
// once for each.
class Completion {
 public:
  explicit Completion(const std::string& module_path) : module_path_(module_path) {}

  void complete(std::vector<Frame>& frames, uint64_t offset) {
    for (Frame& frame : frames) {
      frame.module = module_path_;
      if (frame.named) {
        const ByName& facts = facts_of(frame.function);
        frame.runtime = facts.runtime;
        frame.identity = facts.identity;
      } else {
        frame.function = module_path_.empty() ? absl::StrFormat("0x%x", offset)
                                              : absl::StrFormat("%s+0x%x", module_base_name(module_path_), offset);
        frame.identity = hash_of(module_base_name(module_path_));
      }
    }
  }

 private:
  struct ByName {
    bool runtime;
    uint64_t identity;
  };

  static uint64_t hash_of(std::string_view name) {
    StableHash hash;
    hash.add(name);
    return hash.value();
  }

  const ByName& facts_of(const std::string& function) {
    const auto [known, is_new] = by_name_.try_emplace(function);
    if (is_new) known->second = {is_runtime_function(function), hash_of(function)};
    return known->second;
  }

  const std::string& module_path_;
  absl::flat_hash_map<std::string, ByName> by_name_;
};

bool is_before(const WantedAddress& left, const WantedAddress& right) { return left.offset < right.offset; }

// What the cache keeps of a frame.
std::vector<Frame> without_completion(const std::vector<Frame>& frames) {
  std::vector<Frame> kept;
  for (const Frame& frame : frames) {
    kept.push_back({.function = frame.named ? frame.function : std::string(),
                    .file = frame.file,
                    .line = frame.line,
                    .named = frame.named,
                    .inlined = frame.inlined});
  }
  return kept;
}

}  // namespace

ModuleLookup::ModuleLookup(const proto::Module& module, std::vector<WantedAddress> wanted,
                           std::unique_ptr<ModuleSymbols>& symbols, const SymbolCache* cache)
    : module_(module), wanted_(std::move(wanted)), symbols_(symbols), cache_(cache) {
  std::sort(wanted_.begin(), wanted_.end(), is_before);
}

size_t ModuleLookup::open() {
  if (symbols_ == nullptr) symbols_ = std::make_unique<ModuleSymbols>(module_);
  const auto sources = symbols_->sources();
  if (cache_ != nullptr && sources && !writer().empty()) {
    key_ = writer() + "\n" + *sources;
    name_ = cache_name(module_.build_id(), key_);
  }
  const size_t found = key_.empty() ? 0 : take_from_cache();
  for (const WantedAddress& address : wanted_) {
    if (address.frames->empty()) unknown_.push_back(address);
  }
  if (!unknown_.empty()) symbols_->load();
  return found;
}

size_t ModuleLookup::take_from_cache() {
  const auto bytes = cache_->read(name_);
  auto known = bytes ? decode_symbols(key_, *bytes) : std::nullopt;
  if (!known) return 0;
  Completion completion(module_.path());
  size_t found = 0;
  auto wanted = wanted_.begin();
  for (KnownAddress& address : *known) {
    while (wanted != wanted_.end() && wanted->offset < address.offset) ++wanted;
    if (wanted == wanted_.end() || wanted->offset != address.offset) {
      known_.push_back(std::move(address));
      continue;
    }
    *wanted->frames = std::move(address.frames);
    completion.complete(*wanted->frames, address.offset);
    ++found;
  }
  return found;
}

size_t ModuleLookup::slices(size_t threads) const {
  const size_t least = symbols_->has_debug_information() ? kSliceWithDebugInformation : kSliceOfSymbols;
  return std::clamp<size_t>(unknown_.size() / least, unknown_.empty() ? 0 : 1, threads);
}

void ModuleLookup::look_up(size_t slice, size_t of_slices, absl::FunctionRef<void()> done) {
  // Whoever reads debug information builds up what it has read. Symbols are only looked at.
  std::unique_ptr<ModuleSymbols> own;
  if (slice > 0 && symbols_->has_debug_information()) {
    own = symbols_->for_another_thread();
    if (own == nullptr) return;  // Somebody took the file away: finish() does what is left.
  }
  ModuleSymbols& symbols = own ? *own : *symbols_;
  Completion completion(module_.path());
  const size_t end = unknown_.size() * (slice + 1) / of_slices;
  for (size_t index = unknown_.size() * slice / of_slices; index < end; ++index) {
    *unknown_[index].frames = symbols.frames_at(unknown_[index].offset);
    completion.complete(*unknown_[index].frames, unknown_[index].offset);
    done();
  }
}

const std::string* ModuleLookup::missed() const {
  return has_file() && !symbols_->usable() ? &symbols_->why_not() : nullptr;
}

// After loading it may be known that the symbols depend on more than the key says.
bool ModuleLookup::may_write() const {
  const auto sources = symbols_->sources();
  return !key_.empty() && !unknown_.empty() && sources && key_ == writer() + "\n" + *sources;
}

bool ModuleLookup::is_wanted(uint64_t offset) const {
  return std::binary_search(wanted_.begin(), wanted_.end(), WantedAddress{offset, nullptr}, is_before);
}

// The cache gets what it had and what was found out; if that is too much, only what is wanted now.
void ModuleLookup::finish() {
  Completion completion(module_.path());
  for (const WantedAddress& address : unknown_) {
    if (!address.frames->empty()) continue;
    *address.frames = symbols_->frames_at(address.offset);
    completion.complete(*address.frames, address.offset);
  }
  if (!may_write()) return;
  std::vector<KnownAddress> all = std::move(known_);
  for (const WantedAddress& address : wanted_) {
    all.push_back({address.offset, without_completion(*address.frames)});
  }
  std::sort(all.begin(), all.end(),
            [](const KnownAddress& left, const KnownAddress& right) { return left.offset < right.offset; });
  std::string bytes = encode_symbols(key_, all);
  if (bytes.size() > SymbolCache::kMostFileBytes) {
    std::erase_if(all, [this](const KnownAddress& known) { return !is_wanted(known.offset); });
    bytes = encode_symbols(key_, all);
  }
  cache_->write(name_, bytes);
}

}  // namespace seep
