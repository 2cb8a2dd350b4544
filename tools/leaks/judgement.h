// SPDX-License-Identifier: Apache-2.0
// What a leak scan said of the blocks of a trace or a site, as far as it adds up. Pure; any thread.
//
// Of an exact recording each block that was live at the scan is in one of the four classes. Of a sampled one there is
// only `definite`, an estimate: blocks to which no pointer was found at all. What else is leaked there is still live.
#pragma once

#include "leaks/estimate.h"
#include "seep.pb.h"

namespace seep {

// Valgrind's and LeakSanitizer's words for what a scan found out, and `live` where there was none. The worst is last.
enum class Verdict { kLive, kReachable, kPossible, kIndirect, kDefinite };

const char* word(Verdict verdict);  // "definite"

struct Judgement {
  BlocksAndBytes definite;
  BlocksAndBytes indirect;
  BlocksAndBytes possible;
  BlocksAndBytes reachable;
  BlocksAndBytes held;      // Indirect blocks, of whatever site, that hang from the definite ones of this.
  bool by_scan = false;     // There was a scan where some of these blocks were live,
  bool in_classes = false;  // and in an exact recording: the classes but `definite` mean something.

  // The worst that any block has; live where none was judged.
  Verdict worst() const;
  // Lost: what is definite, and what hangs from it.
  BlocksAndBytes lost() const;

  Judgement& operator+=(const Judgement& other);
};

// For a process in which a scan ran.
Judgement judgement_of(const proto::TraceCounters& counters, bool exact);

}  // namespace seep
