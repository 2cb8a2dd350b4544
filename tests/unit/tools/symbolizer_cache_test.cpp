// SPDX-License-Identifier: Apache-2.0
// The symbolizer on several threads and with a cache: what it says is the same, however often it is asked, whatever has
// become of the files since, and whatever the cache holds. Also run under the thread sanitizer.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <tuple>

#include "symbols/symbolizer.h"
#include "test_directory.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryDirectory;

constexpr char kFixtures[] = SEEP_FIXTURES "/";
// All that the fixtures' code takes, and so many that each is looked up in several parts.
constexpr uint64_t kAddresses = 9'000;
constexpr size_t kManyThreads = 6;

proto::Module module_of(const std::string& path) {
  proto::Module module;
  module.set_path(path);
  module.set_build_id(build_id_of(open_for_reading(path).get()));
  EXPECT_FALSE(module.build_id().empty()) << path;
  return module;
}

using Said = std::vector<std::tuple<std::string, std::string, uint32_t, std::string, bool, bool, bool, uint64_t>>;

// What is said of every `step`th address of all modules.
Said said_of(const std::vector<proto::Module>& modules, Symbolizer& symbolizer, uint64_t step = 1) {
  std::vector<Symbolizer::ModuleIndex> indices;
  for (const proto::Module& module : modules) {
    indices.push_back(symbolizer.module_of(module));
    for (uint64_t offset = 0; offset < kAddresses; offset += step) symbolizer.request(indices.back(), offset);
  }
  size_t done = 0, all = 0;
  symbolizer.resolve([&](size_t so_far, size_t of) {
    EXPECT_LE(so_far, of);
    std::tie(done, all) = std::tie(so_far, of);
  });
  Said said;
  for (const Symbolizer::ModuleIndex index : indices) {
    for (uint64_t offset = 0; offset < kAddresses; offset += step) {
      for (const Frame& frame : symbolizer.frames(index, offset)) {
        said.emplace_back(frame.function, frame.file, frame.line, frame.module, frame.named, frame.inlined,
                          frame.runtime, frame.identity);
      }
    }
  }
  for (const auto& missing : symbolizer.missing()) {
    said.emplace_back(missing.path, missing.reason, 0, "", false, false, false, 0);
  }
  return said;
}

Said said_with(const std::vector<proto::Module>& modules, std::optional<SymbolCache> cache, size_t threads = 1,
               uint64_t step = 1) {
  Symbolizer symbolizer(std::move(cache), threads);
  return said_of(modules, symbolizer, step);
}

// What is the first to differ, and not all that there is.
::testing::AssertionResult same(const Said& said, const Said& expected) {
  if (said.size() != expected.size()) {
    return ::testing::AssertionFailure() << said.size() << " frames, not " << expected.size();
  }
  for (size_t index = 0; index < said.size(); ++index) {
    if (said[index] == expected[index]) continue;
    return ::testing::AssertionFailure() << ::testing::PrintToString(said[index]) << ", not "
                                         << ::testing::PrintToString(expected[index]);
  }
  return ::testing::AssertionSuccess();
}

std::vector<proto::Module> all_fixtures() {
  std::vector<proto::Module> modules;
  for (const char* name : {"optimized", "plain", "shifted", "split"}) {
    modules.push_back(module_of(std::string(kFixtures) + "fixture_" + name + ".so"));
  }
  return modules;
}

std::vector<fs::path> files_in(const std::string& directory) {
  std::vector<fs::path> files;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(directory, none)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string bytes_of(const fs::path& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

TEST(SymbolizerThreads, SayTheSameAsOne) {
  const std::vector<proto::Module> modules = all_fixtures();
  const Said said = said_with(modules, std::nullopt);
  EXPECT_GT(said.size(), modules.size() * kAddresses) << "no inlined frames";
  EXPECT_TRUE(same(said_with(modules, std::nullopt, kManyThreads), said));
}

TEST(SymbolizerCache, ChangesNothing) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  const std::vector<proto::Module> modules = all_fixtures();
  const Said said = said_with(modules, std::nullopt);
  EXPECT_TRUE(same(said_with(modules, cache, kManyThreads), said)) << "cold";
  EXPECT_TRUE(same(said_with(modules, cache, kManyThreads), said)) << "warm";
  EXPECT_TRUE(same(said_with(modules, cache, 1), said)) << "warm, one thread";
}

TEST(SymbolizerCache, LearnsWhatIsNew) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  const std::vector<proto::Module> modules = {module_of(std::string(kFixtures) + "fixture_optimized.so")};
  const Said said = said_with(modules, std::nullopt);
  EXPECT_TRUE(same(said_with(modules, cache, 1, 7), said_with(modules, std::nullopt, 1, 7)));
  const std::string of_some = bytes_of(files_in(directory.path("seep")).at(0));
  EXPECT_TRUE(same(said_with(modules, cache), said)) << "some are known";
  const std::string of_all = bytes_of(files_in(directory.path("seep")).at(0));
  EXPECT_GT(of_all.size(), of_some.size());
  EXPECT_TRUE(same(said_with(modules, cache, 1, 11), said_with(modules, std::nullopt, 1, 11))) << "more are known";
  EXPECT_EQ(bytes_of(files_in(directory.path("seep")).at(0)), of_all) << "nothing was forgotten";
  // Asked twice in one run.
  Symbolizer symbolizer(cache, 2);
  said_of(modules, symbolizer, 7);
  EXPECT_TRUE(same(said_of(modules, symbolizer), said));
}

