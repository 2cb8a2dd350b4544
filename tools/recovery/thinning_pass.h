// SPDX-License-Identifier: Apache-2.0
// Keeps the stream of a process below its max_stream, for somebody outside who takes its snapshots: a slice after each.
// One object a stream, for as long as that is written. One thread.
#pragma once

#include <memory>
#include <vector>

#include "record/stream_thinning.h"
#include "recovery/stream_place.h"

namespace seep {

class ThinningPass {
 public:
  // Works on, where there is something to do. The caller has the right to take snapshots.
  void step(Region copy, const StreamPlace& place);

 private:
  std::unique_ptr<StreamThinning> state_;
  std::vector<uint8_t> table_;
};

}  // namespace seep
