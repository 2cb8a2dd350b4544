// SPDX-License-Identifier: Apache-2.0
// The symbol cache as a directory: what is kept, for whom, how much, and among how many at once.
#include "symbols/symbol_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <thread>

#include "test_directory.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryDirectory;

mode_t mode_of(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void set_age(const std::string& path, time_t seconds) {
  const timespec then{std::time(nullptr) - seconds, 0};
  const timespec times[] = {then, then};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(SymbolCache, GivesBackWhatWasWrittenLast) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  EXPECT_EQ(cache.read("one"), std::nullopt);
  EXPECT_TRUE(names_in(directory.path()).empty()) << "reading makes nothing";
  cache.write("one", "first");
  EXPECT_EQ(cache.read("one"), "first");
  cache.write("one", "second");
  cache.write("two", "");
  EXPECT_EQ(cache.read("one"), "second");
  EXPECT_EQ(cache.read("two"), "");
  EXPECT_EQ(names_in(directory.path("seep")), (std::vector<std::string>{"one", "two"}));
}

TEST(SymbolCache, IsForItsUserAlone) {
  const TemporaryDirectory directory;
  const mode_t mask = umask(0);
  const SymbolCache cache(directory.path("cache"));
  cache.write("one", "secret");
  umask(mask);
  EXPECT_EQ(mode_of(directory.path("cache")), 0700u);
  EXPECT_EQ(mode_of(directory.path("cache/seep")), 0700u);
  EXPECT_EQ(mode_of(directory.path("cache/seep/one")), 0600u);
}

TEST(SymbolCache, IsNotUsedWhereOthersCouldWrite) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  cache.write("one", "mine");
  for (const mode_t mode : {0720, 0702, 0777}) {
    ASSERT_EQ(chmod(directory.path("seep").c_str(), mode), 0);
    EXPECT_EQ(cache.read("one"), std::nullopt);
    cache.write("two", "more");
    EXPECT_EQ(names_in(directory.path("seep")), std::vector<std::string>{"one"});
  }
}

TEST(SymbolCache, FollowsNoLinkAndReadsOnlyFiles) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  cache.write("one", "mine");
  directory.write("elsewhere", "x");
  fs::create_symlink(directory.path("elsewhere"), directory.path("seep/link"));
  ASSERT_EQ(mkfifo(directory.path("seep/pipe").c_str(), 0600), 0);
  fs::create_directory(directory.path("seep/directory"));
  for (const char* name : {"link", "pipe", "directory"}) EXPECT_EQ(cache.read(name), std::nullopt) << name;
  cache.write("link", "new");  // In the place of the link, not of what it leads to.
  EXPECT_EQ(cache.read("link"), "new");
  EXPECT_EQ(fs::file_size(directory.path("elsewhere")), 1u);
  // Nor is the directory itself a link to somewhere else.
  fs::rename(directory.path("seep"), directory.path("real"));
  fs::create_directory_symlink(directory.path("real"), directory.path("seep"));
  EXPECT_EQ(cache.read("one"), std::nullopt);
}

TEST(SymbolCache, MakesNothingInADirectoryOfSomebodyElse) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const TemporaryDirectory directory;
  fs::create_directory(directory.path("home"));
  ASSERT_EQ(chown(directory.path("home").c_str(), 65534, 65534), 0);
  SymbolCache(directory.path("home/.cache")).write("one", "root's");
  EXPECT_TRUE(names_in(directory.path("home")).empty());
  ASSERT_EQ(chown(directory.path("home").c_str(), 0, 0), 0);
  SymbolCache(directory.path("home/.cache")).write("one", "root's");
  EXPECT_EQ(SymbolCache(directory.path("home/.cache")).read("one"), "root's");
}

TEST(SymbolCache, WithoutAnyDirectoryIsEmpty) {
  const SymbolCache nowhere("/no/such/directory");
  nowhere.write("one", "text");
  EXPECT_EQ(nowhere.read("one"), std::nullopt);
}

// Of 10 files of 1,000 bytes 4 have room. Those that were used last stay, whether read or written.
TEST(SymbolCache, KeepsWhatWasUsedLastWithinItsBound) {
  const TemporaryDirectory directory;
  const SymbolCache large(directory.path());
  const std::string content(1000, 'x');
  for (int number = 0; number < 10; ++number) {
    large.write(std::to_string(number), content);
    set_age(directory.path("seep/" + std::to_string(number)), 1000 - number);
  }
  EXPECT_EQ(large.read("2"), content);
  const SymbolCache small(directory.path(), 4500);
  small.write("new", content);
  EXPECT_EQ(names_in(directory.path("seep")), (std::vector<std::string>{"2", "8", "9", "new"}));
  small.write("large", std::string(4501, 'x'));
  EXPECT_EQ(small.read("large"), std::nullopt) << "more than all may be";
}

