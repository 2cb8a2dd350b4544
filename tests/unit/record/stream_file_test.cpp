// SPDX-License-Identifier: Apache-2.0
#include "record/stream_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "encoded_stream.h"

namespace seep {
namespace {

class StreamFileTest : public testing::Test {
 protected:
  StreamFileTest() {
    char pattern[] = "/tmp/seep-stream-file-test.XXXXXX";
    directory = mkdtemp(pattern);
  }
  ~StreamFileTest() override { std::filesystem::remove_all(directory); }

  std::string create(StreamFile& file, const std::string& name) {
    char path[256];
    strcpy(path, (directory + "/" + name).c_str());
    return file.create("", path, sizeof path, 0, state) ? std::string(path).substr(directory.size() + 1) : "(refused)";
  }
  bool open(StreamFile& file, const std::string& name) {
    return file.open("", (directory + "/" + name).c_str(), state, id);
  }
  std::string contents(const std::string& name) { return contents_of(directory + "/" + name); }

  const uint8_t id[16] = {'t', 'h', 'e', ' ', 'r', 'e', 'c', 'o', 'r', 'd', 'i', 'n', 'g', ' ', 'i', 'd'};
  std::string directory;
  StreamState state{};
};

TEST_F(StreamFileTest, ANameInUseGetsTheNextNumber) {
  StreamFile first, second, third;
  EXPECT_EQ(create(first, "a.7.seep"), "a.7.seep");
  EXPECT_EQ(create(second, "a.7.seep"), "a.7.2.seep");
  EXPECT_EQ(create(third, "a.7.seep"), "a.7.3.seep");
  for (StreamFile* file : {&first, &second, &third}) file->close();
}

TEST_F(StreamFileTest, IsPrivateAndItsDirectoryIsMade) {
  StreamFile file;
  ASSERT_EQ(create(file, "new/dir/a.seep"), "new/dir/a.seep");
  file.close();
  struct stat status {};
  ASSERT_EQ(stat((directory + "/new/dir/a.seep").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(StreamFileTest, ASymbolicLinkIsNotFollowed) {
  std::filesystem::create_symlink(directory + "/elsewhere", directory + "/a.seep");
  StreamFile file;
  EXPECT_EQ(create(file, "a.seep"), "a.2.seep");
  file.close();
  EXPECT_FALSE(std::filesystem::exists(directory + "/elsewhere"));
  std::filesystem::create_symlink(directory + "/a.2.seep", directory + "/link.seep");
  EXPECT_FALSE(open(file, "link.seep"));
}

TEST_F(StreamFileTest, AppendsAcrossOpensAndRefusesAnotherFileOfItsName) {
  StreamFile file;
  ASSERT_EQ(create(file, "a.seep"), "a.seep");
  ASSERT_TRUE(file.append("the recording id", 16));
  file.close();
  ASSERT_TRUE(open(file, "a.seep"));
  EXPECT_EQ(file.bytes(), 16u);
  ASSERT_TRUE(file.append("two", 3));
  file.close();
  EXPECT_EQ(contents("a.seep"), "the recording idtwo");
  std::filesystem::rename(directory + "/a.seep", directory + "/b.seep");
  std::ofstream(directory + "/a.seep") << "somebody else's";
  EXPECT_FALSE(open(file, "a.seep"));
}

// Of a file that was removed, ext4 gives the inode to the next one at once.
TEST_F(StreamFileTest, ThatItHasTheInodeIsNotEnough) {
  StreamFile file;
  ASSERT_EQ(create(file, "a.seep"), "a.seep");
  ASSERT_TRUE(file.append("the recording id", 16));
  file.close();
  std::ofstream(directory + "/a.seep", std::ios::trunc) << "somebody else's, by its content";
  EXPECT_FALSE(open(file, "a.seep"));
  std::ofstream(directory + "/a.seep", std::ios::trunc) << "";
  EXPECT_TRUE(open(file, "a.seep"));
  file.close();
}

TEST_F(StreamFileTest, WhatWasAppendedCanBeTakenBack) {
  StreamFile file;
  ASSERT_EQ(create(file, "a.seep"), "a.seep");
  ASSERT_TRUE(file.append("keep", 4));
  ASSERT_TRUE(file.append("lose", 4));
  ASSERT_TRUE(file.take_back(4));
  ASSERT_TRUE(file.append("!", 1));
  file.close();
  EXPECT_EQ(contents("a.seep"), "keep!");
}

// The signal would kill: the test dies if it is raised.
TEST_F(StreamFileTest, ALimitOnFileSizeIsAFailureAndNoSignal) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 10;
  setrlimit(RLIMIT_FSIZE, &small);
  StreamFile file;
  const bool made = create(file, "a.seep") == "a.seep";
  const bool fits = file.append("0123456789", 10);
  const bool more = file.append("x", 1);
  file.close();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(made);
  EXPECT_TRUE(fits);
  EXPECT_FALSE(more);
  EXPECT_EQ(contents("a.seep"), "0123456789");
}

TEST_F(StreamFileTest, FromOutsideThePathIsBelowTheProcesssRoot) {
  std::filesystem::create_directory(directory + "/root");
  char path[64] = "/var/out/a.seep";
  StreamFile file;
  ASSERT_TRUE(file.create((directory + "/root").c_str(), path, sizeof path, 0, state));
  ASSERT_TRUE(file.append("the recording id", 16));
  file.close();
  EXPECT_STREQ(path, "/var/out/a.seep");
  EXPECT_EQ(contents("root/var/out/a.seep"), "the recording id");
  ASSERT_TRUE(file.open((directory + "/root").c_str(), path, state, id));
  file.close();
}

}  // namespace
}  // namespace seep
