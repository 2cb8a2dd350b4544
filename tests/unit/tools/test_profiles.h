// SPDX-License-Identifier: Apache-2.0
// Profiles for tests of the gate, site by site: stacks of functions, and what their blocks are. One thread.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "leaks/fingerprint.h"
#include "leaks/profile.h"
#include "symbols/runtime_frames.h"
#include "symbols/stable_hash.h"

namespace seep::testing {

// A frame of a program's own code; "operator new" and the like are runtime frames, "__libc_start_main" is libc's.
inline Frame frame_named(const std::string& function) {
  Frame frame;
  frame.function = function;
  frame.named = true;
  frame.file = "/src/demo/" + function.substr(0, function.find('(')) + ".cpp";
  frame.line = 10;
  frame.module = function == "__libc_start_main" ? "/lib/libc.so.6" : "/opt/demo/server";
  frame.runtime = is_runtime_function(function);
  StableHash hash;
  hash.add(function);
  frame.identity = hash.value();
  return frame;
}

// One process that exited well, and was scanned then.
class ProfileMaker {
 public:
  ProfileMaker() {
    ProcessSummary process;
    process.pid = 4242;
    process.executable = "/opt/demo/server";
    process.command = {"./server"};
    process.sample_bytes = 1;
    process.ended = Ended::kExit;
    process.exit_status = 0;
    process.scan.emplace().set_trigger(proto::Scan::EXIT);
    process.judged_at_end = true;
    profile_.processes.push_back(process);
    profile_.coverage.observed_processes = 1;
    profile_.coverage.recorded = 1000;
    profile_.judgement.by_scan = true;
  }

  // Innermost function first. Must be filled before the next is added.
  Site& add(const std::vector<std::string>& functions) {
    StackTree::Node node = StackTree::kNoNode;
    for (auto function = functions.rbegin(); function != functions.rend(); ++function) {
      frames_->push_back(frame_named(*function));
      node = stacks_->add(node, stacks_->number_of(&frames_->back(), 1));
    }
    Site site;
    site.stacks = stacks_;
    site.innermost = node;
    const Stack stack = site.frames();
    site.fingerprint = fingerprint_of(stack);
    site.runtime_frames = runtime_frame_count(stack);
    site.starting_frames = starting_frame_count(stack);
    site.judgement.by_scan = site.judgement.in_classes = true;
    site.processes = 1;
    profile_.sites.push_back(site);
    return profile_.sites.back();
  }

  Site& add_leak(const std::vector<std::string>& functions, uint64_t blocks, uint64_t bytes) {
    Site& site = add(functions);
    site.activity.alloc = site.activity.live = site.judgement.definite = counted(blocks, bytes);
    site.leaked = site.leaked_roots = site.judgement.definite;
    return site;
  }

  // So many samples of definite blocks, of which each stands for `weight` blocks of `size` bytes.
  Site& add_sampled_leak(const std::vector<std::string>& functions, uint64_t samples, double size, double weight) {
    Site& site = add(functions);
    const auto measure = [samples, weight](double each) {
      const double count = static_cast<double>(samples);
      Measure sum{.estimate = count * weight * each,
                  .variance = count * each * each * weight * (weight - 1),
                  .proven = count * each,
                  .samples = samples,
                  .sampled = true};
      sum.unseen_weight = unseen_weight(sum);
      return sum;
    };
    site.judgement.in_classes = false;
    site.judgement.definite = {measure(1), measure(size)};
    site.activity.live = site.activity.alloc = site.judgement.definite;
    site.leaked = site.leaked_roots = site.judgement.definite;
    profile_.sampled = true;
    profile_.processes.front().sample_bytes = 524288;
    return site;
  }

  ProcessSummary& process() { return profile_.processes.front(); }
  Profile& profile() { return profile_; }

 private:
  std::shared_ptr<StackTree> stacks_ = std::make_shared<StackTree>();
  std::shared_ptr<std::deque<Frame>> frames_ =
      std::make_shared<std::deque<Frame>>();  // The tree knows them by address.
  Profile profile_;
};

}  // namespace seep::testing
