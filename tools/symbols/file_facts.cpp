// SPDX-License-Identifier: Apache-2.0
// Opening files, and asking the kernel and libelf about them.
#include "symbols/file_facts.h"

#include <absl/strings/str_format.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace seep {
namespace {

constexpr char kDebugDirectory[] = "/usr/lib/debug/.build-id/";

std::string facts_of(const struct stat& status) {
  return absl::StrFormat("%d:%d %d bytes, %d.%09d, %d.%09d", status.st_dev, status.st_ino, status.st_size,
                         status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

}  // namespace

FileDescriptor open_for_reading(const std::string& path) {
  return FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

bool is_regular(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

void begin_libelf() {
  static const unsigned int version = elf_version(EV_CURRENT);  // Once for all threads.
  (void)version;
}

std::string build_id_of(int fd) {
  begin_libelf();
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return {};
  const void* bytes = nullptr;
  const ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
  std::string build_id;
  if (size > 0) build_id.assign(static_cast<const char*>(bytes), static_cast<size_t>(size));
  elf_end(elf);
  return build_id;
}

std::string debug_path_of(const std::string& build_id) {
  if (build_id.size() < 2) return {};
  std::string digits;
  for (const char byte : build_id) digits += absl::StrFormat("%02x", static_cast<unsigned char>(byte));
  return kDebugDirectory + digits.substr(0, 2) + "/" + digits.substr(2) + ".debug";
}

std::string file_facts(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? facts_of(status) : std::string();
}

std::string file_facts(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? facts_of(status) : std::string();
}

}  // namespace seep
