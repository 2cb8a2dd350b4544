// SPDX-License-Identifier: Apache-2.0
// Finding a program, and the reasons why it cannot be observed.
#include "launch/program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "error.h"
#include "launch/elf_facts.h"

namespace seep {
namespace {

// As deep as the kernel follows scripts that are interpreted by scripts.
constexpr int kMaximumInterpreters = 4;

// 0, or the errno with which an attempt to execute the file would fail.
int execution_error(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return errno;
  if (S_ISDIR(status.st_mode)) return EISDIR;
  if (!S_ISREG(status.st_mode)) return EACCES;
  return faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

Error start_error(const std::string& name, int cause) {
  const bool missing = cause == ENOENT || cause == ENOTDIR;
  const std::string what = missing ? "not found" : std::string("cannot be executed: ") + std::strerror(cause);
  return Error(missing ? ExitCode::kNotFound : ExitCode::kNotExecutable, name, what);
}

// The interpreter that a script names in its first line, or nothing.
std::string interpreter_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  line.resize(256);  // As much as the kernel looks at.
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<size_t>(file.gcount()));
  if (!line.starts_with("#!")) return {};
  line = line.substr(2, line.find('\n') == std::string::npos ? line.npos : line.find('\n') - 2);
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

// Whether executing the file gives other privileges, upon which the loader ignores LD_PRELOAD.
std::string privilege_change(const std::string& path) {
  struct stat status;
  struct statvfs filesystem;
  if (stat(path.c_str(), &status) != 0) return {};
  if (statvfs(path.c_str(), &filesystem) == 0 && (filesystem.f_flag & ST_NOSUID) != 0) return {};
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return {};
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) return "set-user-id";
  // Without the group's execute bit, set-group-id means mandatory locking.
  const mode_t set_group = S_ISGID | S_IXGRP;
  if ((status.st_mode & set_group) == set_group && status.st_gid != getgid()) return "set-group-id";
  if (getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) return "file capabilities";
  return {};
}

proto::NotObserved reason(proto::NotObserved::Reason reason, const std::string& detail) {
  proto::NotObserved not_observed;
  not_observed.set_reason(reason);
  not_observed.set_detail(detail);
  return not_observed;
}

}  // namespace

std::string resolve_program(const std::string& name) {
  if (name.empty()) throw start_error("''", ENOENT);
  if (name.find('/') != std::string::npos) {
    if (const int cause = execution_error(name)) throw start_error(name, cause);
    return name;
  }
  const char* search_path = std::getenv("PATH");
  std::string rest = search_path == nullptr ? "/bin:/usr/bin" : search_path;
  int cause = ENOENT;
  while (true) {
    const size_t colon = rest.find(':');
    const std::string directory = rest.substr(0, colon);
    const std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    const int error = execution_error(candidate);
    if (error == 0) return candidate;
    if (error != ENOENT && error != ENOTDIR) cause = error;
    if (colon == std::string::npos) break;
    rest = rest.substr(colon + 1);
  }
  throw start_error(name, cause);
}

Forecast forecast(const std::string& program_path, const std::string& preload_path) {
  std::string path = program_path;
  for (int step = 0; step < kMaximumInterpreters; ++step) {
    const std::string interpreter = interpreter_of(path);
    if (interpreter.empty()) break;
    path = interpreter;
  }
  const ElfFacts facts = elf_facts(path);
  const ElfFacts preload = elf_facts(preload_path);
  if (!facts.is_elf) return {};  // A script without `#!`, or nothing that runs: the kernel will say.
  if (facts.bits != preload.bits || facts.machine != preload.machine) {
    const std::string detail = facts.bits != preload.bits ? std::to_string(facts.bits) + "-bit" : "another processor";
    return {reason(proto::NotObserved::OTHER_ARCHITECTURE, detail), true};
  }
  if (facts.is_static) return {reason(proto::NotObserved::STATICALLY_LINKED, ""), false};
  if (!facts.sanitizer.empty()) return {reason(proto::NotObserved::SANITIZER, facts.sanitizer), true};
  const std::string change = privilege_change(path);
  if (!change.empty()) return {reason(proto::NotObserved::SET_ID, change), false};
  return {};
}

}  // namespace seep
