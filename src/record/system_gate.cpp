// SPDX-License-Identifier: Apache-2.0
//
// The one gate of the process; see system_gate.h.
#include "record/system_gate.h"

namespace seep {

constinit SystemGate system_gate;

}  // namespace seep
