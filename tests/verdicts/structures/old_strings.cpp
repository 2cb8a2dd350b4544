// SPDX-License-Identifier: Apache-2.0
//
// Strings as libstdc++ had them before C++11: the object is one pointer, behind the header of the block that holds the
// text. In the program's data, in a block, in a leaked block, and lost. Compiled with the ABI of then.
//
// Expected: those that the data leads to are reachable, that in a leaked block is indirect, the lost one definite.
#include <new>
#include <string>

#include "told.h"

static_assert(sizeof(std::string) == sizeof(void*), "not the strings of before C++11");

namespace {

constexpr unsigned long kHeaderBytes = 24;  // Length, capacity, references.
alignas(std::string) char in_data[sizeof(std::string)];
std::string* in_block;

SITE void text_in_data() { new (escape(in_data)) std::string(50, 'a'); }
SITE std::string* make_object() { return static_cast<std::string*>(blank(sizeof(std::string))); }
SITE std::string* make_leaked_object() { return static_cast<std::string*>(blank(sizeof(std::string))); }
SITE void text_in_block() { new (in_block) std::string(60, 'b'); }
SITE void text_in_leaked() { new (make_leaked_object()) std::string(70, 'c'); }
SITE void lost_text() {
  alignas(std::string) char object[sizeof(std::string)];
  new (escape(object)) std::string(80, 'd');
}

}  // namespace

int main() {
  text_in_data();
  in_block = make_object();
  text_in_block();
  text_in_leaked();
  lost_text();
  escape(&in_block);
  escape(in_data);
  tell("make_object", "reachable", 1, sizeof(void*));
  tell("make_leaked_object", "definite", 1, sizeof(void*));
  tell("text_in_data", "reachable", 1, kHeaderBytes + 51);
  tell("text_in_block", "reachable", 1, kHeaderBytes + 61);
  tell("text_in_leaked", "indirect", 1, kHeaderBytes + 71);
  tell("lost_text", "definite", 1, kHeaderBytes + 81);
  last_words();
  return 0;
}
