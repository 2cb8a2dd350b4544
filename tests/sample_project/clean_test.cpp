// SPDX-License-Identifier: Apache-2.0
// A test that passes, and leaks nothing.
#include "inventory.h"

int main() {
  inventory::add("nut");
  return inventory::add("nut") == 2 ? 0 : 1;
}
