// SPDX-License-Identifier: Apache-2.0
// Opening and verifying module files, by libdwfl.
#include "symbols/module_file.h"

#include <absl/strings/str_format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace seep {
namespace {

// Null: the places where libdwfl looks by itself.
char* debug_file_path = nullptr;

const Dwfl_Callbacks kCallbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = DebugFile::find_for_session,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_file_path,
};

int64_t modified_ns(const struct stat& status) {
  return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

// Why an open file is not the recorded one, or nothing.
std::string difference(int fd, const proto::Module& module) {
  struct stat status;
  if (fstat(fd, &status) != 0) return std::strerror(errno);
  if (!S_ISREG(status.st_mode)) return "is not a regular file";
  if (!module.build_id().empty()) {
    return build_id_of(fd) == module.build_id() ? "" : "has changed since (another build id)";
  }
  const bool same = static_cast<uint64_t>(status.st_size) == module.file_size_bytes() &&
                    modified_ns(status) == module.file_modified_unix_ns();
  return same ? "" : "has no build id, and another size or time than when it was recorded";
}

}  // namespace

std::unique_ptr<ModuleFile> ModuleFile::open(const proto::Module& module, std::string& why_not) {
  if (!module.path().starts_with('/')) {
    why_not = "is no file";
    return nullptr;
  }
  begin_libelf();
  if (auto file = open_path(module.path(), module, why_not)) return file;
  if (module.build_id().size() < 2) return nullptr;
  std::string ignored;
  if (auto file = open_path(debug_path_of(module.build_id()), module, ignored)) return file;
  return std::getenv("DEBUGINFOD_URLS") != nullptr ? open_by_debuginfod(module) : nullptr;
}

std::unique_ptr<ModuleFile> ModuleFile::open_path(const std::string& path, const proto::Module& module,
                                                  std::string& why_not) {
  FileDescriptor fd = open_for_reading(path);
  why_not = fd.is_open() ? difference(fd.get(), module) : std::strerror(errno);
  if (!why_not.empty()) return nullptr;
  std::string facts = file_facts(fd.get());
  Session session(dwfl_begin(&kCallbacks));
  if (session == nullptr) return nullptr;
  Dwfl_Module* reported = dwfl_report_offline(session.get(), path.c_str(), path.c_str(), fd.get());
  if (reported == nullptr) {
    why_not = absl::StrFormat("cannot be read: %s", dwfl_errmsg(-1));
    return nullptr;
  }
  fd.release();  // The session's now.
  dwfl_report_end(session.get(), nullptr, nullptr);
  GElf_Addr bias = 0;
  if (dwfl_module_getelf(reported, &bias) == nullptr) return nullptr;
  std::unique_ptr<ModuleFile> file(new ModuleFile(std::move(session), reported, bias, module));
  file->facts_ = std::move(facts);
  file->debug_file_.find(reported, path);
  return file;
}

// The file itself is not here, but its build id is a name by which a server may have it.
std::unique_ptr<ModuleFile> ModuleFile::open_by_debuginfod(const proto::Module& module) {
  Session session(dwfl_begin(&kCallbacks));
  if (session == nullptr) return nullptr;
  const uint64_t start = module.start() - module.load_bias();
  Dwfl_Module* reported = dwfl_report_module(session.get(), module.path().c_str(), start, start + module.size_bytes());
  if (reported == nullptr) return nullptr;
  const auto* build_id = reinterpret_cast<const unsigned char*>(module.build_id().data());
  if (dwfl_module_report_build_id(reported, build_id, static_cast<int>(module.build_id().size()), 0) != 0) {
    return nullptr;
  }
  dwfl_report_end(session.get(), nullptr, nullptr);
  GElf_Addr bias = 0;
  if (dwfl_module_getelf(reported, &bias) == nullptr) return nullptr;
  std::unique_ptr<ModuleFile> file(new ModuleFile(std::move(session), reported, bias, module));
  file->debug_file_.find(reported, module.path());
  return file;
}

ModuleFile::ModuleFile(Session session, Dwfl_Module* module, uint64_t elf_bias, const proto::Module& recorded)
    : session_(std::move(session)), module_(module), elf_bias_(elf_bias), build_id_(recorded.build_id()) {}

std::optional<std::string> ModuleFile::sources() const {
  const auto debug_file = debug_file_.facts();
  if (build_id_.empty() || facts_.empty() || !debug_file) return std::nullopt;
  return "build id " + build_id_ + "\nfile " + facts_ + "\n" + *debug_file;
}

Dwarf* ModuleFile::dwarf() {
  if (!dwarf_sought_) {
    dwarf_sought_ = true;
    dwarf_ = dwfl_module_getdwarf(module_, &dwarf_bias_);
  }
  return dwarf_;
}

}  // namespace seep
