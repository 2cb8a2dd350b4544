// SPDX-License-Identifier: Apache-2.0
// Opening and verifying module files, by libdwfl.
#include "symbols/module_file.h"

#include <absl/strings/str_format.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace seep {
namespace {

constexpr char kDebugDirectory[] = "/usr/lib/debug/.build-id/";

// Null: the places where libdwfl looks by itself (beside the file, .debug/ beside it, /usr/lib/debug).
char* debug_file_path = nullptr;

const Dwfl_Callbacks kCallbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_file_path,
};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  void release() { fd_ = -1; }

 private:
  int fd_;
};

std::string build_id_of(int fd) {
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return {};
  const void* bytes = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
  std::string build_id;
  if (size > 0) build_id.assign(static_cast<const char*>(bytes), static_cast<size_t>(size));
  elf_end(elf);
  return build_id;
}

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

std::string debug_file_by_build_id(const std::string& build_id) {
  std::string digits;
  for (const char byte : build_id) digits += absl::StrFormat("%02x", static_cast<unsigned char>(byte));
  return kDebugDirectory + digits.substr(0, 2) + "/" + digits.substr(2) + ".debug";
}

}  // namespace

std::unique_ptr<ModuleFile> ModuleFile::open(const proto::Module& module, std::string& why_not) {
  if (!module.path().starts_with('/')) {
    why_not = "is no file";
    return nullptr;
  }
  elf_version(EV_CURRENT);
  if (auto file = open_path(module.path(), module, why_not)) return file;
  if (module.build_id().size() < 2) return nullptr;
  std::string ignored;
  if (auto file = open_path(debug_file_by_build_id(module.build_id()), module, ignored)) return file;
  return std::getenv("DEBUGINFOD_URLS") != nullptr ? open_by_debuginfod(module) : nullptr;
}

std::unique_ptr<ModuleFile> ModuleFile::open_path(const std::string& path, const proto::Module& module,
                                                  std::string& why_not) {
  // O_NONBLOCK: a pipe in the file's place must not hang the reader.
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  why_not = fd.get() < 0 ? std::strerror(errno) : difference(fd.get(), module);
  if (!why_not.empty()) return nullptr;
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
  return std::unique_ptr<ModuleFile>(new ModuleFile(std::move(session), reported, bias));
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
  return std::unique_ptr<ModuleFile>(new ModuleFile(std::move(session), reported, bias));
}

Dwarf* ModuleFile::dwarf() {
  if (!dwarf_sought_) {
    dwarf_sought_ = true;
    dwarf_ = dwfl_module_getdwarf(module_, &dwarf_bias_);
  }
  return dwarf_;
}

}  // namespace seep
