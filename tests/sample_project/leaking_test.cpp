// SPDX-License-Identifier: Apache-2.0
// A test that passes, and leaks three names.
#include <string>

#include "inventory.h"

int main() {
  inventory::add("a bolt with a long name");
  for (int time = 0; time < 3; ++time) {
    if (!inventory::find("A BOLT WITH A LONG NAME")) return 1;
  }
  return 0;
}
