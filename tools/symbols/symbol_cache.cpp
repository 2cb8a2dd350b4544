// SPDX-License-Identifier: Apache-2.0
// Reading, replacing and removing files of the symbol cache.
#include "symbols/symbol_cache.h"

#include <absl/strings/str_format.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <tuple>
#include <vector>

namespace seep {
namespace {

constexpr char kDirectory[] = "seep";
constexpr mode_t kPrivateDirectory = 0700;
constexpr mode_t kPrivateFile = 0600;
constexpr mode_t kWritableByOthers = 022;
constexpr std::string_view kUnfinished = ".unfinished.";
// A file that has been unfinished for so long belongs to a process that died.
constexpr time_t kUnfinishedSeconds = 3600;

bool is_own(const struct stat& status) { return status.st_uid == geteuid(); }

bool is_own(const FileDescriptor& fd) {
  struct stat status;
  return fd.is_open() && fstat(fd.get(), &status) == 0 && is_own(status);
}

bool is_private_directory(const FileDescriptor& fd) {
  struct stat status;
  return fstat(fd.get(), &status) == 0 && is_own(status) && (status.st_mode & kWritableByOthers) == 0;
}

// Of all bytes, or nothing.
std::optional<std::string> content_of(int fd, size_t bytes) {
  std::string content(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = pread(fd, content.data() + done, bytes - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return std::nullopt;
    done += static_cast<size_t>(count);
  }
  return content;
}

// Such that no other thread of any process has it.
std::string unfinished_name() {
  static std::atomic<unsigned> number{0};
  return absl::StrFormat("%s%d.%d.%d", kUnfinished, getpid(), number.fetch_add(1), std::time(nullptr));
}

struct CloseDirectory {
  void operator()(DIR* entries) const { closedir(entries); }
};

struct CachedFile {
  timespec used;
  uint64_t bytes;
  std::string name;

  auto order() const { return std::tie(used.tv_sec, used.tv_nsec, name); }
};

// Removes what was left unfinished, on the way.
std::vector<CachedFile> files_in(int directory) {
  std::vector<CachedFile> files;
  const int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseDirectory> entries(fd < 0 ? nullptr : fdopendir(fd));
  if (entries == nullptr) return files;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name;
    struct stat status;
    if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    if (!name.starts_with(kUnfinished)) {
      files.push_back({status.st_mtim, static_cast<uint64_t>(status.st_size), name});
    } else if (status.st_mtim.tv_sec + kUnfinishedSeconds < std::time(nullptr)) {
      unlinkat(directory, name.c_str(), 0);
    }
  }
  return files;
}

}  // namespace

std::optional<SymbolCache> SymbolCache::of_user() {
  // A path that is not absolute is to be ignored (XDG Base Directory Specification).
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return SymbolCache(cache);
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return SymbolCache(std::string(home) + "/.cache");
  return std::nullopt;
}

FileDescriptor SymbolCache::open_directory(Missing missing) const {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  FileDescriptor parent(open(parent_.c_str(), kFlags));
  if (!parent.is_open() && errno == ENOENT && missing == Missing::kIsMade) {
    // Never in a directory that is somebody else's: root with a user's HOME would lock the user out.
    const std::string above = std::filesystem::path(parent_).parent_path().string();
    if (is_own(FileDescriptor(open(above.c_str(), kFlags)))) mkdir(parent_.c_str(), kPrivateDirectory);
    parent = FileDescriptor(open(parent_.c_str(), kFlags));
  }
  if (!is_own(parent)) return FileDescriptor();
  FileDescriptor directory(openat(parent.get(), kDirectory, kFlags | O_NOFOLLOW));
  if (!directory.is_open() && errno == ENOENT && missing == Missing::kIsMade) {
    mkdirat(parent.get(), kDirectory, kPrivateDirectory);
    directory = FileDescriptor(openat(parent.get(), kDirectory, kFlags | O_NOFOLLOW));
  }
  return directory.is_open() && is_private_directory(directory) ? std::move(directory) : FileDescriptor();
}

std::optional<std::string> SymbolCache::read(const std::string& name) const {
  const FileDescriptor directory = open_directory(Missing::kIsNone);
  if (!directory.is_open()) return std::nullopt;
  const FileDescriptor file(openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (!file.is_open() || fstat(file.get(), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode) || !is_own(status)) return std::nullopt;
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (bytes > kMostFileBytes) return std::nullopt;
  futimens(file.get(), nullptr);
  return content_of(file.get(), static_cast<size_t>(bytes));
}

void SymbolCache::write(const std::string& name, std::string_view bytes) const {
  if (bytes.size() > std::min<uint64_t>(kMostFileBytes, most_bytes_)) return;
  const FileDescriptor directory = open_directory(Missing::kIsMade);
  if (!directory.is_open()) return;
  const std::string unfinished = unfinished_name();
  const FileDescriptor file(
      openat(directory.get(), unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kPrivateFile));
  if (!file.is_open()) return;
  const bool done =
      write_all(file.get(), bytes) && renameat(directory.get(), unfinished.c_str(), directory.get(), name.c_str()) == 0;
  if (!done) unlinkat(directory.get(), unfinished.c_str(), 0);
  make_room(directory.get());
}

// A reader that has opened a file reads it to its end, whoever removes it.
void SymbolCache::make_room(int directory) const {
  std::vector<CachedFile> files = files_in(directory);
  uint64_t bytes = 0;
  for (const CachedFile& file : files) bytes += file.bytes;
  if (bytes <= most_bytes_) return;
  std::sort(files.begin(), files.end(),
            [](const CachedFile& left, const CachedFile& right) { return left.order() < right.order(); });
  for (const CachedFile& file : files) {
    if (bytes <= most_bytes_) return;
    if (unlinkat(directory, file.name.c_str(), 0) == 0) bytes -= file.bytes;
  }
}

}  // namespace seep
