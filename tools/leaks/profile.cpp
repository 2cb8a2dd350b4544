// SPDX-License-Identifier: Apache-2.0
// From streams to sites: request every address, symbolize, then merge traces by fingerprint.
#include "leaks/profile.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "leaks/fingerprint.h"
#include "leaks/process_summary.h"

namespace seep {
namespace {

constexpr char kLostStack[] = "[stack lost with a damaged message]";
constexpr char kNoStack[] = "[no stack]";

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

// The loader's entry has no unwind information, and needs none: nothing called it.
bool is_cut(const TraceRecord& trace, const Stack& stack) {
  return trace.cut != proto::Trace::WHOLE && !is_entry_point(*stack.back());
}

Growth growth_in(const GrowthSpan& span, const ProcessRecording& process, const TraceRecord& trace) {
  return growth_of(ProcessRecording::sums_at(trace, span.from), ProcessRecording::sums_at(trace, span.to),
                   process.exact());
}

// A site while traces are being merged into it.
struct SiteUnderWay {
  Site site;
  std::set<std::string> thread_names;
  // The trace whose frames are shown.
  const TraceRecord* shown = nullptr;
  const ProcessRecording* shown_process = nullptr;
  const ProcessModules* shown_modules = nullptr;
  double shown_live_bytes = -1;
  double shown_alloc_bytes = -1;
  const ProcessRecording* last_process = nullptr;
  absl::flat_hash_set<size_t> stacks;  // Hashes of those that are told apart by a reader: one may be in many processes.
};

// Memory: besides what is counted for a site, that of a trace, not of its depth. Only which trace is shown is noted;
// its frames come at the end, into a tree that shares what the frame trees of the processes share, so the stacks of all
// sites together take no more than those trees, once for each frame that the compiler inlined.
class SiteMerger {
 public:
  explicit SiteMerger(const Symbolizer& symbolizer) : symbolizer_(symbolizer) {
    lost_.function = kLostStack;
    none_.function = kNoStack;
  }

  // `shift_ns`: how much later than the first process this one began. `span`: if its growth is told.
  void add(const ProcessRecording& process, const ProcessModules& modules, uint64_t shift_ns,
           const std::optional<GrowthSpan>& span) {
    for (const auto& [id, trace] : process.traces()) {
      if (trace.counters.unknown_frees() != 0) add_unknown_frees(process, modules, trace);
      if (trace.counters.alloc_blocks() == 0) continue;
      const Stack stack = stack_of(process, modules, trace);
      SiteUnderWay& under_way = sites_[fingerprint_of(stack)];
      under_way.stacks.insert(absl::HashOf(stack));
      add_trace(under_way, process, modules, trace, shift_ns);
      if (span) under_way.site.growth += growth_in(*span, process, trace);
      if (trace.cut != proto::Trace::DEPTH_LIMIT && is_cut(trace, stack)) ++cut_traces_;
    }
  }

  std::vector<Site> take_ranked();
  std::vector<UnknownFrees> take_unknown_frees();

  // Traces whose outer frames could not be found, however deep a trace was allowed to be.
  size_t cut_traces() const { return cut_traces_; }

 private:
  Stack stack_of(const ProcessRecording& process, const ProcessModules& modules, const TraceRecord& trace) const;
  static void add_trace(SiteUnderWay& under_way, const ProcessRecording& process, const ProcessModules& modules,
                        const TraceRecord& trace, uint64_t shift_ns);
  void add_unknown_frees(const ProcessRecording& process, const ProcessModules& modules, const TraceRecord& trace);
  void show_stack(ShownStack& shown, const ProcessRecording& process, const ProcessModules& modules,
                  const TraceRecord& trace);
  StackTree::Node keep(const ProcessRecording& process, const ProcessModules& modules, const TraceRecord& trace);

