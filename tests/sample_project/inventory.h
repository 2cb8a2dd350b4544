// SPDX-License-Identifier: Apache-2.0
// The code under test of the sample project: an inventory, one function of which loses memory.
#pragma once

#include <cstddef>
#include <string>

namespace inventory {

// Counts an article. What it allocates stays in a cache.
std::size_t add(const std::string& article);

// Looks an article up. Loses a copy of the name each time.
bool find(const std::string& article);

// Loses a block the first time that it is called, and never again.
void connect();

}  // namespace inventory
