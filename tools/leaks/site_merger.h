// SPDX-License-Identifier: Apache-2.0
// Merging the traces of all processes to sites, by fingerprint. A stage of build_profile(); one thread.
//
// Use: add() each process, with all its addresses resolved; request_freeing_stacks() and resolve those; then take.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "leaks/profile.h"
#include "leaks/suppressions.h"
#include "recording/process_recording.h"
#include "symbols/symbolizer.h"

namespace seep {

// The modules of one process, as the symbolizer numbers them.
class ProcessModules {
 public:
  ProcessModules(const ProcessRecording& process, Symbolizer& symbolizer) {
    for (const auto& [id, module] : process.modules()) index_by_id_[id] = symbolizer.module_of(module);
  }

  Symbolizer::ModuleIndex operator[](uint32_t module_id) const {
    const auto found = index_by_id_.find(module_id);
    return found == index_by_id_.end() ? Symbolizer::kNoModule : found->second;
  }

 private:
  absl::flat_hash_map<uint32_t, Symbolizer::ModuleIndex> index_by_id_;
};

// A trace, and where it is from. Nothing is owned.
struct TraceOf {
  const ProcessRecording* process = nullptr;
  const ProcessModules* modules = nullptr;
  const TraceRecord* trace = nullptr;
};

// A site while traces are being merged into it.
struct SiteUnderWay {
  // The stack that the blocks of one trace are mostly freed from.
  struct Freeing {
    TraceOf stack;
    uint64_t frees_seen;
  };

  Site site;
  std::set<std::string> thread_names;
  TraceOf shown;  // The trace whose frames are shown, and by what it is: lost, live and allocated bytes.
  std::tuple<double, double, double> shown_for = {-1, -1, -1};
  const ProcessRecording* last_process = nullptr;
  absl::flat_hash_set<size_t> stacks;  // Hashes of those that are told apart by a reader: one may be in many processes.
  std::vector<Freeing> freeings;
  uint64_t frees_looked_at = 0;
};

// Memory: besides what is counted for a site, that of a trace, not of its depth. Only which trace is shown is noted;
// its frames come at the end, into a tree that shares what the frame trees of the processes share, so the stacks of all
// sites together take no more than those trees, once for each frame that the compiler inlined.
class SiteMerger {
 public:
  explicit SiteMerger(const Symbolizer& symbolizer);

  // `shift_ns`: how much later than the first process this one began. `span`: if its growth is told.
  void add(const ProcessRecording& process, const ProcessModules& modules, uint64_t shift_ns,
           const std::optional<GrowthSpan>& span);

  // Asks for the frames of the stacks that blocks of leaking sites are freed from.
  void request_freeing_stacks(Symbolizer& symbolizer) const;

  std::vector<Site> take_ranked();
  std::vector<UnknownFrees> take_unknown_frees();

  // Traces whose outer frames could not be found, however deep a trace was allowed to be.
  size_t cut_traces() const { return cut_traces_; }
  // Lines of the programs' own suppressions that were not understood.
  size_t unknown_suppressions() const;

 private:
  Stack stack_of(const TraceOf& trace) const;
  void add_trace(SiteUnderWay& under_way, const TraceOf& added, const Stack& stack, uint64_t shift_ns);
  void add_judgement(SiteUnderWay& under_way, const TraceOf& judged, const Judgement& judgement, const Stack& stack);
  void add_unknown_frees(const TraceOf& freed);
  std::optional<FreedFrom> mostly_freed_from(const SiteUnderWay& under_way);
  void show_stack(ShownStack& shown, const TraceOf& trace);
  StackTree::Node keep(const TraceOf& trace);

  const Symbolizer& symbolizer_;
  Frame lost_;
  Frame none_;
  std::shared_ptr<StackTree> stacks_ = std::make_shared<StackTree>();
  // Where the frames of a process's tree are in that of the sites.
  std::map<const ProcessRecording*, absl::flat_hash_map<FrameTree::Node, StackTree::Node>> kept_;
  absl::flat_hash_map<uint64_t, SiteUnderWay> sites_;
  absl::flat_hash_map<uint64_t, UnknownFrees> unknown_frees_;
  std::map<std::string, Suppressions> suppressions_;  // By their text: children have their parents'.
  size_t cut_traces_ = 0;
};

}  // namespace seep