TEST(SymbolCache, RefusesAFileThatIsTooLarge) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  cache.write("one", std::string(SymbolCache::kMostFileBytes + 1, 'x'));
  EXPECT_EQ(cache.read("one"), std::nullopt);
  cache.write("one", "text");
  fs::resize_file(directory.path("seep/one"), SymbolCache::kMostFileBytes + 1);
  EXPECT_EQ(cache.read("one"), std::nullopt);
}

TEST(SymbolCache, RemovesWhatADeadProcessLeftUnfinished) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  cache.write("one", "text");
  for (const char* name : {"seep/.unfinished.1.0.1", "seep/.unfinished.2.0.1"}) directory.write(name, "x");
  set_age(directory.path("seep/.unfinished.1.0.1"), 4000);
  cache.write("two", "text");
  EXPECT_EQ(names_in(directory.path("seep")), (std::vector<std::string>{".unfinished.2.0.1", "one", "two"}));
}

// What name N may hold: a letter, as often as the letter says.
std::string content_of(unsigned number) {
  return std::string(5'000 + 100 * (number % 26), static_cast<char>('a' + number % 26));
}

bool is_whole(const std::string& content) {
  return content == content_of(static_cast<unsigned>(content.front() - 'a'));
}

// Several processes, each with several threads, in one cache that has room for a part: what is read is always whole.
TEST(SymbolCache, IsSafeAmongThreadsAndProcesses) {
  constexpr int kProcesses = 4, kThreads = 3;
  constexpr unsigned kRounds = 150;
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path(), 30'000);
  const auto work = [&cache](unsigned seed, bool& whole) {
    for (unsigned round = 0; round < kRounds; ++round) {
      const std::string name = "name" + std::to_string((seed + round) % 7);
      if ((seed + round) % 3 == 0) cache.write(name, content_of(seed * kRounds + round));
      const auto read = cache.read(name);
      whole &= !read || is_whole(*read);
    }
  };
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    bool whole[kThreads] = {true, true, true};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back(work, static_cast<unsigned>(process * kThreads + thread), std::ref(whole[thread]));
    }
    for (std::thread& thread : threads) thread.join();
    _exit(whole[0] && whole[1] && whole[2] ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory.path("seep"))) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".unfinished")) << entry.path();
    bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 30'000u);
}

class OfUser : public ::testing::Test {
 protected:
  OfUser() { keep("HOME"), keep("XDG_CACHE_HOME"); }
  ~OfUser() override {
    for (const auto& [name, value] : before_) {
      if (value) {
        setenv(name.c_str(), value->c_str(), 1);
      } else {
        unsetenv(name.c_str());
      }
    }
  }

  // Which files are there after a write by the cache of an environment.
  std::vector<std::string> written_with(const char* home, const char* cache_home) {
    home == nullptr ? unsetenv("HOME") : setenv("HOME", home, 1);
    cache_home == nullptr ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", cache_home, 1);
    const auto cache = SymbolCache::of_user();
    if (cache) cache->write("one", "text");
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
      if (entry.is_regular_file()) found.push_back(fs::relative(entry.path(), directory_.path()).string());
    }
    return found;
  }

  const TemporaryDirectory directory_;

 private:
  void keep(const char* name) {
    const char* value = std::getenv(name);
    before_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
  }
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

TEST_F(OfUser, IsBelowCacheHomeElseBelowHome) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(written_with(nullptr, nullptr), Names());
  EXPECT_EQ(written_with("", ""), Names());
  EXPECT_EQ(written_with("relative", "relative"), Names());
  EXPECT_EQ(written_with(directory_.path("no/home").c_str(), nullptr), Names()) << "HOME itself is not made";
  fs::create_directory(directory_.path("home"));
  EXPECT_EQ(written_with(directory_.path("home").c_str(), nullptr), Names{"home/.cache/seep/one"});
  fs::remove_all(directory_.path("home/.cache"));
  EXPECT_EQ(written_with(directory_.path("home").c_str(), directory_.path("cache").c_str()), Names{"cache/seep/one"});
}

}  // namespace
}  // namespace seep
