// SPDX-License-Identifier: Apache-2.0
// What `seep run` does around a program: finding it, foreseeing that it cannot be observed, its environment, its
// directory, its end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "commands/arguments.h"
#include "error.h"
#include "launch/child.h"
#include "launch/environment.h"
#include "launch/own_stream.h"
#include "launch/program.h"
#include "launch/recording_directory.h"
#include "recording/host_identity.h"
#include "recording/recording.h"
#include "test_streams.h"

namespace seep {
namespace {

using testing::TemporaryDirectory;

constexpr char kLibrary[] = SEEP_FIXTURES "/fixture_plain.so";  // Stands for libseep.so: any library of this machine.

std::string executable(const TemporaryDirectory& directory, const std::string& name, const std::string& bytes) {
  const std::string path = directory.write(name, bytes);
  chmod(path.c_str(), 0755);
  return path;
}

ExitCode code_of_resolving(const std::string& name) {
  try {
    resolve_program(name);
    return ExitCode::kFine;
  } catch (const Error& error) {
    return error.code();
  }
}

TEST(ResolveProgram, GoesByThePathAsShellsDo) {
  const TemporaryDirectory directory;
  const std::string program = executable(directory, "tool", "#!/bin/sh\n");
  directory.write("text", "no program");
  const std::string old_path = getenv("PATH");
  setenv("PATH", ("/no/such/place:" + directory.path()).c_str(), 1);
  EXPECT_EQ(resolve_program("tool"), program);
  EXPECT_EQ(code_of_resolving("text"), ExitCode::kNotExecutable);
  EXPECT_EQ(code_of_resolving("absent"), ExitCode::kNotFound);
  setenv("PATH", old_path.c_str(), 1);
  EXPECT_EQ(resolve_program(program), program);
  EXPECT_EQ(code_of_resolving(directory.path("absent")), ExitCode::kNotFound);
  EXPECT_EQ(code_of_resolving(directory.path("text")), ExitCode::kNotExecutable);
  EXPECT_EQ(code_of_resolving(directory.path()), ExitCode::kNotExecutable);
  EXPECT_EQ(code_of_resolving(""), ExitCode::kNotFound);
}

TEST(Forecast, AnOrdinaryProgramCanBeObserved) {
  EXPECT_FALSE(forecast("/bin/sh", kLibrary).not_observed.has_value());
  EXPECT_FALSE(forecast("/bin/sh", kLibrary).preload_disturbs);
}

TEST(Forecast, AStaticProgramCannot) {
  const Forecast result = forecast(SEEP_FIXTURES "/static_program", kLibrary);
  ASSERT_TRUE(result.not_observed.has_value());
  EXPECT_EQ(result.not_observed->reason(), proto::NotObserved::STATICALLY_LINKED);
  EXPECT_FALSE(result.preload_disturbs);
}

TEST(Forecast, AStaticPositionIndependentProgramCannot) {
  const Forecast result = forecast(SEEP_FIXTURES "/static_pie_program", kLibrary);
  ASSERT_TRUE(result.not_observed.has_value());
  EXPECT_EQ(result.not_observed->reason(), proto::NotObserved::STATICALLY_LINKED);
}

TEST(Forecast, AScriptIsItsInterpreter) {
  const TemporaryDirectory directory;
  const std::string fine = executable(directory, "fine", "#!/bin/sh -e\nexit 0\n");
  EXPECT_FALSE(forecast(fine, kLibrary).not_observed.has_value());
  const std::string of_static = executable(directory, "static", "#! " SEEP_FIXTURES "/static_program\n");
  const std::string of_script = executable(directory, "nested", "#!" + of_static + " argument\n");
  EXPECT_TRUE(forecast(of_static, kLibrary).not_observed.has_value());
  EXPECT_TRUE(forecast(of_script, kLibrary).not_observed.has_value());
}

// A copy of a file with some bytes changed.
std::string patched(const TemporaryDirectory& directory, const std::string& from, size_t at, char value) {
  std::ifstream file(from, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  bytes[at] = value;
  return executable(directory, "patched", bytes);
}

TEST(Forecast, AProgramForAnotherProcessorCannotAndIsNotPreloaded) {
  const TemporaryDirectory directory;
  const Forecast result = forecast(patched(directory, "/proc/self/exe", 18, '\x2A'), kLibrary);  // e_machine.
  ASSERT_TRUE(result.not_observed.has_value());
  EXPECT_EQ(result.not_observed->reason(), proto::NotObserved::OTHER_ARCHITECTURE);
  EXPECT_TRUE(result.preload_disturbs);
}

TEST(Forecast, ASanitizedProgramCannotAndIsNotPreloaded) {
  if (access(SEEP_FIXTURES "/sanitized_program", F_OK) != 0) GTEST_SKIP() << "not run: no AddressSanitizer here";
  const Forecast result = forecast(SEEP_FIXTURES "/sanitized_program", kLibrary);
  ASSERT_TRUE(result.not_observed.has_value());
  EXPECT_EQ(result.not_observed->reason(), proto::NotObserved::SANITIZER);
  EXPECT_TRUE(result.preload_disturbs);
}

TEST(Forecast, ASetIdProgramCannotWhereThatChangesThePrivileges) {
  const TemporaryDirectory directory;
  const std::string program = executable(directory, "program", "");
  std::filesystem::copy_file("/bin/true", program, std::filesystem::copy_options::overwrite_existing);
  chmod(program.c_str(), 04755);
  EXPECT_FALSE(forecast(program, kLibrary).not_observed.has_value()) << "it is our own already";
  if (geteuid() != 0) GTEST_SKIP() << "the rest was not run: only root can give files away";
  ASSERT_EQ(chown(program.c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod(program.c_str(), 04755), 0);
  const Forecast result = forecast(program, kLibrary);
  ASSERT_TRUE(result.not_observed.has_value());
  EXPECT_EQ(result.not_observed->reason(), proto::NotObserved::SET_ID);
  EXPECT_EQ(result.not_observed->detail(), "set-user-id");
  ASSERT_EQ(chmod(program.c_str(), 02755), 0);
  EXPECT_EQ(forecast(program, kLibrary).not_observed->detail(), "set-group-id");
  ASSERT_EQ(chmod(program.c_str(), 02745), 0);
  EXPECT_FALSE(forecast(program, kLibrary).not_observed.has_value()) << "without group execute it is no set-id";
}

TEST(Environment, ExistingSettingsStay) {
  const PreloadPlan plan{.library = "/lib/libseep.so", .directory = "/tmp/50%:x", .announce_file = "/tmp/a"};
  EXPECT_EQ(preload_value(plan, nullptr), "/lib/libseep.so");
  EXPECT_EQ(preload_value(plan, "libother.so"), "/lib/libseep.so:libother.so");
  EXPECT_EQ(options_value(plan, nullptr), "sample=1:out=/tmp/50%%\\:x/%e.%p.seep:announce=/tmp/a");
  EXPECT_EQ(options_value(plan, "depth=9"), "depth=9:sample=1:out=/tmp/50%%\\:x/%e.%p.seep:announce=/tmp/a");
}

TEST(Environment, AnOptionIsFoundAsThePreloadFindsIt) {
  EXPECT_EQ(option_in("region=/a\\:b:depth=3", "region"), "/a:b");
  EXPECT_EQ(option_in("region=/a:depth=3:region=/b", "region"), "/b");
  EXPECT_EQ(option_in("xregion=/a:depth=3", "region"), "");
  EXPECT_EQ(option_in(nullptr, "region"), "");
}

TEST(RecordingDirectory, IsPrivateAndGoneUnlessKept) {
  const TemporaryDirectory parent;
  const std::string path = parent.path("made");
  {
    RecordingDirectory directory(path, RecordingDirectory::Use::kAsNamed);
    struct stat status;
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  {
    RecordingDirectory directory(path, RecordingDirectory::Use::kAsNamed);
    directory.keep();
    directory.remove_announce_file();
  }
  EXPECT_TRUE(std::filesystem::is_empty(path));
}

TEST(RecordingDirectory, KnowsWhoAnnouncedItself) {
  const TemporaryDirectory parent;
  const RecordingDirectory directory(parent.path("made"), RecordingDirectory::Use::kAsNamed);
  std::ofstream(directory.announce_file(), std::ios::app) << "12\n4242\n";
  EXPECT_TRUE(directory.announced(4242));
  EXPECT_TRUE(directory.announced(12));
  EXPECT_FALSE(directory.announced(424));
}

TEST(RecordingDirectory, ReplacesARecordingOnlyWhenForcedAndNothingElse) {
  const TemporaryDirectory parent;
  parent.write("old.seep", "old");
  parent.write("notes.txt", "kept");
  EXPECT_THROW(RecordingDirectory(parent.path(), RecordingDirectory::Use::kAsNamed), Error);
  EXPECT_TRUE(std::filesystem::exists(parent.path("old.seep")));
  { RecordingDirectory directory(parent.path(), RecordingDirectory::Use::kReplace); }
  EXPECT_FALSE(std::filesystem::exists(parent.path("old.seep")));
  EXPECT_TRUE(std::filesystem::exists(parent.path("notes.txt")));
}

TEST(RecordingDirectory, RefusesWhatCannotBeWritten) {
  for (const char* path : {"/dev/null/recording", "/proc/recording", "/dev/null", ""}) {
    try {
      RecordingDirectory directory(path, RecordingDirectory::Use::kAsNamed);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage) << path;
    }
  }
}

ChildEnd run(const std::vector<std::string>& command) {
  Child child;
  child.execute(resolve_program(command.front()), command, {{"SEEP_TEST_SETTING", "set"}});
  return child.wait();
}

TEST(Child, StatusIsAsShellsSayIt) {
  EXPECT_EQ(run({"sh", "-c", "exit 7"}).status(), 7);
  EXPECT_EQ(run({"sh", "-c", "kill -KILL $$"}).status(), 128 + SIGKILL);
  EXPECT_EQ(run({"sh", "-c", "test \"$SEEP_TEST_SETTING\" = set"}).status(), 0);
}

TEST(Child, TicksWhileItIsWaitedFor) {
  const TemporaryDirectory directory;
  Child child;
  child.execute("/bin/sh", {"sh", "-c", "while [ ! -e " + directory.path("enough") + " ]; do sleep 0.01; done; exit 3"},
                {});
  EXPECT_NE(child.start_ticks(), 0u);
  int ticks = 0;
  const ChildEnd end = child.wait(std::chrono::milliseconds(1), [&] {
    if (++ticks == 3) directory.write("enough", "");
  });
  EXPECT_EQ(end.status(), 3);
  EXPECT_GE(ticks, 3);
}

TEST(ParseDuration, TakesUnitsAndRefusesTheRest) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("--interval", "10s"), 10s);
  EXPECT_EQ(parse_duration("--interval", "7"), 7s);
  EXPECT_EQ(parse_duration("--interval", "500ms"), 500ms);
  EXPECT_EQ(parse_duration("--interval", "2m"), 2min);
  for (const char* text : {"", "0", "0s", "-3", "1.5s", "s", "10 s", "10d", "99999999999999h"}) {
    EXPECT_THROW(parse_duration("--interval", text), Error) << text;
  }
}

TEST(Child, GetsItsSignalMaskBackAndItsOwnPidBeforeItRuns) {
  EXPECT_EQ(run({"sh", "-c", "grep -q '^SigBlk:.0*$' /proc/self/status"}).status(), 0);
  const TemporaryDirectory directory;
  Child child;
  const pid_t pid = child.pid();
  child.execute("/bin/sh", {"sh", "-c", "echo $$ > " + directory.path("pid")}, {});
  child.wait();
  std::ifstream file(directory.path("pid"));
  pid_t said = 0;
  file >> said;
  EXPECT_EQ(said, pid);
}

TEST(Child, ForwardsSignalsThatWereSentToUs) {
  const TemporaryDirectory directory;
  Child child;
  child.execute("/bin/sh",
                {"sh", "-c", "trap 'exit 9' TERM; : > " + directory.path("up") + "; while :; do sleep 0.02; done"}, {});
  const pid_t self = getpid();
  std::thread sender([&] {
    while (!std::filesystem::exists(directory.path("up"))) usleep(1000);
    kill(self, SIGTERM);
  });
  EXPECT_EQ(child.wait().status(), 9);
  sender.join();
}

TEST(Child, WhatTheKernelRefusesIsAnErrorAndNotAChild) {
  const TemporaryDirectory directory;
  const std::string foreign = patched(directory, "/proc/self/exe", 18, '\x2A');
  Child child;
  try {
    child.execute(foreign, {"foreign"}, {});
    FAIL() << "executed a program for another processor";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kNotExecutable);
  }
}

TEST(Child, AScriptWithoutItsInterpretersNameIsTheShells) {
  const TemporaryDirectory directory;
  EXPECT_EQ(run({executable(directory, "script", "exit 5\n")}).status(), 5);
}

TEST(Child, NeverExecutedIsGoneWithoutATrace) {
  pid_t pid = 0;
  {
    Child child;
    pid = child.pid();
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(OwnStream, AStubSaysWhyAndHowItEnded) {
  const TemporaryDirectory directory;
  StubFacts facts{.directory = directory.path(), .pid = 77, .executable = "/opt/tool", .command = {"tool"}};
  facts.not_observed.set_reason(proto::NotObserved::NOT_LOADED);
  write_stub(facts, {.signalled = true, .signal = 9});
  const Recording recording = load_recording({directory.path()});
  ASSERT_EQ(recording.processes.size(), 1u);
  EXPECT_TRUE(recording.problems.empty());
  const ProcessRecording& process = *recording.processes[0];
  EXPECT_FALSE(process.observed());
  EXPECT_EQ(process.header().executable(), "/opt/tool");
  EXPECT_EQ(process.header().recording_id().size(), 16u);
  EXPECT_EQ(process.end()->signal(), 9u);
  EXPECT_EQ(std::filesystem::path(process.stream_path()).filename(), "tool.77.seep");
}

TEST(OwnStream, AnEndIsNotPutToTheStreamOfAnEarlierProcessOfThatNumber) {
  const TemporaryDirectory directory;
  auto messages = testing::small_recording();
  messages.pop_back();
  messages[0].mutable_header()->set_pid_namespace(this_pid_namespace());
  messages[0].mutable_header()->set_process_start_ticks(100);
  const std::string path = directory.write("server.seep", testing::stream_of(messages));
  finish_stream(directory.path(), {.pid = 4242, .start_ticks = 101}, {.signalled = true, .signal = 11});
  EXPECT_FALSE(load_recording({path}).processes[0]->end().has_value());
  finish_stream(directory.path(), {.pid = 4242, .start_ticks = 100},
                {.signalled = true, .signal = 9, .oom_killed = true});
  const Recording recording = load_recording({path});
  ASSERT_TRUE(recording.processes[0]->end().has_value());
  EXPECT_TRUE(recording.processes[0]->end()->oom_killed());
}

TEST(OwnStream, AnEndIsPutToTheStreamOfTheLastImageThatLacksOne) {
  const TemporaryDirectory directory;
  auto messages = testing::small_recording();
  messages.pop_back();
  messages[0].mutable_header()->set_pid_namespace(this_pid_namespace());
  const std::string path = directory.write("server.seep", testing::stream_of(messages));
  EXPECT_FALSE(finish_stream(directory.path(), {1}, {}).has_value());
  EXPECT_FALSE(load_recording({path}).processes[0]->end().has_value()) << "another process's end";
  finish_stream(directory.path(), {4242}, {.signalled = true, .signal = 11});
  finish_stream(directory.path(), {4242}, {.signalled = true, .signal = 11});
  const Recording recording = load_recording({path});
  EXPECT_TRUE(recording.problems.empty());
  ASSERT_TRUE(recording.processes[0]->end().has_value());
  EXPECT_EQ(recording.processes[0]->end()->signal(), 11u);
  EXPECT_EQ(recording.processes[0]->lost_messages, 0u);
}

}  // namespace
}  // namespace seep
