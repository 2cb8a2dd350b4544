// SPDX-License-Identifier: Apache-2.0
// Suppression files of three formats: what they match, and what is wrong in them. LeakSanitizer's and Valgrind's are as
// their manuals have them; some of the entries are those that valgrind --gen-suppressions=all prints.
#include <gtest/gtest.h>

#include <functional>

#include "gate/stack_pattern.h"
#include "gate/suppression.h"
#include "test_profiles.h"

namespace seep {
namespace {

using testing::ProfileMaker;

const std::vector<std::string> kCStack = {"make_message", "send_loop", "main", "__libc_start_main", "_start"};
const std::vector<std::string> kCppStack = {"operator new(unsigned long)",
                                            "std::vector<int>::push_back(int&&)",
                                            "net::Session::open(int)",
                                            "net::accept_all()",
                                            "main",
                                            "__libc_start_main",
                                            "_start"};

std::vector<Suppression> parsed(const std::string& text) { return parse_suppressions(text, "known.supp"); }

bool matches(const std::string& text, const std::vector<std::string>& stack) {
  ProfileMaker maker;
  const Site& site = maker.add(stack);
  const std::vector<Suppression> suppressions = parsed(text);
  EXPECT_EQ(suppressions.size(), 1u) << text;
  return !suppressions.empty() && suppressions.front().matches(site);
}

std::string problem_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return {};
}

std::string problem_in(const std::string& text) {
  return problem_of([&] { parsed(text); });
}

bool stack_matches(const std::vector<std::string>& elements, const std::vector<std::string>& stack) {
  EXPECT_FALSE(StackPattern::problem(elements).has_value());
  ProfileMaker maker;
  return StackPattern(elements).matches(maker.add(stack));
}

TEST(StackPatterns, MatchConsecutiveFramesAnywhere) {
  EXPECT_TRUE(stack_matches({"make_message"}, kCStack));
  EXPECT_TRUE(stack_matches({"make_message", "send_loop"}, kCStack));
  EXPECT_TRUE(stack_matches({"send_loop", "main"}, kCStack));
  EXPECT_FALSE(stack_matches({"make_message", "main"}, kCStack)) << "a frame is between them";
  EXPECT_FALSE(stack_matches({"send_loop", "make_message"}, kCStack)) << "innermost comes first";
  EXPECT_TRUE(stack_matches({"make_message", "...", "main"}, kCStack));
  EXPECT_TRUE(stack_matches({"make_message", "...", "send_loop"}, kCStack)) << "... may be no frame";
  EXPECT_TRUE(stack_matches({"f", "g", "h"}, {"f", "g", "f", "g", "h"}))
      << "what began to match in vain is gone back from";
  EXPECT_TRUE(stack_matches({"a", "...", "b", "c"}, {"a", "b", "b", "c"}));
}

TEST(StackPatterns, AnchorsTieThemToTheEndsOfTheProgramsOwnFrames) {
  EXPECT_TRUE(stack_matches({"^", "make_message"}, kCStack));
  EXPECT_FALSE(stack_matches({"^", "send_loop"}, kCStack));
  EXPECT_TRUE(stack_matches({"main", "$"}, kCStack)) << "what starts a program is passed over";
  EXPECT_TRUE(stack_matches({"_start", "$"}, kCStack)) << "or named";
  EXPECT_FALSE(stack_matches({"send_loop", "$"}, kCStack));
  EXPECT_TRUE(stack_matches({"^", "net::Session::open"}, kCppStack)) << "what only allocates is passed over";
  EXPECT_TRUE(stack_matches({"^", "operator new"}, kCppStack));
  EXPECT_TRUE(stack_matches({"^", "make_message", "send_loop", "main", "$"}, kCStack));
  EXPECT_FALSE(stack_matches({"^", "make_message", "main", "$"}, kCStack));
}

TEST(StackPatterns, MatchMereNamesToo) {
  EXPECT_TRUE(stack_matches({"^net::Session::open$"}, kCppStack));
  EXPECT_TRUE(stack_matches({"^net::Session::open(int)$"}, kCppStack));
  EXPECT_FALSE(stack_matches({"^open$"}, kCppStack));
  EXPECT_TRUE(stack_matches({"^std::vector::push_back$"}, kCppStack));
  EXPECT_TRUE(stack_matches({"/opt/demo/server"}, kCStack)) << "a module";
  EXPECT_TRUE(stack_matches({"send_loop.cpp$"}, kCStack)) << "a source file";
}

TEST(StackPatterns, ThatWouldMatchEverythingAreNone) {
  for (const std::vector<std::string>& elements :
       {std::vector<std::string>{}, {"..."}, {"^", "$"}, {"^", "...", "$"}, {""}, {"main", "^"}, {"$", "main"}}) {
    EXPECT_TRUE(StackPattern::problem(elements).has_value());
  }
}

TEST(LsanSuppressions, AreReadUnchanged) {
  const auto suppressions = parsed("# Known.\n\n  leak:make_message \r\nleak:*accept*\nleak:libfoo.so\n");
  ASSERT_EQ(suppressions.size(), 3u);
  EXPECT_EQ(suppressions[0].text, "leak:make_message");
  EXPECT_EQ(suppressions[1].origin.text(), "known.supp:4");
  ProfileMaker maker;
  const Site c_site = maker.add(kCStack);
  const Site cpp_site = maker.add(kCppStack);
  EXPECT_TRUE(suppressions[0].matches(c_site));
  EXPECT_FALSE(suppressions[0].matches(cpp_site));
  EXPECT_TRUE(suppressions[1].matches(cpp_site));
  EXPECT_FALSE(suppressions[2].matches(c_site));
  EXPECT_TRUE(matches("leak:operator=", {"T::operator=(T const&)", "main"})) << "no key with a value";
}

TEST(LsanSuppressions, ThatAreNoneAreNamedWithTheirLine) {
  EXPECT_NE(problem_in("leak:a\nleek:b\n").find("known.supp:2:"), std::string::npos);
  EXPECT_NE(problem_in("leak:a\n\nleak:   \n").find("known.supp:3:"), std::string::npos);
  EXPECT_NE(problem_in("race:a\n").find("known.supp:1:"), std::string::npos);
  EXPECT_NE(problem_in(std::string("\x7F\x45LF\0\0", 6)).find("known.supp:1:"), std::string::npos);
  EXPECT_TRUE(parsed("# Nothing known.\n\n").empty());
  EXPECT_TRUE(parsed("").empty());
}

std::string valgrind(const std::string& frames) { return "{\n  a name\n  Memcheck:Leak\n" + frames + "}\n"; }

TEST(ValgrindSuppressions, BeginAtTheAllocatingFunction) {
  EXPECT_TRUE(matches(valgrind("fun:malloc\nfun:make_message\nfun:send_loop\nfun:main\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:*alloc\nfun:make_message\n"), kCStack)) << "outer frames need not be named";
  EXPECT_FALSE(matches(valgrind("fun:make_message\n"), kCStack)) << "the first frame is malloc";
  EXPECT_TRUE(matches(valgrind("...\nfun:send_loop\n"), kCStack));
  EXPECT_FALSE(matches(valgrind("fun:malloc\nfun:send_loop\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:malloc\n...\nfun:main\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:malloc\nfun:make_?essage\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:calloc\nfun:make_message@@DEMO_1.0\n"), kCStack)) << "without its version";
}

// What Valgrind 3.19 printed for a program of these names.
TEST(ValgrindSuppressions, OfLinkerNamesAreTranslated) {
  const std::vector<std::string> stack = {"operator new(unsigned long)", "net::Session::open(int)", "net::accept_all()",
                                          "main"};
  EXPECT_TRUE(matches(valgrind("match-leak-kinds: definite\nfun:_Znwm\nfun:_ZN3net7Session4openEi\n"
                               "fun:_ZN3net10accept_allEv\nfun:main\n"),
                      stack));
  EXPECT_FALSE(matches(valgrind("fun:_Znwm\nfun:_ZN3net7Session4openEl\n"), stack)) << "open(long)";
  EXPECT_TRUE(matches(valgrind("fun:_Znwm\nfun:_ZN3net7Session*\n"), stack));
  EXPECT_TRUE(matches(valgrind("fun:_Znw*\nfun:_ZN3net*\n"), stack));
  EXPECT_FALSE(matches(valgrind("fun:_Znwm\nfun:_ZN4disk*\n"), stack));
  EXPECT_TRUE(matches(valgrind("fun:_Znwm\nfun:open\nfun:accept_all\nfun:main\n"), stack)) << "where it is inlined";
  const std::vector<std::string> local = {"(anonymous namespace)::load_page", "main"};
  EXPECT_TRUE(matches(valgrind("fun:_Znam\nfun:_ZN12_GLOBAL__N_19load_pageEm\nfun:main\n"), local))
      << "what only its module knows stands without parameters in debug information";
}

TEST(ValgrindSuppressions, MatchObjectsAndSources) {
  EXPECT_TRUE(matches(valgrind("obj:*/vgpreload_memcheck*\nobj:/opt/demo/*\n"), kCStack));
  EXPECT_FALSE(matches(valgrind("fun:malloc\nobj:/opt/other/*\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:malloc\nsrc:make_message.cpp:10\n"), kCStack));
  EXPECT_FALSE(matches(valgrind("fun:malloc\nsrc:make_message.cpp:11\n"), kCStack));
  EXPECT_TRUE(matches(valgrind("fun:malloc\nsrc:make_message.cpp\n"), kCStack));
}

TEST(ValgrindSuppressions, HaveKindsAndPassOverOtherTools) {
  const auto suppressions = parsed(
      "# Valgrind's.\n{\n  one\n  Memcheck:Leak\n  match-leak-kinds: possible,reachable\n  fun:malloc\n}\n"
      "{\n  two\n  Memcheck:Cond\n  fun:f\n}\n{\n  three\n  Helgrind:Race\n  fun:g\n}\n"
      "{\n  four\n  Memcheck,Addrcheck:Leak\n  ...\n  fun:h\n}\n"
      "{\n  five\n  Memcheck:Param\n  write(buf)\n  fun:write\n}\n");
  ASSERT_EQ(suppressions.size(), 2u);
  EXPECT_EQ(suppressions[0].text, "one");
  EXPECT_EQ(suppressions[0].origin.line, 2u);
  EXPECT_EQ(suppressions[0].kinds, (VerdictSet{Verdict::kPossible, Verdict::kReachable}));
  EXPECT_EQ(suppressions[1].text, "four");
  EXPECT_EQ(suppressions[1].kinds, VerdictSet::all());
}

TEST(ValgrindSuppressions, ThatAreNoneAreNamedWithTheirLine) {
  EXPECT_NE(problem_in("{\n  a\n  Memcheck:Leak\n  fun:malloc\n").find("known.supp:1:"), std::string::npos);
  EXPECT_NE(problem_in("{\n  a\n  Memcheck:Leak\n}\n").find("known.supp:1:"), std::string::npos);
  EXPECT_NE(problem_in("{\n  a\n  leak\n  fun:f\n}\n").find("known.supp:3:"), std::string::npos);
  EXPECT_NE(problem_in(valgrind("function:malloc\n")).find("known.supp:4:"), std::string::npos);
  EXPECT_NE(problem_in(valgrind("fun:\n")).find("known.supp:4:"), std::string::npos);
  EXPECT_NE(problem_in(valgrind("match-leak-kinds: definitely\nfun:f\n")).find("known.supp:4:"), std::string::npos);
  EXPECT_NE(problem_in(valgrind("fun:f\n") + "}\n").find("known.supp:6:"), std::string::npos);
}

TEST(ValgrindSuppressions, ThatCannotBeTranslatedSayWhy) {
  EXPECT_NE(parsed(valgrind("fun:malloc\nfun:_ZSt*\n"))[0].trouble, "");
  EXPECT_EQ(parsed(valgrind("fun:_Zn*\nfun:f\n"))[0].trouble, "") << "operator new";
}

TEST(SeepSuppressions, HaveEachTheirKeys) {
  const auto suppressions = parsed(
      "[[suppress]]\nstack = [\"^make_message$\", \"...\", \"main\"]\nkinds = [\"definite\", \"possible\"]\n"
      "max_bytes = \"4k\"\nmax_blocks = 2\nexpires = 2027-01-31\nreason = \"ticket 123\"\n"
      "[[suppress]]\nstack = \"accept_all\"\n");
  ASSERT_EQ(suppressions.size(), 2u);
  EXPECT_EQ(suppressions[0].text, "^make_message$ < ... < main");
  EXPECT_EQ(suppressions[0].kinds, (VerdictSet{Verdict::kDefinite, Verdict::kPossible}));
  EXPECT_EQ(suppressions[0].most.bytes, 4096u);
  EXPECT_EQ(suppressions[0].most.blocks, 2u);
  EXPECT_EQ(date_text(*suppressions[0].expires), "2027-01-31");
  EXPECT_EQ(suppressions[0].reason, "ticket 123");
  EXPECT_EQ(suppressions[1].origin.text(), "known.supp:8");
  EXPECT_EQ(suppressions[1].kinds, VerdictSet::all());
  EXPECT_FALSE(suppressions[1].most.any());
}

TEST(SeepSuppressions, ThatAreNoneAreNamedWithTheirLine) {
  const std::string head = "[[suppress]]\n";
  for (const char* line :
       {"stack = 3", "stack = []", "stack = \"...\"", "stack = [\"a\", 3]", "stack = \"a\"\nkinds = [\"lost\"]",
        "stack = \"a\"\nmax_bytes = \"many\"", "stack = \"a\"\nmax_blocks = -1", "stack = \"a\"\nexpires = \"2027\"",
        "stack = \"a\"\nexpires = 2027-13-01", "stack = \"a\"\nreson = \"b\"", "stack = \"a",
        "reason = \"no stack\""}) {
    const std::string problem = problem_in(head + line + "\n");
    const bool second_line = problem.find("known.supp:2:") == 0, third_line = problem.find("known.supp:3:") == 0;
    const bool of_table = problem.find("known.supp:1:") == 0 && problem.find("stack") != problem.npos;
    EXPECT_TRUE(second_line || third_line || of_table) << line << "\n" << problem;
    EXPECT_EQ(problem.find('\n'), problem.npos) << problem;
  }
  EXPECT_NE(problem_in("[[suppress]]\nstack = \"a\"\n[policy]\nfail = 1\n").find("known.supp:3:"), std::string::npos);
}

TEST(Suppressions, TakeAnyBytesInEachFormat) {
  for (const std::string start : {"", "leak:", "{\n", "[[suppress]]\n", "{\nname\nMemcheck:Leak\nfun:_Z"}) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text = start + static_cast<char>(byte) + "9*" + static_cast<char>(255 - byte) + "\n}\n";
      try {
        ProfileMaker maker;
        const Site& site = maker.add(kCppStack);
        for (const Suppression& each : parsed(text)) (void)each.matches(site);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kUsage);
      }
    }
  }
}

}  // namespace
}  // namespace seep
