// SPDX-License-Identifier: Apache-2.0
#include "inventory.h"

#include <cstring>
#include <map>

namespace inventory {
namespace {

std::map<std::string, std::size_t>& articles() {
  static auto* const all = new std::map<std::string, std::size_t>;
  return *all;
}

char* lower_case(const std::string& text) {
  char* lower = new char[text.size() + 1]();
  for (std::size_t index = 0; index < text.size(); ++index) lower[index] = text[index] | 0x20;
  return lower;
}

char* volatile session;

}  // namespace

std::size_t add(const std::string& article) { return ++articles()[article]; }

bool find(const std::string& article) {
  const char* name = lower_case(article);
  return articles().count(name) != 0;
}

void connect() {
  static bool connected = false;
  if (connected) return;
  connected = true;
  session = new char[5000]();
  session = nullptr;
}

}  // namespace inventory
