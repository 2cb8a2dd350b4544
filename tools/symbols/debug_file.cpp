// SPDX-License-Identifier: Apache-2.0
// The search for debug files.
#include "symbols/debug_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "symbols/frame.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

constexpr char kDebugRoot[] = "/usr/lib/debug";

bool servers_are_set() {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  return urls != nullptr && *urls != '\0';
}

// As in .gnu_debuglink: of all of the file.
bool has_crc(int fd, GElf_Word wanted) {
  std::array<unsigned char, 65536> buffer;
  uLong crc = crc32(0, nullptr, 0);
  off_t offset = 0;
  for (ssize_t count; (count = pread(fd, buffer.data(), buffer.size(), offset)) > 0; offset += count) {
    crc = crc32(crc, buffer.data(), static_cast<uInt>(count));
  }
  return crc == wanted;
}

// Calls `visit(header, name)` for each section.
template <typename Visit>
void for_each_section(Elf* elf, Visit visit) {
  size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    const char* name = elf_strptr(elf, names, header.sh_name);
    visit(section, header, std::string_view(name == nullptr ? "" : name));
  }
}

// Whether libdwfl would look into no other file.
bool has_all(Elf* elf) {
  bool dwarf = false, symbols = false;
  for_each_section(elf, [&](Elf_Scn*, const GElf_Shdr& header, std::string_view name) {
    dwarf |= header.sh_type != SHT_NOBITS && (name == ".debug_info" || name == ".zdebug_info");
    symbols |= header.sh_type == SHT_SYMTAB;
  });
  return dwarf && symbols;
}

}  // namespace

// What a file must be to be taken.
struct DebugFile::Wanted {
  std::string build_id;
  std::string name;
  bool linked = false;
  GElf_Word crc = 0;
  struct stat main = {};  // What it must not be.
};