// One byte in each part of the file; and cut; and empty: it is not believed, and made anew.
TEST(SymbolizerCache, IsNotBelievedWhereItIsDamaged) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  const std::vector<proto::Module> modules = {module_of(std::string(kFixtures) + "fixture_plain.so")};
  const Said said = said_with(modules, cache);
  const fs::path file = files_in(directory.path("seep")).at(0);
  const std::string whole = bytes_of(file);
  for (const size_t at : {size_t{0}, size_t{13}, whole.size() / 3, whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] + 1);
    std::ofstream(file, std::ios::binary) << damaged;
    EXPECT_TRUE(same(said_with(modules, cache), said)) << at;
    EXPECT_EQ(bytes_of(file), whole) << at;
  }
  for (const size_t size : {size_t{0}, whole.size() / 2}) {
    fs::resize_file(file, size);
    EXPECT_TRUE(same(said_with(modules, cache), said));
    EXPECT_EQ(bytes_of(file), whole);
  }
}

TEST(SymbolizerCache, KnowsWhereDebugInformationComesAndGoes) {
  const TemporaryDirectory directory, store;
  const SymbolCache cache(store.path());
  const std::string module_path = directory.path("fixture_linked.so");
  const std::string debug_path = directory.path(".debug/fixture.debug");
  fs::create_directory(directory.path(".debug"));
  fs::copy(std::string(kFixtures) + "fixture_linked.so", module_path);
  const std::vector<proto::Module> modules = {module_of(module_path)};
  const Said without = said_with(modules, std::nullopt);
  EXPECT_TRUE(same(said_with(modules, cache), without));
  fs::copy(std::string(kFixtures) + "fixture.debug", debug_path);
  const Said with = said_with(modules, std::nullopt);
  ASSERT_NE(with, without);
  EXPECT_TRUE(same(said_with(modules, cache), with)) << "it has come";
  EXPECT_TRUE(same(said_with(modules, cache), with));
  fs::rename(debug_path, directory.path("fixture.debug"));
  EXPECT_TRUE(same(said_with(modules, cache), with)) << "it is beside the module now";
  fs::remove(directory.path("fixture.debug"));
  EXPECT_TRUE(same(said_with(modules, cache), without)) << "it has gone";
}

// A file and the same without its symbols have one build id.
TEST(SymbolizerCache, KnowsAFileThatWasStripped) {
  const TemporaryDirectory directory, store;
  const SymbolCache cache(store.path());
  const std::string path = directory.path("fixture.so");
  fs::copy(std::string(kFixtures) + "fixture_plain.so", path);
  const std::vector<proto::Module> modules = {module_of(path)};
  const Said whole = said_with(modules, cache);
  fs::copy(std::string(kFixtures) + "fixture_stripped.so", path, fs::copy_options::overwrite_existing);
  ASSERT_EQ(module_of(path).build_id(), modules[0].build_id());
  const Said stripped = said_with(modules, std::nullopt);
  ASSERT_NE(stripped, whole);
  EXPECT_TRUE(same(said_with(modules, cache), stripped));
  fs::remove(path);
  EXPECT_TRUE(same(said_with(modules, cache), said_with(modules, std::nullopt))) << "it is missed, cache or not";
}

TEST(SymbolizerCache, HasNothingOfWhatNoBuildIdNames) {
  const TemporaryDirectory directory;
  const SymbolCache cache(directory.path());
  proto::Module module;
  module.set_path(std::string(kFixtures) + "fixture_plain.so");
  struct stat status;
  ASSERT_EQ(stat(module.path().c_str(), &status), 0);
  module.set_file_size_bytes(static_cast<uint64_t>(status.st_size));
  module.set_file_modified_unix_ns(int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec);
  EXPECT_TRUE(same(said_with({module}, cache), said_with({module}, std::nullopt)));
  EXPECT_TRUE(files_in(directory.path("seep")).empty());
}

// Each unit's is in a file of its own, which can change and is not asked about.
TEST(SymbolizerCache, HasNothingOfSplitDebugInformation) {
  const TemporaryDirectory directory;
  const std::vector<proto::Module> modules = {module_of(std::string(kFixtures) + "fixture_split.so")};
  const Said said = said_with(modules, SymbolCache(directory.path()));
  EXPECT_TRUE(std::any_of(said.begin(), said.end(), [](const auto& frame) { return std::get<2>(frame) != 0; }));
  EXPECT_TRUE(files_in(directory.path("seep")).empty());
}

}  // namespace
}  // namespace seep
