// SPDX-License-Identifier: Apache-2.0
// The file behind a recorded module, proved to be the same one, with its debug information wherever that lies.
//
// A stream can name any path: only regular files are opened, and one whose build id (or, where there is none, size and
// time) is not the recorded one is refused. One thread a file.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "seep.pb.h"
#include "symbols/debug_file.h"

namespace seep {

class ModuleFile {
 public:
  // Tries the recorded path, then a separate debug file in its place, then debuginfod where DEBUGINFOD_URLS asks for
  // it. Null where there is no such file; `why_not` then says why, in words that follow the path.
  static std::unique_ptr<ModuleFile> open(const proto::Module& module, std::string& why_not);

  // Finding the separate debug file (by build id, .gnu_debuglink, debuginfod) is part of the first call. Null: no
  // DWARF.
  Dwarf* dwarf();
  // Add to an address of the module's ELF headers to get one of dwarf().
  uint64_t dwarf_bias() const { return elf_bias_ - dwarf_bias_; }

  // All that its symbols depend on, as far as files go, in words: its build id, and which files in which state there
  // are. Nothing where there is no build id, or a file was not taken from this machine's disk.
  std::optional<std::string> sources() const;

  Dwfl_Module* module() const { return module_; }
  // Add to an address of the module's ELF headers to get one of module().
  uint64_t elf_bias() const { return elf_bias_; }

 private:
  struct EndSession {
    void operator()(Dwfl* session) const { dwfl_end(session); }
  };
  using Session = std::unique_ptr<Dwfl, EndSession>;

  ModuleFile(Session session, Dwfl_Module* module, uint64_t elf_bias, const proto::Module& recorded);

  static std::unique_ptr<ModuleFile> open_path(const std::string& path, const proto::Module& module,
                                               std::string& why_not);
  static std::unique_ptr<ModuleFile> open_by_debuginfod(const proto::Module& module);

  DebugFile debug_file_;  // The session refers to it.
  Session session_;
  Dwfl_Module* module_;
  uint64_t elf_bias_;
  std::string build_id_;
  std::string facts_;  // Of its own file; empty where that is none of this machine's.
  uint64_t dwarf_bias_ = 0;
  bool dwarf_sought_ = false;
  Dwarf* dwarf_ = nullptr;
};

}  // namespace seep
