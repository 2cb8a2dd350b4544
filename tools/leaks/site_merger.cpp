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
  return {site.is_leak() ? 0 : is_possible ? 1 : 2,
          -site.leaked.bytes.value(),
          -site.leaked.blocks.value(),
          is_possible ? -site.judgement.possible.bytes.value() : 0,
          -site.activity.live.bytes.value(),
          -site.activity.live.blocks.value(),
          -site.activity.alloc.bytes.value(),
          site.fingerprint};
}

}  // namespace

SiteMerger::SiteMerger() {
  lost_.function = kLostStack;
  none_.function = kNoStack;
}

void SiteMerger::add(const ProcessRecording& process, ProcessStacks& stacks, uint64_t shift_ns,
                     const std::optional<GrowthSpan>& span) {
  for (const auto& [id, trace] : process.traces()) {
    const bool only_freed = trace.counters.alloc_blocks() == 0;
    if (only_freed && trace.counters.unknown_frees() == 0) continue;
    const TraceOf added{&process, &stacks, &trace};
    const ProcessStacks::Traits traits = traits_of(added);
    if (trace.counters.unknown_frees() != 0) add_unknown_frees(added, traits.fingerprint);
    if (only_freed) continue;
    SiteUnderWay& under_way = site_of(traits.fingerprint);
    under_way.site.traces += stack_hashes_.insert(traits.hash).second ? 1 : 0;
    add_trace(under_way, added, shift_ns);
    if (span) under_way.site.growth += growth_in(*span, process, trace);
    if (trace.cut != proto::Trace::DEPTH_LIMIT && is_cut(added)) ++cut_traces_;
  }
}

SiteUnderWay& SiteMerger::site_of(uint64_t fingerprint) {
  const auto [known, is_new] = site_by_fingerprint_.try_emplace(fingerprint, static_cast<uint32_t>(sites_.size()));
  if (!is_new) return sites_[known->second];
  sites_.emplace_back().site.fingerprint = fingerprint;
  return sites_.back();
}

// What is shown for a stack without frames. Counters whose trace was never read have no first allocation either.
const Frame& SiteMerger::stand_in(const TraceOf& trace) const {
  return trace.trace->first_allocated_ns == 0 ? lost_ : none_;
}

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

void SiteMerger::add_trace(SiteUnderWay& under_way, const TraceOf& added, uint64_t shift_ns) {
  const auto& [process, stacks, trace] = added;
  Site& site = under_way.site;
  const Activity activity = activity_of(trace->counters, process->exact());
  const uint64_t first_ns = trace->first_allocated_ns + shift_ns;
  site.first_allocated_ns = site.processes == 0 ? first_ns : std::min(site.first_allocated_ns, first_ns);
  site.last_allocated_ns = std::max(site.last_allocated_ns, trace->counters.last_allocated_ns() + shift_ns);
  site.activity += activity;
  if (under_way.last_process != process) ++site.processes;
  under_way.last_process = process;
  add_thread_names(under_way, added);

  Judgement judgement;
  if (process->scan() != nullptr) judgement = judgement_of(trace->counters, process->exact());
  if (judgement.by_scan) add_judgement(under_way, added, judgement);
  const auto shown_for =
      std::tuple(judgement.lost().bytes.value(), activity.live.bytes.value(), activity.alloc.bytes.value());
  if (shown_for <= under_way.shown_for) return;
  under_way.shown_for = shown_for;
  under_way.shown = added;
}

void SiteMerger::add_thread_names(SiteUnderWay& under_way, const TraceOf& added) {
  under_way.site.more_thread_names |= added.trace->counters.more_thread_names();
  for (const uint32_t id : added.trace->counters.thread_name_ids()) {
    const std::string name = added.process->thread_name(id);
    if (name.empty()) continue;
    const auto [known, is_new] =
        number_by_thread_name_.try_emplace(name, static_cast<uint32_t>(thread_names_.size()));
    if (is_new) thread_names_.push_back(name);
    auto& numbers = under_way.thread_names;
    if (std::find(numbers.begin(), numbers.end(), known->second) == numbers.end()) numbers.push_back(known->second);
  }
}

