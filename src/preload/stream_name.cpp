// SPDX-License-Identifier: Apache-2.0
//
// The name of the stream's file; see stream_name.h.
#include "preload/stream_name.h"

#include <cstring>

#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

const char* last_component(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

}  // namespace

bool expand_name(const char* pattern, const NameFacts& facts, char* name, size_t name_bytes) noexcept {
  TextBuilder text(name, name_bytes);
  for (const char* at = pattern; *at != '\0'; ++at) {
    if (*at != '%') {
      text.add_character(*at);
      continue;
    }
    switch (*++at) {
      case 'e': text.add(last_component(facts.executable)); break;
      case 'p': text.add_number(facts.pid); break;
      case 'h': text.add(facts.host); break;
      case 't': text.add_number(facts.unix_s); break;
      case 'n': text.add_number(facts.counter); break;
      case '%': text.add_character('%'); break;
      case '\0': return false;
      default: text.add_character('%'); text.add_character(*at);
    }
  }
  return text.complete() && name[0] != '\0';
}

size_t make_absolute(char* path, size_t path_bytes) noexcept {
  if (path[0] == '/') return 0;
  char directory[2048], name[4096];
  const long length = system_call(SYS_getcwd, sys::as_long(directory), sizeof directory);
  if (length <= 1 || directory[0] != '/') return 0;
  TextBuilder text(name, sizeof name);
  for (const char* at = directory; *at != '\0'; ++at) {
    if (*at == '%') text.add_character('%');  // What looks like a conversion there is none.
    text.add_character(*at);
  }
  text.add_character('/');
  text.add(path);
  if (!text.complete() || text.length() + 1 > path_bytes) return 0;
  memcpy(path, name, text.length() + 1);
  return static_cast<size_t>(length) - 1;
}

}  // namespace seep
