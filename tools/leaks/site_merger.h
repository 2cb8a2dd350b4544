// SPDX-License-Identifier: Apache-2.0
// Merging the traces of all processes to sites, by fingerprint. A stage of build_profile(); one thread.
//
// Use: add() each process, with all its stacks looked up; want_freeing_stacks(), and look those up; then take.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "leaks/process_stacks.h"
#include "leaks/profile.h"
#include "leaks/suppressions.h"
#include "recording/process_recording.h"

namespace seep {

// A trace, and where it is from. Nothing is owned.
struct TraceOf {
  const ProcessRecording* process = nullptr;
  ProcessStacks* stacks = nullptr;
  const TraceRecord* trace = nullptr;
};

// What a site needs while traces are being merged into it, and not afterwards.
struct SiteUnderWay {
  // The stack that the blocks of one trace are mostly freed from.
  struct Freeing {
    TraceOf stack;
    uint64_t frees_seen;
  };

  TraceOf shown;  // The trace whose frames are shown, and by what it is: lost, live and allocated bytes.
  std::tuple<double, double, double> shown_for = {-1, -1, -1};
  const ProcessRecording* last_process = nullptr;
  size_t stacks = 0;
  std::vector<uint32_t> thread_names;  // Numbers; each once.
  std::vector<Freeing> freeings;
  uint64_t frees_looked_at = 0;
};

// Memory: besides what is counted for a site, that of a trace, not of its depth. Only which trace is shown is noted;
// its frames come at the end, into a tree that shares what the frame trees of the processes share, so the stacks of all
// sites together take no more than those trees, once for each frame that the compiler inlined.
class SiteMerger {
 public:
  SiteMerger();

  // `shift_ns`: how much later than the first process this one began. `span`: if its growth is told. The process and
  // its stacks must outlive this.
  void add(const ProcessRecording& process, ProcessStacks& stacks, uint64_t shift_ns,
           const std::optional<GrowthSpan>& span);

  // Wants the stacks that blocks of leaking sites are freed from.
  void want_freeing_stacks() const;

  std::vector<Site> take_ranked();
  std::vector<UnknownFrees> take_unknown_frees();

  // Traces whose outer frames could not be found, however deep a trace was allowed to be.
  size_t cut_traces() const { return cut_traces_; }
  // Lines of the programs' own suppressions that were not understood.
  size_t unknown_suppressions() const;

 private:
  // Where the frames of a process's tree are in that of the sites.
  struct Kept {
    std::vector<StackTree::Node> nodes;  // By node: the innermost of its frames.
    std::vector<uint32_t> numbers;       // By place: of the innermost of its frames.
  };

  ProcessStacks::Traits traits_of(const TraceOf& trace) const;
  Stack stack_of(const TraceOf& trace) const;
  const Frame& stand_in(const TraceOf& trace) const;
  bool is_cut(const TraceOf& trace) const;
  std::vector<uint32_t> sort_into_sites(const ProcessRecording& process, ProcessStacks& stacks);
  uint32_t site_number(uint64_t fingerprint);
  void add_trace(uint32_t number, const TraceOf& added, uint64_t shift_ns);
  void add_thread_names(uint32_t number, const TraceOf& added);
  uint32_t thread_name_number(const ProcessRecording& process, uint32_t id);
  Judgement add_judgement(uint32_t number, const TraceOf& judged);
  void add_freeing(SiteUnderWay& under_way, const TraceOf& judged);
  void add_leaked(Site& site, const TraceOf& judged, const Judgement& judgement);
  void add_unknown_frees(const TraceOf& freed, uint64_t fingerprint);
  std::optional<FreedFrom> mostly_freed_from(const SiteUnderWay& under_way);
  void show_stack(ShownStack& shown, const TraceOf& trace);
  StackTree::Node keep(const TraceOf& trace);
  void finish(uint32_t number);

  Frame lost_;
  Frame none_;
  std::shared_ptr<StackTree> stacks_ = std::make_shared<StackTree>();
  std::map<const ProcessRecording*, Kept> kept_;
  // Both by the numbers of sites. There may be very many, so that each is made once, where it stays until the end.
  std::vector<Site> sites_;
  std::deque<SiteUnderWay> under_way_;
  absl::flat_hash_map<uint64_t, uint32_t> site_by_fingerprint_;
  absl::flat_hash_set<uint64_t> stack_hashes_;
  std::vector<std::string> thread_names_;  // By number.
  absl::flat_hash_map<std::string, uint32_t> number_by_thread_name_;
  absl::flat_hash_map<uint32_t, uint32_t> number_by_thread_id_;  // In the stream of the process that is being added.
  absl::flat_hash_map<uint64_t, UnknownFrees> unknown_frees_;
  std::map<std::string, Suppressions> suppressions_;  // By their text: children have their parents'.
  size_t cut_traces_ = 0;
};

}  // namespace seep
