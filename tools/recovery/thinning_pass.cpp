// SPDX-License-Identifier: Apache-2.0
// Slices of thinning.
#include "recovery/thinning_pass.h"

namespace seep {
namespace {

// Some tenths of a second: meanwhile `seep run` forwards no signal.
constexpr uint64_t kSliceBytes = 32 << 20;

}  // namespace

void ThinningPass::step(Region copy, const StreamPlace& place) {
  const std::string root = place.root();
  if (state_ == nullptr || !state_->active) {
    if (!wants_thinning(copy.header())) return;
    if (state_ == nullptr) state_ = std::make_unique<StreamThinning>();
    table_.assign(StreamThinner::table_bytes(copy.header().trace_count.load()), 0);
    if (!begin_thinning(copy, *state_, root.c_str(), table_.data(), table_.size())) return;
  }
  continue_thinning(copy, *state_, root.c_str(), kSliceBytes);
}

}  // namespace seep
