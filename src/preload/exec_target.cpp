// SPDX-License-Identifier: Apache-2.0
//
// Looking at programs; see exec_target.h. ELF gABI chapters 4 and 5; execve(2); exec(3).
#include "preload/exec_target.h"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <cstring>

#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr char kPathVariable[] = "PATH=";

bool is_executable_file(const char* path, struct stat& status) {
  return !sys::failed(sys::status(path, &status)) && S_ISREG(status.st_mode) &&
         !sys::failed(system_call(SYS_faccessat, AT_FDCWD, sys::as_long(path), X_OK));
}

// Another user's privileges upon exec make the loader ignore LD_PRELOAD.
bool changes_privileges(const struct stat& status) {
  const bool user = (status.st_mode & S_ISUID) != 0 && status.st_uid != static_cast<uid_t>(system_call(SYS_geteuid));
  const bool group = (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 &&
                     status.st_gid != static_cast<gid_t>(system_call(SYS_getegid));
  return user || group;
}

bool has_loader(long fd, const ElfW(Ehdr) & header) {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment{};
    const uint64_t at = header.e_phoff + uint64_t{i} * header.e_phentsize;
    if (sys::read_at(fd, &segment, sizeof segment, at) != sizeof segment) return false;
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

ExecTarget look_into(long fd) {
  ElfW(Ehdr) header{};
  const long got = sys::read_at(fd, &header, sizeof header, 0);
  if (got < 4) return got < 0 ? ExecTarget::kOther : ExecTarget::kText;
  if (memcmp(&header, "#!", 2) == 0) return ExecTarget::kObservable;
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return ExecTarget::kText;
  if (got != sizeof header) return ExecTarget::kNone;
  const bool our_kind = header.e_ident[EI_CLASS] == kElfClass && header.e_machine == kElfMachine;
  return our_kind && has_loader(fd, header) ? ExecTarget::kObservable : ExecTarget::kOther;
}

const char* search_path() {
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    if (strncmp(*variable, kPathVariable, sizeof kPathVariable - 1) == 0) return *variable + sizeof kPathVariable - 1;
  }
  return "/bin:/usr/bin";  // As glibc has it where PATH is not set.
}

}  // namespace

ExecTarget look_at_program(const char* path) noexcept {
  struct stat status {};
  if (path == nullptr || !is_executable_file(path, status)) return ExecTarget::kNone;
  if (changes_privileges(status)) return ExecTarget::kOther;
  const long fd = sys::open(path, O_RDONLY | O_NONBLOCK);
  if (sys::failed(fd)) return ExecTarget::kOther;  // May be executed and not be read.
  const ExecTarget target = look_into(fd);
  sys::close(fd);
  return target;
}

ExecTarget look_for_program(const char* name) noexcept {
  if (name == nullptr || *name == '\0') return ExecTarget::kNone;
  if (strchr(name, '/') != nullptr) return look_at_program(name);
  for (const char* at = search_path();; ++at) {
    char path[1024];
    TextBuilder text(path, sizeof path);
    for (; *at != ':' && *at != '\0'; ++at) text.add_character(*at);
    if (text.length() > 0) text.add_character('/');
    text.add(name);
    const ExecTarget target = text.complete() ? look_at_program(path) : ExecTarget::kNone;
    if (target != ExecTarget::kNone || *at == '\0') return target;
  }
}

}  // namespace seep
