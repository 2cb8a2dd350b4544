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

void make_absolute(char* path, size_t path_bytes) noexcept {
  if (path[0] == '/') return;
  char directory[2048];
  const long length = system_call(SYS_getcwd, sys::as_long(directory), sizeof directory);
  if (length <= 1 || directory[0] != '/') return;
  const size_t directory_bytes = static_cast<size_t>(length) - 1;
  const size_t bytes = strlen(path) + 1;
  if (directory_bytes + 1 + bytes > path_bytes) return;
  memmove(path + directory_bytes + 1, path, bytes);
  memcpy(path, directory, directory_bytes);
  path[directory_bytes] = '/';
}

}  // namespace seep
