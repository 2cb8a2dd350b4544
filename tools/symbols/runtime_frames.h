// SPDX-License-Identifier: Apache-2.0
// Which functions allocate on behalf of their caller, so that the caller is where a reader wants to look.
//
// Reports fold these frames at the inner end of a stack, and fingerprints leave them out: a new version of the C++
// library, or another inlining of it, does not make another site. Pure; any thread.
#pragma once

#include <string_view>

namespace seep {

// `function` fully demangled.
bool is_runtime_function(std::string_view function);

}  // namespace seep
