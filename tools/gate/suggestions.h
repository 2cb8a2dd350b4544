// SPDX-License-Identifier: Apache-2.0
// The suppression that lets a leak pass, and no other, for a person to give a reason to. Pure.
#pragma once

#include <string>

#include "gate/verdict.h"

namespace seep {

// [[suppress]] tables, one for each site that fails, in TOML: seep_suppressions.cpp reads them. Each has as many frames
// as tell its stack from those of all other sites that count, and at least three, and what leaks now as its maximum.
std::string suggested_suppressions(const GateVerdict& verdict);

}  // namespace seep
