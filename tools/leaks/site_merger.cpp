// SPDX-License-Identifier: Apache-2.0
// From traces to sites.
#include "leaks/site_merger.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "leaks/fingerprint.h"

namespace seep {
namespace {

constexpr char kLostStack[] = "[stack lost with a damaged message]";
constexpr char kNoStack[] = "[no stack]";
constexpr uint32_t kNoNumber = std::numeric_limits<uint32_t>::max();

Growth growth_in(const GrowthSpan& span, const ProcessRecording& process, const TraceRecord& trace) {
  return growth_of(ProcessRecording::sums_at(trace, span.from), ProcessRecording::sums_at(trace, span.to),
                   process.exact());
}

// Leaks first, by all that is lost with them, then what may be one, then the rest by what is live. Less is before.
using Rank = std::tuple<int, double, double, double, double, double, double, uint64_t>;

Rank rank_of(const Site& site) {
  const bool is_possible = !site.is_leak() && site.judgement.possible.bytes.value() > 0;
  return {site.is_leak() ? 0
          : is_possible  ? 1
                         : 2,
          -site.leaked.bytes.value(),
          -site.leaked.blocks.value(),
          is_possible ? -site.judgement.possible.bytes.value() : 0,
          -site.activity.live.bytes.value(),
          -site.activity.live.blocks.value(),
          -site.activity.alloc.bytes.value(),
          site.fingerprint};
}

// Moves each site to its place, where `order` says which belongs there: along the cycles of the permutation, so that no
// second set of them is needed.
void put_in_order(std::vector<Site>& sites, std::vector<uint32_t> order) {
  for (uint32_t start = 0; start < order.size(); ++start) {
    if (order[start] == start) continue;
    Site first = std::move(sites[start]);
    uint32_t place = start;
    while (order[place] != start) {
      const uint32_t next = order[place];
      sites[place] = std::move(sites[next]);
      order[place] = place;
      place = next;
    }
    sites[place] = std::move(first);
    order[place] = place;
  }
}

}  // namespace

SiteMerger::SiteMerger() {
  lost_.function = kLostStack;
  none_.function = kNoStack;
}

void SiteMerger::add(const ProcessRecording& process, ProcessStacks& stacks, uint64_t shift_ns,
                     const std::optional<GrowthSpan>& span) {
  number_by_thread_id_.clear();
  const std::vector<uint32_t> numbers = sort_into_sites(process, stacks);
  auto number = numbers.begin();
  for (const auto& [id, trace] : process.traces()) {
    if (trace.counters.alloc_blocks() == 0) continue;
    const TraceOf added{&process, &stacks, &trace};
    add_trace(*number, added, shift_ns);
    if (span) {
      std::shared_ptr<Growth>& grown = sites_[*number].grown;
      if (grown == nullptr) grown = std::make_shared<Growth>();
      *grown += growth_in(*span, process, trace);
    }
    if (trace.cut != proto::Trace::DEPTH_LIMIT && is_cut(added)) ++cut_traces_;
    ++number;
  }
}

// The sites of the traces that allocated, in their order.
std::vector<uint32_t> SiteMerger::sort_into_sites(const ProcessRecording& process, ProcessStacks& stacks) {
  std::vector<uint32_t> numbers;
  numbers.reserve(process.traces().size());
  stack_hashes_.reserve(stack_hashes_.size() + process.traces().size());
  for (const auto& [id, trace] : process.traces()) {
    const bool only_freed = trace.counters.alloc_blocks() == 0;
    if (only_freed && trace.counters.unknown_frees() == 0) continue;
    const TraceOf added{&process, &stacks, &trace};
    const ProcessStacks::Traits traits = traits_of(added);
    if (trace.counters.unknown_frees() != 0) add_unknown_frees(added, traits.fingerprint);
    if (only_freed) continue;
    numbers.push_back(site_number(traits.fingerprint));
    under_way_[numbers.back()].stacks += stack_hashes_.insert(traits.hash).second ? 1 : 0;
  }
  if (under_way_.size() > sites_.capacity()) sites_.reserve(std::max(under_way_.size(), 2 * sites_.size()));
  sites_.resize(under_way_.size());
  return numbers;
}

uint32_t SiteMerger::site_number(uint64_t fingerprint) {
  const auto [known, is_new] = site_by_fingerprint_.try_emplace(fingerprint, static_cast<uint32_t>(under_way_.size()));
  if (is_new) under_way_.emplace_back();
  return known->second;
}

// What is shown for a stack without frames.
const Frame& SiteMerger::stand_in(const TraceOf& trace) const { return trace.trace->is_known ? none_ : lost_; }

ProcessStacks::Traits SiteMerger::traits_of(const TraceOf& trace) const {
  if (trace.trace->innermost != FrameTree::kNoNode) return trace.stacks->traits(trace.trace->innermost);
  return {.fingerprint = fingerprint_of({&stand_in(trace)})};
}

Stack SiteMerger::stack_of(const TraceOf& trace) const {
  if (trace.trace->innermost == FrameTree::kNoNode) return {&stand_in(trace)};
  return trace.stacks->stack(trace.trace->innermost);
}

// The loader's entry has no unwind information, and needs none: nothing called it.
bool SiteMerger::is_cut(const TraceOf& trace) const {
  return trace.trace->cut != proto::Trace::WHOLE && !is_entry_point(*stack_of(trace).back());
}

void SiteMerger::add_trace(uint32_t number, const TraceOf& added, uint64_t shift_ns) {
  const auto& [process, stacks, trace] = added;
  Site& site = sites_[number];
  SiteUnderWay& under_way = under_way_[number];
  const Activity activity = activity_of(trace->counters, process->exact());
  const uint64_t first_ns = trace->first_allocated_ns + shift_ns;
  site.first_allocated_ns = site.processes == 0 ? first_ns : std::min(site.first_allocated_ns, first_ns);
  site.last_allocated_ns = std::max(site.last_allocated_ns, trace->counters.last_allocated_ns() + shift_ns);
  site.activity += activity;
  if (under_way.last_process != process) ++site.processes;
  under_way.last_process = process;
  add_thread_names(number, added);

  const Judgement judgement = process->scan() != nullptr ? add_judgement(number, added) : Judgement();
  const auto shown_for =
      std::tuple(judgement.lost().bytes.value(), activity.live.bytes.value(), activity.alloc.bytes.value());
  if (shown_for <= under_way.shown_for) return;
  under_way.shown_for = shown_for;
  under_way.shown = added;
}

void SiteMerger::add_thread_names(uint32_t number, const TraceOf& added) {
  sites_[number].more_thread_names |= added.trace->counters.more_thread_names();
  std::vector<uint32_t>& names = under_way_[number].thread_names;
  for (const uint32_t id : added.trace->counters.thread_name_ids()) {
    const uint32_t name = thread_name_number(*added.process, id);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
}

uint32_t SiteMerger::thread_name_number(const ProcessRecording& process, uint32_t id) {
  const auto [known, is_new] = number_by_thread_id_.try_emplace(id, 0);
  if (!is_new) return known->second;
  const std::string name = process.thread_name(id);
  const auto [number, is_new_name] =
      number_by_thread_name_.try_emplace(name, static_cast<uint32_t>(thread_names_.size()));
  if (is_new_name) thread_names_.push_back(name);
  return known->second = number->second;
}

Judgement SiteMerger::add_judgement(uint32_t number, const TraceOf& judged) {
  const Judgement judgement = judgement_of(judged.trace->counters, judged.process->exact());
  sites_[number].judgement += judgement;
  add_freeing(under_way_[number], judged);
  if (judgement.worst() == Verdict::kDefinite) add_leaked(sites_[number], judged, judgement);
  return judgement;
}

void SiteMerger::add_freeing(SiteUnderWay& under_way, const TraceOf& judged) {
  const proto::TraceCounters& counters = judged.trace->counters;
  under_way.frees_looked_at += counters.frees_looked_at();
  if (counters.freed_by_trace_id() == 0) return;
  const TraceRecord* freeing = judged.process->traces().find(counters.freed_by_trace_id());
  // Without frames it is no place that could be shown.
  if (freeing == nullptr || freeing->innermost == FrameTree::kNoNode) return;
  under_way.freeings.push_back({{judged.process, judged.stacks, freeing}, counters.frees_seen_there()});
}

void SiteMerger::add_leaked(Site& site, const TraceOf& judged, const Judgement& judgement) {
  const std::string& text = judged.process->scan()->default_suppressions();
  const std::string* pattern = nullptr;
  if (!text.empty()) pattern = suppressions_.try_emplace(text, text).first->second.match(stack_of(judged));
  if (pattern == nullptr) {
    site.leaked += judgement.lost();
    site.leaked_roots += judgement.definite;
    return;
  }
  site.suppressed += judgement.lost();
  if (site.suppressed_by.empty()) site.suppressed_by = *pattern;
}

// Of equal fingerprints the first is shown: they differ in lines, if in anything.
void SiteMerger::add_unknown_frees(const TraceOf& freed, uint64_t fingerprint) {
  UnknownFrees& place = unknown_frees_[fingerprint];
  if (place.frees == 0) show_stack(place, freed);
  place.frees += freed.trace->counters.unknown_frees();
}

std::vector<UnknownFrees> SiteMerger::take_unknown_frees() {
  std::vector<UnknownFrees> ranked;
  for (auto& [fingerprint, freed] : unknown_frees_) ranked.push_back(std::move(freed));
  std::sort(ranked.begin(), ranked.end(), [](const UnknownFrees& left, const UnknownFrees& right) {
    return std::pair(right.frees, left.fingerprint) < std::pair(left.frees, right.fingerprint);
  });
  return ranked;
}

void SiteMerger::want_freeing_stacks() const {
  for (size_t number = 0; number < sites_.size(); ++number) {
    if (sites_[number].judgement.worst() != Verdict::kDefinite) continue;
    for (const SiteUnderWay::Freeing& freeing : under_way_[number].freeings) {
      freeing.stack.stacks->want(freeing.stack.trace->innermost);
    }
  }
}

// Each trace names one stack. Of the same function in several lines or processes they are one place.
std::optional<FreedFrom> SiteMerger::mostly_freed_from(const SiteUnderWay& under_way) {
  std::map<uint64_t, SiteUnderWay::Freeing> places;  // By fingerprint, so that of equals it is the same each time.
  for (const SiteUnderWay::Freeing& freeing : under_way.freeings) {
    SiteUnderWay::Freeing& place =
        places.try_emplace(traits_of(freeing.stack).fingerprint, SiteUnderWay::Freeing{freeing.stack, 0}).first->second;
    place.frees_seen += freeing.frees_seen;
  }
  const auto most = std::max_element(places.begin(), places.end(), [](const auto& left, const auto& right) {
    return left.second.frees_seen < right.second.frees_seen;
  });
  if (most == places.end() || most->second.frees_seen == 0) return std::nullopt;
  FreedFrom freed{.frees_seen = most->second.frees_seen, .frees_looked_at = under_way.frees_looked_at};
  show_stack(freed, most->second.stack);
  return freed;
}

void SiteMerger::show_stack(ShownStack& shown, const TraceOf& trace) {
  const ProcessStacks::Traits traits = traits_of(trace);
  shown.fingerprint = traits.fingerprint;
  shown.stacks = stacks_;
  shown.innermost = keep(trace);
  shown.runtime_frames = traits.runtime_frames;
  shown.starting_frames = traits.starting_frames;
  shown.cut = is_cut(trace);
}

// The innermost logical frame of a trace, in the tree.
StackTree::Node SiteMerger::keep(const TraceOf& trace) {
  if (trace.trace->innermost == FrameTree::kNoNode) {
    return stacks_->add(StackTree::kNoNode, stacks_->number_of(&stand_in(trace), 1));
  }
  const FrameTree& tree = trace.stacks->tree();
  Kept& kept = kept_[trace.process];
  kept.nodes.resize(tree.frame_count(), StackTree::kNoNode);
  kept.numbers.resize(tree.places().size(), kNoNumber);
  std::vector<FrameTree::Node> new_nodes;  // Innermost first.
  FrameTree::Node node = trace.trace->innermost;
  for (; node != FrameTree::kNoNode && kept.nodes[node] == StackTree::kNoNode; node = tree.caller(node)) {
    new_nodes.push_back(node);
  }
  StackTree::Node outer = node == FrameTree::kNoNode ? StackTree::kNoNode : kept.nodes[node];
  for (auto each = new_nodes.rbegin(); each != new_nodes.rend(); ++each) {
    const FrameTree::Place place = tree.place(*each);
    const std::span<const Frame> logical = trace.stacks->frames(place);
    uint32_t& number = kept.numbers[place];
    if (number == kNoNumber) number = stacks_->number_of(logical.data(), logical.size());
    for (size_t index = logical.size(); index-- > 0;) {
      outer = stacks_->add(outer, number + static_cast<uint32_t>(index));
    }
    kept.nodes[*each] = outer;
  }
  return outer;
}

void SiteMerger::finish(uint32_t number) {
  Site& site = sites_[number];
  const SiteUnderWay& under_way = under_way_[number];
  show_stack(site, under_way.shown);
  if (site.judgement.worst() == Verdict::kDefinite) site.freed_from = mostly_freed_from(under_way);
  site.traces = under_way.stacks;
  for (const uint32_t name : under_way.thread_names) {
    if (!thread_names_[name].empty()) site.thread_names.push_back(thread_names_[name]);
  }
  std::sort(site.thread_names.begin(), site.thread_names.end());
}

std::vector<Site> SiteMerger::take_ranked() {
  std::vector<std::pair<Rank, uint32_t>> ranked;
  ranked.reserve(sites_.size());
  for (uint32_t number = 0; number < sites_.size(); ++number) {
    finish(number);
    ranked.emplace_back(rank_of(sites_[number]), number);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<uint32_t> order;
  order.reserve(ranked.size());
  for (const auto& [rank, number] : ranked) order.push_back(number);
  put_in_order(sites_, std::move(order));
  return std::move(sites_);
}

size_t SiteMerger::unknown_suppressions() const {
  size_t lines = 0;
  for (const auto& [text, suppressions] : suppressions_) lines += suppressions.unknown_lines();
  return lines;
}

}  // namespace seep
