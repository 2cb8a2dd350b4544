// SPDX-License-Identifier: Apache-2.0
// Where the debug information of a module lies, if not in its own file. It is looked for once, as gdb looks for it: the
// file with the module's build id below /usr/lib/debug; what its .gnu_debuglink names (or NAME.debug), beside it, in
// .debug/ beside it, and in its directory's place below /usr/lib/debug; and, where DEBUGINFOD_URLS is set, what a
// server has. What is found must have the module's build id, or where it has none, the checksum of the link.
//
// libdwfl's own search does the same, but loads libdebuginfod and 30 libraries that this needs before it asks whether
// there is a server at all. One thread a module.
#pragma once

#include <elfutils/libdwfl.h>

#include <optional>
#include <string>

#include "symbols/file_facts.h"

namespace seep {

class DebugFile {
 public:
  // Looks for it, unless the module's own file has all that there could be in another one. Makes the session find it.
  void find(Dwfl_Module* module, const std::string& path);

  // What the symbols of a module depend on besides its own file, in words. Nothing where that is not known: an
  // alternative file (.gnu_debugaltlink, of dwz) was taken from a place that is not among them.
  std::optional<std::string> facts() const;

  // For the callbacks of a session: the same file again, and alternative ones.
  static int find_for_session(Dwfl_Module* module, void** debug_file, const char* module_name, GElf_Addr base,
                              const char* module_path, const char* link, GElf_Word link_crc, char** found_path);

 private:
  struct Wanted;

  void take(FileDescriptor fd, const std::string& path);
  bool try_path(const Wanted& wanted, const std::string& path);
  bool try_directory(const Wanted& wanted, const std::string& directory);
  void ask_server(Dwfl_Module* module, const std::string& path, const char* link, GElf_Word link_crc);
  void search(Dwfl_Module* module, const std::string& path, const char* link, GElf_Word link_crc);
  void note_alternatives(Elf* elf, const std::string& path);
  int find_alternative(Dwfl_Module* module, void** debug_file, const char* module_name, GElf_Addr base,
                       const char* module_path, const char* link, char** found_path);

  bool main_is_searched_ = false;
  std::string link_;  // As the search for the debug file was asked with; an alternative one has another.
  FileDescriptor found_;
  std::string found_path_;
  // Of an alternative file where it may lie: below /usr/lib/debug, or where its link leads.
  std::string by_build_id_, by_link_;
  bool alternative_is_elsewhere_ = false;
};

}  // namespace seep
