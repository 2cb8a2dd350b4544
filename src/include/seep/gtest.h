/* SPDX-License-Identifier: Apache-2.0
 *
 * A listener for GoogleTest that fails the very test that leaks. For C++14 and later, and GoogleTest 1.10 and later;
 * nothing needs to be linked. Without seep (libseep.so is not preloaded) it does nothing.
 *
 *     #include <seep/gtest.h>
 *
 *     int main(int argc, char** argv) {
 *       testing::InitGoogleTest(&argc, argv);
 *       seep::gtest::install();
 *       return RUN_ALL_TESTS();
 *     }
 *
 * Or, in any one source file of a program whose main is gtest_main's:
 *
 *     const bool leaks_are_checked = seep::gtest::install();
 *
 * and then
 *
 *     seep run --gate -- ./tests
 *
 * What is leaked is what a leak scan calls definite: no pointer leads to it. Caches, singletons and whatever else a
 * test leaves in reach are no leak, however they grow. What leaks once and never again (a library that loses a block
 * when it is used first) is for Options::warm_up, or, if the tests themselves are the warm-up, for
 * Options::warm_up_iterations.
 *
 * The scan comes after a test's fixture is gone: what TearDown frees is no leak. What a test hands to the next one by
 * way of SetUpTestSuite or a global variable is none, either. A leak counts where its last pointer goes: where that
 * stays in a register, or in freed memory that is handed out again, it may be told of a later test; so a message says
 * which. A death test's child is not looked at, nor a test that has failed or was skipped: it may have left early.
 */
#ifndef SEEP_GTEST_H
#define SEEP_GTEST_H

#include <gtest/gtest.h>
#include <seep/seep.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>

namespace seep {
namespace gtest {

struct Options {
  /* Called before the first test: what it leaks is nobody's. */
  std::function<void()> warm_up = nullptr;
  /* So many rounds of --gtest_repeat before what a test leaks is told. The environment variable SEEP_GTEST_WARM_UP sets
   * it, too: `SEEP_GTEST_WARM_UP=1 seep run --gate -- ./tests --gtest_repeat=2`. */
  int warm_up_iterations = 0;
};

class LeakListener : public testing::EmptyTestEventListener {
 public:
  explicit LeakListener(Options options = Options()) : options_(std::move(options)) {
    const char* iterations = std::getenv("SEEP_GTEST_WARM_UP");
    if (iterations != nullptr) options_.warm_up_iterations = std::atoi(iterations);
  }

  void OnTestIterationStart(const testing::UnitTest&, int iteration) override {
    iteration_ = iteration;
    if (iteration != 0 || !is_active()) return;
    if (options_.warm_up) options_.warm_up();
    look();
  }

  void OnTestSuiteStart(const testing::TestSuite&) override { suite_begins_ = true; }

  /* What was lost since the last test is a SetUpTestSuite's or TearDownTestSuite's, and is no test's. Between two tests
   * of a suite there is none. */
  void OnTestStart(const testing::TestInfo&) override {
    if (!suite_begins_ || !is_active()) return;
    suite_begins_ = false;
    clear_dead_stack();
    look();
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    if (!is_active()) return;
    clear_dead_stack();
    judge(test);
  }

 private:
  __attribute__((noinline)) void judge(const testing::TestInfo& test) {
    const seep_leaks before = known_;
    const bool verdict = look();
    if (iteration_ < options_.warm_up_iterations || test.result()->Failed() || test.result()->Skipped()) return;
    if (!verdict) {
      ADD_FAILURE() << "seep: no verdict on what this test leaks: threads could not be stopped, or a sandbox is in the "
                       "way (SEEP_OPTIONS=scan=off turns the check off)";
    } else if (known_.definite_blocks > before.definite_blocks) {
      ADD_FAILURE() << message(test, known_.definite_blocks - before.definite_blocks,
                               known_.definite_bytes - before.definite_bytes);
    }
  }

  /* The test's frames are gone, and their words lie where judge()'s frame will: without this its unused words would
   * hold what the test lost, for one scan. */
  __attribute__((noinline)) static void clear_dead_stack() {
    char words[4096];
    std::memset(words, 0, sizeof words);
    __asm__ volatile("" : : "r"(words) : "memory");
  }

  /* Where scans are turned off nothing is said of any test. */
  bool is_active() {
    if (!asked_) {
      asked_ = true;
      active_ = seep_is_active() != 0 && !scans_are_off();
    }
    return active_;
  }

  /* The last word counts. */
  static bool scans_are_off() {
    const char* text = std::getenv("SEEP_OPTIONS");
    const std::string options = ":" + std::string(text == nullptr ? "" : text) + ":";
    const std::size_t scan = options.rfind(":scan=");
    return scan != std::string::npos && options.compare(scan, 10, ":scan=off:") == 0;
  }

  /* False: no verdict, and what was known stays. */
  bool look() {
    seep_leaks now;
    if (seep_check_leaks(&now) != 0) return false;
    known_ = now;
    return true;
  }

  std::string message(const testing::TestInfo& test, std::size_t blocks, std::size_t bytes) const {
    const std::string about = known_.exact ? "" : "at least ";
    const std::string filter = std::string(test.test_suite_name()) + "." + test.name();
    return "seep: this test leaks " + about + std::to_string(bytes) + " bytes in " + std::to_string(blocks) +
           (blocks == 1 ? " block" : " blocks") +
           ": no pointer leads to them any more. Where they were allocated is in the report, or of this test alone in "
           "that of\n  seep run --gate -- PROGRAM --gtest_filter=" +
           filter;
  }

  Options options_;
  bool asked_ = false;
  bool active_ = false;
  bool suite_begins_ = true;
  int iteration_ = 0;
  seep_leaks known_ = {0, 0, 0};
};

/* Makes the running program's tests fail for what they leak. To be called once; returns true.
 *
 *     seep::gtest::install({[] { library::use_for_the_first_time(); }});  // With a warm-up.
 */
inline bool install(Options options = Options()) {
  testing::UnitTest::GetInstance()->listeners().Append(new LeakListener(std::move(options)));
  return true;
}

}  // namespace gtest
}  // namespace seep

#endif