void SiteMerger::add_judgement(SiteUnderWay& under_way, const TraceOf& judged, const Judgement& judgement) {
  under_way.site.judgement += judgement;
  const proto::TraceCounters& counters = judged.trace->counters;
  under_way.frees_looked_at += counters.frees_looked_at();
  if (counters.freed_by_trace_id() != 0) {
    const auto freeing = judged.process->traces().find(counters.freed_by_trace_id());
    // Without frames it is no place that could be shown.
    if (freeing != judged.process->traces().end() && freeing->second.innermost != FrameTree::kNoNode) {
      under_way.freeings.push_back({{judged.process, judged.stacks, &freeing->second}, counters.frees_seen_there()});
    }
  }
  if (judgement.worst() != Verdict::kDefinite) return;
  const std::string& text = judged.process->scan()->default_suppressions();
  const std::string* pattern = nullptr;
  if (!text.empty()) pattern = suppressions_.try_emplace(text, text).first->second.match(stack_of(judged));
  (pattern == nullptr ? under_way.site.leaked : under_way.site.suppressed) += judgement.lost();
  if (pattern != nullptr && under_way.site.suppressed_by.empty()) under_way.site.suppressed_by = *pattern;
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
  for (const SiteUnderWay& under_way : sites_) {
    if (under_way.site.judgement.worst() != Verdict::kDefinite) continue;
    for (const SiteUnderWay::Freeing& freeing : under_way.freeings) {
      freeing.stack.stacks->want(freeing.stack.trace->innermost);
    }
  }
}

// Each trace names one stack. Of the same function in several lines or processes they are one place.
std::optional<FreedFrom> SiteMerger::mostly_freed_from(const SiteUnderWay& under_way) {
  std::map<uint64_t, SiteUnderWay::Freeing> places;  // By fingerprint, so that of equals it is the same each time.
  for (const SiteUnderWay::Freeing& freeing : under_way.freeings) {
    SiteUnderWay::Freeing& place =
        places.try_emplace(traits_of(freeing.stack).fingerprint, SiteUnderWay::Freeing{freeing.stack, 0})
            .first->second;
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
    const std::vector<Frame>& logical = trace.stacks->frames(place);
    uint32_t& number = kept.numbers[place];
    if (number == kNoNumber) number = stacks_->number_of(logical.data(), logical.size());
    for (size_t index = logical.size(); index-- > 0;) {
      outer = stacks_->add(outer, number + static_cast<uint32_t>(index));
    }
    kept.nodes[*each] = outer;
  }
  return outer;
}

Site SiteMerger::finished(SiteUnderWay& under_way) {
  Site& site = under_way.site;
  show_stack(site, under_way.shown);
  if (site.judgement.worst() == Verdict::kDefinite) site.freed_from = mostly_freed_from(under_way);
  for (const uint32_t number : under_way.thread_names) site.thread_names.push_back(thread_names_[number]);
  std::sort(site.thread_names.begin(), site.thread_names.end());
  return std::move(site);
}

std::vector<Site> SiteMerger::take_ranked() {
  std::vector<std::pair<Rank, SiteUnderWay*>> ranked;
  ranked.reserve(sites_.size());
  for (SiteUnderWay& under_way : sites_) ranked.emplace_back(rank_of(under_way.site), &under_way);
  std::sort(ranked.begin(), ranked.end(), [](const auto& left, const auto& right) { return left.first < right.first; });
  std::vector<Site> sites;
  sites.reserve(ranked.size());
  for (const auto& [rank, under_way] : ranked) sites.push_back(finished(*under_way));
  return sites;
}

size_t SiteMerger::unknown_suppressions() const {
  size_t lines = 0;
  for (const auto& [text, suppressions] : suppressions_) lines += suppressions.unknown_lines();
  return lines;
}

}  // namespace seep