  const Symbolizer& symbolizer_;
  Frame lost_;
  Frame none_;
  std::shared_ptr<StackTree> stacks_ = std::make_shared<StackTree>();
  // Where the frames of a process's tree are in that of the sites.
  std::map<const ProcessRecording*, absl::flat_hash_map<FrameTree::Node, StackTree::Node>> kept_;
  absl::flat_hash_map<uint64_t, SiteUnderWay> sites_;
  absl::flat_hash_map<uint64_t, UnknownFrees> unknown_frees_;
  size_t cut_traces_ = 0;
};

Stack SiteMerger::stack_of(const ProcessRecording& process, const ProcessModules& modules,
                           const TraceRecord& trace) const {
  Stack stack;
  process.frames().for_each_frame(trace.innermost, [&](const FrameTree::Frame& frame) {
    for (const Frame& logical : symbolizer_.frames(modules[frame.module_id], frame.offset)) stack.push_back(&logical);
  });
  // Counters whose trace was never read have no first allocation either.
  if (stack.empty()) stack.push_back(trace.first_allocated_ns == 0 ? &lost_ : &none_);
  return stack;
}

void SiteMerger::add_trace(SiteUnderWay& under_way, const ProcessRecording& process, const ProcessModules& modules,
                           const TraceRecord& trace, uint64_t shift_ns) {
  Site& site = under_way.site;
  const Activity activity = activity_of(trace.counters, process.exact());
  const uint64_t first_ns = trace.first_allocated_ns + shift_ns;
  site.first_allocated_ns = under_way.shown == nullptr ? first_ns : std::min(site.first_allocated_ns, first_ns);
  site.last_allocated_ns = std::max(site.last_allocated_ns, trace.counters.last_allocated_ns() + shift_ns);
  site.activity += activity;
  if (under_way.last_process != &process) ++site.processes;
  under_way.last_process = &process;
  for (const uint32_t id : trace.counters.thread_name_ids()) under_way.thread_names.insert(process.thread_name(id));
  site.more_thread_names |= trace.counters.more_thread_names();

  const double live_bytes = activity.live.bytes.value();
  const double alloc_bytes = activity.alloc.bytes.value();
  if (std::pair(live_bytes, alloc_bytes) <= std::pair(under_way.shown_live_bytes, under_way.shown_alloc_bytes)) return;
  under_way.shown_live_bytes = live_bytes;
  under_way.shown_alloc_bytes = alloc_bytes;
  under_way.shown = &trace;
  under_way.shown_process = &process;
  under_way.shown_modules = &modules;
}

// Of equal fingerprints the first is shown: they differ in lines, if in anything.
void SiteMerger::add_unknown_frees(const ProcessRecording& process, const ProcessModules& modules,
                                   const TraceRecord& trace) {
  UnknownFrees& freed = unknown_frees_[fingerprint_of(stack_of(process, modules, trace))];
  if (freed.frees == 0) show_stack(freed, process, modules, trace);
  freed.frees += trace.counters.unknown_frees();
}

std::vector<UnknownFrees> SiteMerger::take_unknown_frees() {
  std::vector<UnknownFrees> ranked;
  for (auto& [fingerprint, freed] : unknown_frees_) ranked.push_back(std::move(freed));
  std::sort(ranked.begin(), ranked.end(), [](const UnknownFrees& left, const UnknownFrees& right) {
    return std::pair(right.frees, left.fingerprint) < std::pair(left.frees, right.fingerprint);
  });
  return ranked;
}

void SiteMerger::show_stack(ShownStack& shown, const ProcessRecording& process, const ProcessModules& modules,
                            const TraceRecord& trace) {
  const Stack stack = stack_of(process, modules, trace);
  shown.fingerprint = fingerprint_of(stack);
  shown.stacks = stacks_;
  shown.innermost = keep(process, modules, trace);
  if (shown.innermost == StackTree::kNoNode) shown.innermost = stacks_->add(StackTree::kNoNode, *stack.front());
  shown.runtime_frames = runtime_frame_count(stack);
  shown.starting_frames = starting_frame_count(stack);
  shown.cut = is_cut(trace, stack);
}

// The innermost logical frame of a trace, in the tree; kNoNode where it has none.
StackTree::Node SiteMerger::keep(const ProcessRecording& process, const ProcessModules& modules,
                                 const TraceRecord& trace) {
  auto& kept = kept_[&process];
  StackTree::Node outer = StackTree::kNoNode;
  std::vector<FrameTree::Node> new_nodes;  // Innermost first.
  for (FrameTree::Node node = trace.innermost; node != FrameTree::kNoNode; node = process.frames().caller(node)) {
    const auto known = kept.find(node);
    if (known != kept.end()) {
      outer = known->second;
      break;
    }
    new_nodes.push_back(node);
  }
  for (auto node = new_nodes.rbegin(); node != new_nodes.rend(); ++node) {
    const FrameTree::Frame frame = process.frames().frame(*node);
    const std::vector<Frame>& logical = symbolizer_.frames(modules[frame.module_id], frame.offset);
    for (auto each = logical.rbegin(); each != logical.rend(); ++each) outer = stacks_->add(outer, *each);
    kept[*node] = outer;
  }
  return outer;
}

std::vector<Site> SiteMerger::take_ranked() {
  std::vector<Site> sites;
  for (auto& [fingerprint, under_way] : sites_) {
    show_stack(under_way.site, *under_way.shown_process, *under_way.shown_modules, *under_way.shown);
    under_way.thread_names.erase("");
    under_way.site.traces = under_way.stacks.size();
    under_way.site.thread_names.assign(under_way.thread_names.begin(), under_way.thread_names.end());
    sites.push_back(std::move(under_way.site));
  }
  std::sort(sites.begin(), sites.end(), [](const Site& left, const Site& right) {
    const auto key = [](const Site& site) {
      return std::tuple(-site.activity.live.bytes.value(), -site.activity.live.blocks.value(),
                        -site.activity.alloc.bytes.value(), site.fingerprint);
    };
    return key(left) < key(right);
  });
  return sites;
}

void request_all(const ProcessRecording& process, const ProcessModules& modules, Symbolizer& symbolizer) {
  for (const auto& [id, trace] : process.traces()) {
    if (trace.counters.alloc_blocks() == 0 && trace.counters.unknown_frees() == 0) continue;
    process.frames().for_each_frame(trace.innermost, [&](const FrameTree::Frame& frame) {
      symbolizer.request(modules[frame.module_id], frame.offset);
    });
  }
}

// How much later than the first of them each process began. Within one boot the monotonic clock says so exactly.
std::vector<uint64_t> start_shifts(const Recording& recording) {
  bool one_boot = true;
  for (const auto& process : recording.processes) {
    const std::string& boot_id = process->header().boot_id();
    one_boot &= !boot_id.empty() && boot_id == recording.processes.front()->header().boot_id();
  }
  std::vector<uint64_t> starts;
  for (const auto& process : recording.processes) {
    const proto::Header& header = process->header();
    starts.push_back(one_boot ? header.started_monotonic_ns() : header.started_unix_ns());
  }
  if (starts.empty()) return starts;
  // A process whose header was lost began at an unknown time: it is taken for the first.
  uint64_t earliest = std::numeric_limits<uint64_t>::max();
  for (const uint64_t start : starts) earliest = start == 0 ? earliest : std::min(earliest, start);
  for (uint64_t& start : starts) start = start == 0 ? 0 : start - earliest;
  return starts;
}

}  // namespace

uint64_t Coverage::dropped_records() const {
  return std::accumulate(dropped.begin(), dropped.end(), uint64_t{0}) + unread_records;
}

double Coverage::fraction() const {
  if (observed_processes == 0) return 0;
  const double missed = static_cast<double>(dropped_records());
  return missed == 0 ? 1 : recorded / (recorded + missed);
}

bool Profile::still_running() const {
  return std::any_of(processes.begin(), processes.end(),
                     [](const ProcessSummary& process) { return process.ended == Ended::kRunning; });
}

bool Profile::has_growth() const {
  return std::any_of(processes.begin(), processes.end(),
                     [](const ProcessSummary& process) { return process.growth_span.has_value(); });
}

Profile build_profile(const Recording& recording, Symbolizer& symbolizer,
                      const std::function<void(size_t, size_t)>& progress) {
  Profile profile;
  profile.paths = recording.paths;
  profile.coverage.unreadable_streams = recording.problems.size();
  const std::vector<uint64_t> shifts = start_shifts(recording);
  std::vector<ProcessModules> modules;
  for (const auto& process : recording.processes) {
    modules.emplace_back(*process, symbolizer);
    request_all(*process, modules.back(), symbolizer);
  }
  symbolizer.resolve(progress);

  const std::vector<bool> replaced = replaced_images(recording);
  SiteMerger merger(symbolizer);
  for (size_t index = 0; index < recording.processes.size(); ++index) {
    const ProcessRecording& process = *recording.processes[index];
    profile.processes.push_back(summarize(process, replaced[index]));
    merger.add(process, modules[index], shifts[index], profile.processes.back().growth_span);
    add_coverage(process, profile.processes.back(), profile.coverage);
    profile.sampled |= profile.processes.back().observed && !process.exact();
    profile.duration_ns = std::max(profile.duration_ns, shifts[index] + process.last_time_ns());
  }
  profile.sites = merger.take_ranked();
  profile.unknown_frees = merger.take_unknown_frees();
  profile.coverage.cut_traces = merger.cut_traces();
  for (const Site& site : profile.sites) {
    profile.totals += site.activity;
    profile.growth += site.growth;
  }
  profile.missing_symbols = symbolizer.missing();
  return profile;
}

}  // namespace seep
