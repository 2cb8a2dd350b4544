// SPDX-License-Identifier: Apache-2.0
// Policy files, key by key, and what is wrong in them; and the options that are the same.
#include <gtest/gtest.h>

#include "gate/policy.h"
#include "gate/text_file.h"
#include "test_profiles.h"
#include "test_streams.h"
#include "text.h"

namespace seep {
namespace {

using testing::ProfileMaker;
using testing::TemporaryDirectory;

std::string problem_in(const std::string& text) {
  Policy policy;
  try {
    parse_policy(text, "seep.toml", policy);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return {};
}

TEST(Policies, FailForDefiniteLeaksUnlessTheySayOtherwise) {
  Policy policy;
  EXPECT_TRUE(parse_policy("", "seep.toml", policy).empty());
  EXPECT_EQ(policy.fail, VerdictSet{Verdict::kDefinite});
  EXPECT_FALSE(policy.leaks.any());
  EXPECT_EQ(policy.confidence, 0.95);
  EXPECT_FALSE(policy.min_coverage.has_value());
  EXPECT_FALSE(policy.strict);
}

TEST(Policies, HaveAllTheirKeys) {
  Policy policy;
  const auto files = parse_policy(R"(
fail = ["definite", "possible"]
max_bytes = "64k"
max_blocks = 3
suppressions = ["known.supp", "/etc/known.supp"]
baseline = "leaks.toml"
min_coverage = 0.5
allow_unjudged = ["redis-*"]
confidence = 0.99
strict = true
[[site_budget]]
stack = ["load_page", "main"]
max_bytes = 4096
reason = "ticket 1"
[[allocation_budget]]
function = "^AsFlags$"
max_bytes = 650
max_blocks = 1
calls = 1000
[[suppress]]
stack = "make_message"
)",
                                  "/work/seep.toml", policy);
  EXPECT_EQ(policy.fail, (VerdictSet{Verdict::kDefinite, Verdict::kPossible}));
  EXPECT_EQ(policy.leaks.bytes, 65536u);
  EXPECT_EQ(policy.leaks.blocks, 3u);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "/work/known.supp") << "relative to the policy's own place";
  EXPECT_EQ(files[1].path, "/etc/known.supp");
  EXPECT_EQ(files[0].origin.text(), "/work/seep.toml:5");
  EXPECT_EQ(policy.baseline, "/work/leaks.toml");
  EXPECT_EQ(policy.min_coverage, 0.5);
  EXPECT_EQ(policy.allow_unjudged, std::vector<std::string>{"redis-*"});
  EXPECT_EQ(policy.confidence, 0.99);
  EXPECT_TRUE(policy.strict);
  ASSERT_EQ(policy.site_budgets.size(), 1u);
  EXPECT_EQ(policy.site_budgets[0].most.bytes, 4096u);
  EXPECT_FALSE(policy.site_budgets[0].most.blocks.has_value());
  EXPECT_EQ(policy.site_budgets[0].reason, "ticket 1");
  EXPECT_EQ(policy.site_budgets[0].origin.line, 11u);
  ASSERT_EQ(policy.allocation_budgets.size(), 1u);
  EXPECT_EQ(policy.allocation_budgets[0].most.bytes, 650u);
  EXPECT_EQ(policy.allocation_budgets[0].calls, 1000u);
  ASSERT_EQ(policy.suppressions.size(), 1u);
}

TEST(Policies, ThatAreNoneAreNamedWithTheirLine) {
  const std::pair<const char*, const char*> wrong[] = {
      {"fail = [\"definit\"]", "seep.toml:1:"},
      {"\nfail = 3", "seep.toml:2:"},
      {"max_bytes = -1", "seep.toml:1:"},
      {"max_blocks = \"3\"", "seep.toml:1:"},
      {"\n\nmin_coverage = 1.5", "seep.toml:3:"},
      {"min_coverage = nan", "seep.toml:1:"},
      {"confidence = 1.0", "seep.toml:1:"},
      {"strict = \"yes\"", "seep.toml:1:"},
      {"strikt = true", "seep.toml:1:"},
      {"[site_budget]\nstack = \"a\"", "seep.toml:1:"},
      {"[[site_budget]]\nstack = \"a\"", "seep.toml:1:"},
      {"[[allocation_budget]]\nmax_bytes = 3", "seep.toml:1:"},
      {"[[allocation_budget]]\nfunction = \"f\"\nmax_bytes = 3\ncalls = 0", "seep.toml:4:"},
      {"fail = [\"definite\"", "seep.toml:1:"},
      {"a = 1\na = 2", "seep.toml:2:"},
      {"\x80 = 1", "seep.toml:1:"},
  };
  for (const auto& [text, place] : wrong) {
    const std::string problem = problem_in(text);
    EXPECT_EQ(problem.find(place), 0u) << text << "\n" << problem;
    EXPECT_EQ(problem.find('\n'), problem.npos) << problem;
  }
}

TEST(Policies, HoldAnyLetters) {
  for (const std::string text : {"gr\xC3\xB6\xC3\x9F"
                                 "e ~ ~41 ~C3",
                                 "\xE2\x86\x92 'a' \xF0\x9F\x98\x80", "~~"}) {
    const std::string literal = text.find('\'') == text.npos ? "'" + text + "'" : "\"" + text + "\"";
    Policy policy;
    parse_policy(
        "\xEF\xBB\xBF"
        "allow_unjudged = [" +
            toml_text(text) + ", " + literal + "]\n",
        "seep.toml", policy);
    EXPECT_EQ(policy.allow_unjudged, (std::vector<std::string>{text, text}));
  }
  EXPECT_EQ(problem_in("\xC3\x8A = 3").find("seep.toml:1:"), 0u) << "outside of quotes";
  EXPECT_EQ(problem_in("a = 3\n\nb = 1\"ma\xEF\xBA\xBF").find("seep.toml:3:"), 0u);
  EXPECT_EQ(problem_in("\n# \xFF\n").find("seep.toml:2:"), 0u) << "no UTF-8";
}

TEST(Policies, ReadTheFilesThatTheyName) {
  const TemporaryDirectory directory;
  directory.write("known.supp", "leak:make_message\n");
  directory.write("seep.toml", "suppressions = \"known.supp\"\n");
  Policy policy;
  read_policy(directory.path("seep.toml"), policy);
  ASSERT_EQ(policy.suppressions.size(), 1u);
  EXPECT_EQ(policy.suppressions[0].origin.text(), directory.path("known.supp") + ":1");
  directory.write("seep.toml", "\nsuppressions = \"other.supp\"\n");
  try {
    read_policy(directory.path("seep.toml"), policy);
    FAIL() << "there is no such file";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find(directory.path("seep.toml") + ":2:"), 0u) << error.what();
  }
}

