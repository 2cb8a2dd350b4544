// SPDX-License-Identifier: Apache-2.0
// From traces to sites.
#include "leaks/site_merger.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <utility>

#include "leaks/fingerprint.h"

namespace seep {
namespace {

constexpr char kLostStack[] = "[stack lost with a damaged message]";
constexpr char kNoStack[] = "[no stack]";

// The loader's entry has no unwind information, and needs none: nothing called it.
bool is_cut(const TraceRecord& trace, const Stack& stack) {
  return trace.cut != proto::Trace::WHOLE && !is_entry_point(*stack.back());
}

Growth growth_in(const GrowthSpan& span, const ProcessRecording& process, const TraceRecord& trace) {
  return growth_of(ProcessRecording::sums_at(trace, span.from), ProcessRecording::sums_at(trace, span.to),
                   process.exact());
}

// Leaks first, by all that is lost with them, then what may be one, then the rest by what is live.
bool ranks_before(const Site& left, const Site& right) {
  const auto key = [](const Site& site) {
    const bool is_possible = !site.is_leak() && site.judgement.possible.bytes.value() > 0;
    const double rank = site.is_leak() ? 0 : is_possible ? 1 : 2;
    return std::tuple(rank, -site.leaked.bytes.value(), -site.leaked.blocks.value(),
                      is_possible ? -site.judgement.possible.bytes.value() : 0, -site.activity.live.bytes.value(),
                      -site.activity.live.blocks.value(), -site.activity.alloc.bytes.value(), site.fingerprint);
  };
  return key(left) < key(right);
}

}  // namespace

SiteMerger::SiteMerger(const Symbolizer& symbolizer) : symbolizer_(symbolizer) {
  lost_.function = kLostStack;
  none_.function = kNoStack;
}

void SiteMerger::add(const ProcessRecording& process, const ProcessModules& modules, uint64_t shift_ns,
                     const std::optional<GrowthSpan>& span) {
  for (const auto& [id, trace] : process.traces()) {
    const TraceOf added{&process, &modules, &trace};
    if (trace.counters.unknown_frees() != 0) add_unknown_frees(added);
    if (trace.counters.alloc_blocks() == 0) continue;  // Blocks are only freed from there.
    const Stack stack = stack_of(added);
    SiteUnderWay& under_way = sites_[fingerprint_of(stack)];
    under_way.stacks.insert(absl::HashOf(stack));
    add_trace(under_way, added, stack, shift_ns);
    if (span) under_way.site.growth += growth_in(*span, process, trace);
    if (trace.cut != proto::Trace::DEPTH_LIMIT && is_cut(trace, stack)) ++cut_traces_;
  }
}

Stack SiteMerger::stack_of(const TraceOf& trace) const {
  Stack stack;
  trace.process->frames().for_each_frame(trace.trace->innermost, [&](const FrameTree::Frame& frame) {
    const auto module = (*trace.modules)[frame.module_id];
    for (const Frame& logical : symbolizer_.frames(module, frame.offset)) stack.push_back(&logical);
  });
  // Counters whose trace was never read have no first allocation either.
  if (stack.empty()) stack.push_back(trace.trace->first_allocated_ns == 0 ? &lost_ : &none_);
  return stack;
}

void SiteMerger::add_trace(SiteUnderWay& under_way, const TraceOf& added, const Stack& stack, uint64_t shift_ns) {
  const auto& [process, modules, trace] = added;
  Site& site = under_way.site;
  const Activity activity = activity_of(trace->counters, process->exact());
  const uint64_t first_ns = trace->first_allocated_ns + shift_ns;
  site.first_allocated_ns = site.processes == 0 ? first_ns : std::min(site.first_allocated_ns, first_ns);
  site.last_allocated_ns = std::max(site.last_allocated_ns, trace->counters.last_allocated_ns() + shift_ns);
  site.activity += activity;
  if (under_way.last_process != process) ++site.processes;
  under_way.last_process = process;
  for (const uint32_t id : trace->counters.thread_name_ids()) under_way.thread_names.insert(process->thread_name(id));
  site.more_thread_names |= trace->counters.more_thread_names();

  Judgement judgement;
  if (process->scan() != nullptr) judgement = judgement_of(trace->counters, process->exact());
  if (judgement.by_scan) add_judgement(under_way, added, judgement, stack);
  const auto shown_for =
      std::tuple(judgement.lost().bytes.value(), activity.live.bytes.value(), activity.alloc.bytes.value());
  if (shown_for <= under_way.shown_for) return;
  under_way.shown_for = shown_for;
  under_way.shown = added;
}

void SiteMerger::add_judgement(SiteUnderWay& under_way, const TraceOf& judged, const Judgement& judgement,
                               const Stack& stack) {
  under_way.site.judgement += judgement;
  const proto::TraceCounters& counters = judged.trace->counters;
  under_way.frees_looked_at += counters.frees_looked_at();
  const auto freeing = judged.process->traces().find(counters.freed_by_trace_id());
  // Without frames it is no place that could be shown.
  if (freeing != judged.process->traces().end() && freeing->second.innermost != FrameTree::kNoNode) {
    under_way.freeings.push_back({{judged.process, judged.modules, &freeing->second}, counters.frees_seen_there()});
  }
  if (judgement.worst() != Verdict::kDefinite) return;
  const std::string& text = judged.process->scan()->default_suppressions();
  const std::string* pattern = nullptr;
  if (!text.empty()) pattern = suppressions_.try_emplace(text, text).first->second.match(stack);
  if (pattern == nullptr) {
    under_way.site.leaked += judgement.lost();
    under_way.site.leaked_roots += judgement.definite;
    return;
  }
  under_way.site.suppressed += judgement.lost();
  if (under_way.site.suppressed_by.empty()) under_way.site.suppressed_by = *pattern;
}

// Of equal fingerprints the first is shown: they differ in lines, if in anything.
void SiteMerger::add_unknown_frees(const TraceOf& freed) {
  UnknownFrees& place = unknown_frees_[fingerprint_of(stack_of(freed))];
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

void SiteMerger::request_freeing_stacks(Symbolizer& symbolizer) const {
  for (const auto& [fingerprint, under_way] : sites_) {
    if (under_way.site.judgement.worst() != Verdict::kDefinite) continue;
    for (const SiteUnderWay::Freeing& freeing : under_way.freeings) {
      const TraceOf& from = freeing.stack;
      from.process->frames().for_each_frame(from.trace->innermost, [&](const FrameTree::Frame& frame) {
        symbolizer.request((*from.modules)[frame.module_id], frame.offset);
      });
    }
  }
}

// Each trace names one stack. Of the same function in several lines or processes they are one place.
std::optional<FreedFrom> SiteMerger::mostly_freed_from(const SiteUnderWay& under_way) {
  std::map<uint64_t, SiteUnderWay::Freeing> places;  // By fingerprint, so that of equals it is the same each time.
  for (const SiteUnderWay::Freeing& freeing : under_way.freeings) {
    SiteUnderWay::Freeing& place =
        places.try_emplace(fingerprint_of(stack_of(freeing.stack)), SiteUnderWay::Freeing{freeing.stack, 0})
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
  const Stack stack = stack_of(trace);
  shown.fingerprint = fingerprint_of(stack);
  shown.stacks = stacks_;
  shown.innermost = keep(trace);
  if (shown.innermost == StackTree::kNoNode) shown.innermost = stacks_->add(StackTree::kNoNode, *stack.front());
  shown.runtime_frames = runtime_frame_count(stack);
  shown.starting_frames = starting_frame_count(stack);
  shown.cut = is_cut(*trace.trace, stack);
}

// The innermost logical frame of a trace, in the tree; kNoNode where it has none.
StackTree::Node SiteMerger::keep(const TraceOf& trace) {
  const FrameTree& frames = trace.process->frames();
  auto& kept = kept_[trace.process];
  StackTree::Node outer = StackTree::kNoNode;
  std::vector<FrameTree::Node> new_nodes;  // Innermost first.
  for (FrameTree::Node node = trace.trace->innermost; node != FrameTree::kNoNode; node = frames.caller(node)) {
    const auto known = kept.find(node);
    if (known != kept.end()) {
      outer = known->second;
      break;
    }
    new_nodes.push_back(node);
  }
  for (auto node = new_nodes.rbegin(); node != new_nodes.rend(); ++node) {
    const FrameTree::Frame frame = frames.frame(*node);
    const std::vector<Frame>& logical = symbolizer_.frames((*trace.modules)[frame.module_id], frame.offset);
    for (auto each = logical.rbegin(); each != logical.rend(); ++each) outer = stacks_->add(outer, *each);
    kept[*node] = outer;
  }
  return outer;
}

std::vector<Site> SiteMerger::take_ranked() {
  std::vector<Site> sites;
  for (auto& [fingerprint, under_way] : sites_) {
    show_stack(under_way.site, under_way.shown);
    if (under_way.site.judgement.worst() == Verdict::kDefinite)
      under_way.site.freed_from = mostly_freed_from(under_way);
    under_way.thread_names.erase("");
    under_way.site.traces = under_way.stacks.size();
    under_way.site.thread_names.assign(under_way.thread_names.begin(), under_way.thread_names.end());
    sites.push_back(std::move(under_way.site));
  }
  std::sort(sites.begin(), sites.end(), ranks_before);
  return sites;
}

size_t SiteMerger::unknown_suppressions() const {
  size_t lines = 0;
  for (const auto& [text, suppressions] : suppressions_) lines += suppressions.unknown_lines();
  return lines;
}

}  // namespace seep
