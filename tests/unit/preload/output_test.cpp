// SPDX-License-Identifier: Apache-2.0
#include "preload/output.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace seep {
namespace {

const NameFacts kFacts{"/usr/bin/server", 42, "box", 1700000000, 3};

std::string expand(const char* pattern) {
  char name[64];
  return expand_name(pattern, kFacts, name, sizeof name) ? name : "(refused)";
}

TEST(OutputName, ExpandsEveryPlaceholder) {
  EXPECT_EQ(expand("seep.%e.%p/%e.%p.seep"), "seep.server.42/server.42.seep");
  EXPECT_EQ(expand("%h-%t-%n%%"), "box-1700000000-3%");
  EXPECT_EQ(expand("%x"), "%x");
  EXPECT_EQ(expand("a%"), "(refused)");
  EXPECT_EQ(expand(std::string(80, 'a').c_str()), "(refused)");
}

class StreamFileTest : public testing::Test {
 protected:
  StreamFileTest() {
    char pattern[] = "/tmp/seep-output-test.XXXXXX";
    directory = mkdtemp(pattern);
  }
  ~StreamFileTest() override { std::filesystem::remove_all(directory); }

  std::string create(StreamFile& file, const std::string& name) {
    char path[256];
    strcpy(path, (directory + "/" + name).c_str());
    return file.create(path, sizeof path) ? std::string(path).substr(directory.size() + 1) : "(refused)";
  }

  std::string directory;
};

TEST_F(StreamFileTest, ANameInUseGetsTheNextNumber) {
  StreamFile first, second, third;
  EXPECT_EQ(create(first, "a.7.seep"), "a.7.seep");
  EXPECT_EQ(create(second, "a.7.seep"), "a.7.2.seep");
  EXPECT_EQ(create(third, "a.7.seep"), "a.7.3.seep");
}

TEST_F(StreamFileTest, IsPrivateAndItsDirectoryIsMade) {
  StreamFile file;
  ASSERT_EQ(create(file, "new/dir/a.seep"), "new/dir/a.seep");
  struct stat status {};
  ASSERT_EQ(stat((directory + "/new/dir/a.seep").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(StreamFileTest, ASymbolicLinkIsNotFollowed) {
  std::filesystem::create_symlink(directory + "/elsewhere", directory + "/a.seep");
  StreamFile file;
  EXPECT_EQ(create(file, "a.seep"), "a.2.seep");
  EXPECT_FALSE(std::filesystem::exists(directory + "/elsewhere"));
}

TEST_F(StreamFileTest, AppendsAcrossOpensAndRefusesAnotherFileOfItsName) {
  StreamFile file;
  ASSERT_EQ(create(file, "a.seep"), "a.seep");
  const std::string path = directory + "/a.seep";
  ASSERT_TRUE(file.append("one", 3));
  file.close();
  ASSERT_TRUE(file.open(path.c_str()));
  ASSERT_TRUE(file.append("two", 3));
  file.close();
  std::string text;
  std::ifstream(path) >> text;
  EXPECT_EQ(text, "onetwo");
  std::filesystem::rename(path, path + ".old");
  std::ofstream(path) << "somebody else's";
  EXPECT_FALSE(file.open(path.c_str()));
}

}  // namespace
}  // namespace seep
