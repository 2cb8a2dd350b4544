// SPDX-License-Identifier: Apache-2.0
//
// The smallest C++ program that allocates: what start-up costs a program with libstdc++.

#include <string>
#include <vector>

int main(int argc, char** argv) {
  std::vector<std::string> words(argv, argv + argc);
  words.emplace_back("a string that is too long to be held inside");
  return words.size() > 100 ? 1 : 0;
}
