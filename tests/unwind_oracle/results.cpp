// SPDX-License-Identifier: Apache-2.0
//
// Counts and differences as text; see results.h.
#include "results.h"

#include <dlfcn.h>
#include <link.h>

#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr size_t kPathBytes = 4096;

void append_to(const char* directory, uint64_t process, const char* ending, const TextBuilder& text,
               const char* content) {
  char path[kPathBytes];
  TextBuilder name(path, sizeof path);
  name.add(directory);
  name.add_character('/');
  name.add_number(process);
  name.add(ending);
  const long fd = sys::open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (sys::failed(fd)) return;
  sys::write_all(fd, content, text.length());
  sys::close(fd);
}

void add_hexadecimal(TextBuilder& text, uint64_t number) {
  text.add("0x");
  for (int shift = 60; shift >= 0; shift -= 4) {
    if (shift == 0 || number >> shift != 0) text.add_character("0123456789abcdef"[number >> shift & 15]);
  }
}

void add_place(TextBuilder& text, uintptr_t pc) {
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(pc), &object) != 0) {
    add_hexadecimal(text, pc);
    return;
  }
  const char* name = object.dlfo_link_map->l_name;
  text.add(name == nullptr || name[0] == '\0' ? "program" : name);
  text.add("+");
  add_hexadecimal(text, pc - object.dlfo_link_map->l_addr);
}

const char* name_of(Cut cut) {
  switch (cut) {
    case Cut::kWhole: return "whole";
    case Cut::kDepthLimit: return "depth limit";
    case Cut::kNoUnwindInformation: return "no unwind information";
    case Cut::kOutsideStack: return "outside the stack";
    case Cut::kBadUnwindInformation: return "bad unwind information";
  }
  return "?";
}

void add_chain(TextBuilder& text, const char* who, const Chain& chain, uint32_t difference) {
  text.add(who);
  text.add(": ");
  text.add_number(chain.count);
  text.add(" frames, ");
  text.add(name_of(chain.cut));
  text.add_character('\n');
  for (uint32_t i = 0; i < chain.count; ++i) {
    text.add(i == difference ? "> " : "  ");
    add_place(text, chain.pcs[i]);
    text.add_character('\n');
  }
}

}  // namespace

void write_counts(const Counts& counts, const char* directory, uint64_t process) noexcept {
  char buffer[1024];
  TextBuilder text(buffer, sizeof buffer);
  const struct {
    const char* name;
    const std::atomic<uint64_t>& count;
  } all[] = {
      {"calls", counts.calls},     {"stacks", counts.stacks},   {"distinct", counts.distinct},
      {"frames", counts.frames},   {"longest", counts.longest}, {"whole", counts.whole},
      {"cut", counts.cut},         {"limited", counts.limited}, {"ended_without_tables", counts.ended_without_tables},
      {"guessed", counts.guessed}, {"misread", counts.misread}, {"differences", counts.differences},
      {"stops", counts.stops},     {"stepped", counts.stepped}, {"nested", counts.nested}};
  char before = '{';
  for (const auto& [key, count] : all) {
    text.add_character(before);
    text.add_character('"');
    text.add(key);
    text.add("\": ");
    text.add_number(count.load());
    before = ',';
  }
  text.add("}\n");
  append_to(directory, process, ".json", text, buffer);
}

void write_difference(const char* directory, uint64_t process, const Chain& ours, const char* who, const Chain& theirs,
                      char* buffer, size_t bytes) noexcept {
  TextBuilder text(buffer, bytes);
  const uint32_t difference = first_difference(ours, theirs);
  add_chain(text, "seep", ours, difference);
  add_chain(text, who, theirs, difference);
  text.add("\n");
  append_to(directory, process, ".differences", text, buffer);
}

}  // namespace seep