void DebugFile::find(Dwfl_Module* module, const std::string& path) {
  void** userdata = nullptr;
  dwfl_module_info(module, &userdata, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  *userdata = this;
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(module, &bias);
  if (elf == nullptr) return;
  note_alternatives(elf, path);
  if (has_all(elf)) return;
  GElf_Word crc = 0;
  const char* link = dwelf_elf_gnu_debuglink(elf, &crc);
  search(module, path, link, crc);
}

std::optional<std::string> DebugFile::facts() const {
  if (alternative_is_elsewhere_) return std::nullopt;
  std::string facts = "no debug file";
  if (found_.is_open()) {
    facts = file_facts(found_.get());
    if (facts.empty()) return std::nullopt;
    facts = "debug file " + facts;
  }
  for (const std::string& place : {by_build_id_, by_link_}) {
    if (!place.empty()) facts += "\nalternative file " + place + " " + file_facts(place);
  }
  return facts;
}

void DebugFile::search(Dwfl_Module* module, const std::string& path, const char* link, GElf_Word link_crc) {
  main_is_searched_ = true;
  link_ = link == nullptr ? "" : link;
  const unsigned char* bits = nullptr;
  GElf_Addr address = 0;
  const int build_id_bytes = dwfl_module_build_id(module, &bits, &address);
  Wanted wanted{.name = link == nullptr ? std::string(module_base_name(path)) + ".debug" : link_,
                .linked = link != nullptr,
                .crc = link_crc};
  if (build_id_bytes > 0) wanted.build_id.assign(bits, bits + build_id_bytes);
  (void)stat(path.c_str(), &wanted.main);  // One that a server gave is not there.
  if (!wanted.build_id.empty() && try_path(wanted, debug_path_of(wanted.build_id))) return;
  if (try_directory(wanted, fs::path(path).parent_path().string())) return;
  std::error_code failed;
  const fs::path target = fs::canonical(path, failed);
  if (!failed && target != path && try_directory(wanted, target.parent_path().string())) return;
  if (servers_are_set()) ask_server(module, path, link, link_crc);
}

bool DebugFile::try_directory(const Wanted& wanted, const std::string& directory) {
  if (wanted.name.find('/') != std::string::npos) return try_path(wanted, wanted.name);
  return try_path(wanted, directory + "/" + wanted.name) || try_path(wanted, directory + "/.debug/" + wanted.name) ||
         try_path(wanted, kDebugRoot + directory + "/" + wanted.name);
}

bool DebugFile::try_path(const Wanted& wanted, const std::string& path) {
  FileDescriptor fd = open_for_reading(path);
  struct stat status;
  if (!fd.is_open() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  if (status.st_dev == wanted.main.st_dev && status.st_ino == wanted.main.st_ino) return false;
  const bool fits = wanted.build_id.empty() ? wanted.linked && has_crc(fd.get(), wanted.crc)
                                            : build_id_of(fd.get()) == wanted.build_id;
  if (!fits) return false;
  take(std::move(fd), path);
  return true;
}

void DebugFile::take(FileDescriptor fd, const std::string& path) {
  found_ = std::move(fd);
  found_path_ = path;
  Elf* elf = elf_begin(found_.get(), ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return;
  note_alternatives(elf, path);
  elf_end(elf);
}

void DebugFile::ask_server(Dwfl_Module* module, const std::string& path, const char* link, GElf_Word link_crc) {
  void** userdata = nullptr;
  GElf_Addr base = 0;
  const char* name = dwfl_module_info(module, &userdata, &base, nullptr, nullptr, nullptr, nullptr, nullptr);
  char* found_path = nullptr;
  FileDescriptor fd(
      dwfl_standard_find_debuginfo(module, userdata, name, base, path.c_str(), link, link_crc, &found_path));
  if (fd.is_open()) take(std::move(fd), found_path == nullptr ? "" : found_path);
  std::free(found_path);
}

// The section holds a path, and the build id of what should be there.
void DebugFile::note_alternatives(Elf* elf, const std::string& path) {
  for_each_section(elf, [&](Elf_Scn* section, const GElf_Shdr&, std::string_view name) {
    if (name != ".gnu_debugaltlink") return;
    const Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) return;
    const std::string_view bytes(static_cast<const char*>(data->d_buf), data->d_size);
    const size_t end = bytes.find('\0');
    if (end == std::string_view::npos) return;
    by_build_id_ = debug_path_of(std::string(bytes.substr(end + 1)));
    const fs::path link = bytes.substr(0, end);
    by_link_ = (fs::path(path).parent_path() / link).string();
  });
}

int DebugFile::find_for_session(Dwfl_Module* module, void** debug_file, const char* module_name, GElf_Addr base,
                                const char* module_path, const char* link, GElf_Word link_crc, char** found_path) {
  auto* self = static_cast<DebugFile*>(*debug_file);
  if (self == nullptr) return -1;
  const bool is_alternative = link != nullptr && link_crc == 0 && self->link_ != link && !self->by_link_.empty();
  if (is_alternative) {
    return self->find_alternative(module, debug_file, module_name, base, module_path, link, found_path);
  }
  if (!self->main_is_searched_) self->search(module, module_path == nullptr ? "" : module_path, link, link_crc);
  if (!self->found_.is_open()) return -1;
  if (!self->found_path_.empty()) *found_path = strdup(self->found_path_.c_str());
  return fcntl(self->found_.get(), F_DUPFD_CLOEXEC, 0);
}

// Without this libdw looks at the two places itself.
int DebugFile::find_alternative(Dwfl_Module* module, void** debug_file, const char* module_name, GElf_Addr base,
                                const char* module_path, const char* link, char** found_path) {
  if (!servers_are_set()) return -1;
  const int fd = dwfl_standard_find_debuginfo(module, debug_file, module_name, base, module_path, link, 0, found_path);
  if (fd < 0) return fd;
  const std::string facts = file_facts(fd);
  alternative_is_elsewhere_ |= facts != file_facts(by_build_id_) && facts != file_facts(by_link_);
  return fd;
}

}  // namespace seep