TEST(Budgets, AreWrittenAsOptions) {
  const SiteBudget budget = parse_site_budget({"--site-budget"}, "T::operator=(T const&)=4k/2");
  EXPECT_EQ(budget.pattern->text(), "T::operator=(T const&)");
  EXPECT_EQ(budget.most.bytes, 4096u);
  EXPECT_EQ(budget.most.blocks, 2u);
  EXPECT_FALSE(parse_site_budget({"--site-budget"}, "f=/2").most.bytes.has_value());
  EXPECT_EQ(parse_site_budget({"--site-budget"}, "f=0").most.bytes, 0u);
  const AllocationBudget allocations = parse_allocation_budget({"--allocation-budget"}, "AsFlags=650/1@1000");
  EXPECT_EQ(allocations.most.bytes, 650u);
  EXPECT_EQ(allocations.calls, 1000u);
  EXPECT_EQ(parse_allocation_budget({"--allocation-budget"}, "a@b=/30").calls, 1u);
  for (const char* text : {"f", "f=", "=1/2", "f=x/2", "f=1/x", "f=1/2/3", "f=/"}) {
    EXPECT_THROW(parse_site_budget({"--site-budget"}, text), Error) << text;
  }
  EXPECT_THROW(parse_allocation_budget({"--allocation-budget"}, "f=1/2@"), Error);
  EXPECT_THROW(parse_allocation_budget({"--allocation-budget"}, "f=1/2@0"), Error);
}

TEST(VerdictSets, AreWrittenFromTheWorst) {
  EXPECT_EQ(parse_verdicts({"--fail"}, "possible, definite").text(), "definite, possible");
  EXPECT_TRUE(parse_verdicts({"--fail"}, "none").empty());
  EXPECT_THROW(parse_verdicts({"--fail"}, "definite,,x"), Error);
}

TEST(Text, BecomesValidUtf8) {
  EXPECT_EQ(valid_utf8("aé€😀"), "aé€😀");
  for (const char* bytes :
       {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88", "\xE2\x82"}) {
    const std::string valid = valid_utf8(std::string("a") + bytes + "b");
    EXPECT_EQ(valid.front(), 'a');
    EXPECT_EQ(valid.back(), 'b');
    EXPECT_NE(valid.find("\xEF\xBF\xBD"), valid.npos) << valid;
    EXPECT_EQ(valid_utf8(valid), valid);
  }
}

TEST(Text, MatchesGlobs) {
  EXPECT_TRUE(matches_glob("redis-server", "redis-*"));
  EXPECT_TRUE(matches_glob("redis-server", "*s?r*"));
  EXPECT_FALSE(matches_glob("my-redis-server", "redis-*"));
  EXPECT_TRUE(matches_glob("", "*"));
  EXPECT_FALSE(matches_glob("", "?"));
  EXPECT_TRUE(matches_glob("aab", "*ab"));
  EXPECT_FALSE(matches_glob("a[b]", "a[?]x"));
}

TEST(TextFiles, AreReplacedWholeAndKeepTheirMode) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("baseline");
  replace_text_file(path, "one\n");
  EXPECT_EQ(read_text_file(path), "one\n");
  chmod(path.c_str(), 0640);
  std::filesystem::create_symlink(path, directory.path("link"));
  replace_text_file(directory.path("link"), "two\n");
  EXPECT_EQ(read_text_file(path), "two\n");
  EXPECT_TRUE(std::filesystem::is_symlink(directory.path("link")));
  struct stat file = {};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0640u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 2) << "nothing is left over";
  EXPECT_THROW(replace_text_file(directory.path("no/such/place"), "x"), Error);
  EXPECT_THROW(read_text_file(directory.path("none")), Error);
  EXPECT_THROW(read_text_file("/dev/zero"), Error) << "more than is read";
}

}  // namespace
}  // namespace seep
