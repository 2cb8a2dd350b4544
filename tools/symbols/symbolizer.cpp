// SPDX-License-Identifier: Apache-2.0
// Dividing the work: first each module's file is opened and what the cache knows is taken from there, then the rest is
// looked up, the largest modules first.
#include "symbols/symbolizer.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "symbols/module_lookup.h"
#include "threads/parallel_tasks.h"

namespace seep {
namespace {

// Each thread of a large module reads its debug information anew.
constexpr size_t kMostThreads = 8;

size_t default_threads() { return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMostThreads); }

std::string identity_key(const proto::Module& module) {
  if (!module.build_id().empty()) return "build id " + module.build_id();
  return absl::StrFormat("%d %d %s", module.file_size_bytes(), module.file_modified_unix_ns(), module.path());
}

}  // namespace

// Counted by all threads, shown by the one that began.
class Symbolizer::Progress {
 public:
  Progress(size_t all, const std::function<void(size_t, size_t)>& show) : all_(all), show_(show) {}

  void add(size_t addresses) {
    const size_t done = done_.fetch_add(addresses, std::memory_order_relaxed) + addresses;
    if (std::this_thread::get_id() == shower_) show_(done, all_);
  }

 private:
  std::atomic<size_t> done_{0};
  size_t all_;
  const std::function<void(size_t, size_t)>& show_;
  std::thread::id shower_ = std::this_thread::get_id();
};

Symbolizer::Symbolizer(std::optional<SymbolCache> cache, size_t threads)
    : cache_(std::move(cache)), threads_(threads == 0 ? default_threads() : threads), modules_(1) {}

Symbolizer::ModuleIndex Symbolizer::module_of(const proto::Module& module) {
  const auto [entry, added] =
      index_by_identity_.try_emplace(identity_key(module), static_cast<ModuleIndex>(modules_.size()));
  if (added) modules_.emplace_back().identity = module;
  return entry->second;
}

void Symbolizer::resolve(const std::function<void(size_t, size_t)>& show_progress) {
  std::vector<Module*> asked;
  size_t all = 0;
  for (Module& module : modules_) {
    if (module.requested == 0) continue;
    asked.push_back(&module);
    all += module.requested;
  }
  if (asked.empty()) return;
  std::vector<ModuleLookup> lookups;
  for (Module* module : asked) {
    std::vector<WantedAddress> wanted;
    for (auto& [offset, frames] : module->frames) {
      if (frames.empty()) wanted.push_back({offset, &frames});
    }
    lookups.emplace_back(module->identity, std::move(wanted), module->symbols, cache_ ? &*cache_ : nullptr);
    module->requested = 0;
  }
  Progress progress(all, show_progress);
  progress.add(0);
  look_up(lookups, progress);
  for (size_t index = 0; index < asked.size(); ++index) {
    const std::string* why_missed = lookups[index].missed();
    if (why_missed != nullptr && !std::exchange(asked[index]->is_missing, true)) {
      missing_.push_back({asked[index]->identity.path(), *why_missed});
    }
  }
}

void Symbolizer::look_up(std::vector<ModuleLookup>& lookups, Progress& progress) const {
  struct Slice {
    ModuleLookup* lookup;
    size_t number, of;
  };
  std::vector<ModuleLookup*> by_size;
  for (ModuleLookup& lookup : lookups) by_size.push_back(&lookup);
  std::stable_sort(by_size.begin(), by_size.end(), [](const ModuleLookup* left, const ModuleLookup* right) {
    return std::pair(left->has_file(), left->wanted_count()) > std::pair(right->has_file(), right->wanted_count());
  });
  const auto files =
      std::count_if(by_size.begin(), by_size.end(), [](const auto* lookup) { return lookup->has_file(); });
  const size_t threads = std::min(threads_, static_cast<size_t>(files));
  run_tasks(by_size.size(), threads, [&](size_t index) { progress.add(by_size[index]->open()); });
  std::vector<Slice> slices;
  for (ModuleLookup* lookup : by_size) {
    const size_t count = lookup->slices(threads_);
    for (size_t number = 0; number < count; ++number) slices.push_back({lookup, number, count});
  }
  run_tasks(slices.size(), files > 0 ? threads_ : 1, [&](size_t index) {
    const Slice& slice = slices[index];
    slice.lookup->look_up(slice.number, slice.of, [&progress] { progress.add(1); });
  });
  run_tasks(by_size.size(), threads, [&](size_t index) { by_size[index]->finish(); });
}

}  // namespace seep
