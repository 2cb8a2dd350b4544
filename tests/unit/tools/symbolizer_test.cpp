// SPDX-License-Identifier: Apache-2.0
// The symbolizer against a shared object whose functions and lines are known: with its debug information inside,
// beside, and gone; and fingerprints across its builds.
#include "symbols/symbolizer.h"

#include <absl/strings/str_format.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <gtest/gtest.h>
#include <link.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>

#include "fixtures/symbol_fixture.h"
#include "leaks/fingerprint.h"
#include "symbols/stable_hash.h"
#include "test_streams.h"

namespace seep {
namespace {

using testing::TemporaryDirectory;

constexpr char kFixtures[] = SEEP_FIXTURES "/";

std::array<void*, 64> captured;
int captured_count = 0;

void capture() { captured_count = backtrace(captured.data(), static_cast<int>(captured.size())); }

struct Walk {
  proto::Module module;
  std::vector<uint64_t> offsets;  // Of the fixture's own frames, innermost first.
  std::array<int, 4> lines{};
};

// The build id note that the loader mapped.
std::string build_id_in_memory(const link_map* map) {
  std::string build_id;
  struct Search {
    uint64_t bias;
    std::string* build_id;
  } search{map->l_addr, &build_id};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        const auto& wanted = *static_cast<Search*>(data);
        if (info->dlpi_addr != wanted.bias) return 0;
        for (int index = 0; index < info->dlpi_phnum; ++index) {
          const auto& header = info->dlpi_phdr[index];
          if (header.p_type != PT_NOTE) continue;
          const char* at = reinterpret_cast<const char*>(info->dlpi_addr + header.p_vaddr);
          const char* end = at + header.p_memsz;
          while (at + sizeof(ElfW(Nhdr)) < end) {
            const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
            const char* name = at + sizeof *note;
            const char* content = name + (note->n_namesz + 3) / 4 * 4;
            if (note->n_type == NT_GNU_BUILD_ID) wanted.build_id->assign(content, note->n_descsz);
            at = content + (note->n_descsz + 3) / 4 * 4;
          }
        }
        return 1;
      },
      &search);
  return build_id;
}

// Walks a fixture, as a recorder would see it.
Walk walk(const std::string& path) {
  Walk result;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(handle, nullptr) << dlerror();
  if (handle == nullptr) return result;
  const auto function = reinterpret_cast<decltype(&fixture_walk)>(dlsym(handle, "fixture_walk"));
  link_map* map = nullptr;
  dlinfo(handle, RTLD_DI_LINKMAP, &map);
  capture();  // The first backtrace loads libgcc.
  function(capture, result.lines.data());
  for (int index = 0; index < captured_count; ++index) {
    Dl_info info;
    link_map* of_frame = nullptr;
    const auto pc = reinterpret_cast<uint64_t>(captured[static_cast<size_t>(index)]) - 1;
    if (dladdr1(reinterpret_cast<void*>(pc), &info, reinterpret_cast<void**>(&of_frame), RTLD_DL_LINKMAP) == 0)
      continue;
    if (of_frame == map) result.offsets.push_back(pc - map->l_addr);
  }
  result.module.set_id(1);
  result.module.set_path(path);
  result.module.set_build_id(build_id_in_memory(map));
  result.module.set_load_bias(map->l_addr);
  dlclose(handle);
  EXPECT_FALSE(result.module.build_id().empty());
  EXPECT_FALSE(result.offsets.empty());
  return result;
}

// The logical frames of a walk; `symbolizer` owns them.
Stack symbolize(const Walk& walked, Symbolizer& symbolizer) {
  const auto module = symbolizer.module_of(walked.module);
  for (const uint64_t offset : walked.offsets) symbolizer.request(module, offset);
  symbolizer.resolve([](size_t, size_t) {});
  Stack stack;
  for (const uint64_t offset : walked.offsets) {
    for (const Frame& frame : symbolizer.frames(module, offset)) stack.push_back(&frame);
  }
  return stack;
}

// gcc writes no linker name for a function of internal linkage, so its parameters are unknown; clang writes one.
std::string without_internal_parameters(const std::string& function) {
  const std::string internal = "(anonymous namespace)::internal_step";
  return function.starts_with(internal) ? internal : function;
}

std::vector<std::string> functions_of(const Stack& stack) {
  std::vector<std::string> names;
  for (const Frame* frame : stack) names.push_back(without_internal_parameters(frame->function));
  return names;
}

const std::vector<std::string> kFunctions = {
    "(anonymous namespace)::internal_step", "shapes::Box<long>::open(void (*)(), int&) const",
    "shapes::inlined_step(void (*)(), int*)", "shapes::always_inlined_step(void (*)(), int*)", "fixture_walk"};

void expect_everything(const Walk& walked, const Stack& stack) {
  ASSERT_EQ(functions_of(stack), kFunctions);
  EXPECT_EQ(static_cast<int>(stack[0]->line), walked.lines[0]);
  EXPECT_EQ(static_cast<int>(stack[2]->line), walked.lines[1]);
  EXPECT_EQ(static_cast<int>(stack[3]->line), walked.lines[2]);
  EXPECT_EQ(static_cast<int>(stack[4]->line), walked.lines[3]);
  for (const Frame* frame : stack) {
    EXPECT_TRUE(std::filesystem::exists(frame->file)) << frame->file;
    EXPECT_EQ(std::filesystem::path(frame->file).filename(), "symbol_fixture.cpp");
    EXPECT_EQ(frame->module, walked.module.path());
    EXPECT_FALSE(frame->runtime);
  }
  EXPECT_TRUE(stack[3]->inlined);
  EXPECT_FALSE(stack[4]->inlined);
  EXPECT_FALSE(stack[0]->inlined);
}

TEST(Symbolizer, FindsFunctionsFilesAndLinesWithoutOptimization) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + "fixture_plain.so");
  const Stack stack = symbolize(walked, symbolizer);
  expect_everything(walked, stack);
  EXPECT_FALSE(stack[2]->inlined);
}

TEST(Symbolizer, FindsInlinedFunctionsWithOptimization) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + "fixture_optimized.so");
  const Stack stack = symbolize(walked, symbolizer);
  expect_everything(walked, stack);
  EXPECT_TRUE(stack[2]->inlined);
}

TEST(Symbolizer, WithoutDebugInformationNamesFunctionsBySymbols) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + "fixture_symbols.so");
  const Stack stack = symbolize(walked, symbolizer);
  const std::vector<std::string> names = functions_of(stack);
  EXPECT_EQ(stack.front()->function, "(anonymous namespace)::internal_step(void (*)(), int&)");
  EXPECT_EQ(names.back(), "fixture_walk");
  EXPECT_TRUE(stack.front()->file.empty());
  EXPECT_EQ(stack.front()->line, 0u);
}

TEST(Symbolizer, OfAStrippedFileNamesWhatItExportsAndGivesOffsetsElse) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + "fixture_stripped.so");
  const std::vector<std::string> names = functions_of(symbolize(walked, symbolizer));
  EXPECT_EQ(names.back(), "fixture_walk");
  EXPECT_EQ(names.front(), absl::StrFormat("fixture_stripped.so+0x%x", walked.offsets.front()));
}

TEST(Symbolizer, FindsSeparateDebugInformationBeside) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + "fixture_linked.so");
  expect_everything(walked, symbolize(walked, symbolizer));
}

TEST(Symbolizer, FindsSeparateDebugInformationInDotDebug) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path(".debug"));
  std::filesystem::copy(std::string(kFixtures) + "fixture_linked.so", directory.path("fixture_linked.so"));
  std::filesystem::copy(std::string(kFixtures) + "fixture.debug", directory.path(".debug/fixture.debug"));
  Symbolizer symbolizer;
  const Walk walked = walk(directory.path("fixture_linked.so"));
  expect_everything(walked, symbolize(walked, symbolizer));
}

TEST(Symbolizer, RefusesAnotherBuildOfTheFileAndSaysSo) {
  const TemporaryDirectory directory;
  Walk walked = walk(std::string(kFixtures) + "fixture_optimized.so");
  std::filesystem::copy(std::string(kFixtures) + "fixture_plain.so", directory.path("fixture.so"));
  walked.module.set_path(directory.path("fixture.so"));
  Symbolizer symbolizer;
  EXPECT_EQ(functions_of(symbolize(walked, symbolizer)).front(),
            absl::StrFormat("fixture.so+0x%x", walked.offsets.front()));
  ASSERT_EQ(symbolizer.missing().size(), 1u);
  EXPECT_NE(symbolizer.missing()[0].reason.find("build id"), std::string::npos);
}

TEST(Symbolizer, WithoutABuildIdGoesByTheFilesSizeAndTime) {
  Walk walked = walk(std::string(kFixtures) + "fixture_plain.so");
  walked.module.clear_build_id();
  struct stat status;
  ASSERT_EQ(stat(walked.module.path().c_str(), &status), 0);
  walked.module.set_file_size_bytes(static_cast<uint64_t>(status.st_size));
  walked.module.set_file_modified_unix_ns(int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec);
  Symbolizer same;
  EXPECT_EQ(functions_of(symbolize(walked, same)), kFunctions);
  walked.module.set_file_size_bytes(1);
  Symbolizer changed;
  EXPECT_NE(functions_of(symbolize(walked, changed)), kFunctions);
}

TEST(Symbolizer, OfAFileThatIsGoneGivesOffsets) {
  Walk walked = walk(std::string(kFixtures) + "fixture_plain.so");
  walked.module.set_path("/no/such/directory/gone.so");
  walked.module.set_build_id("no such build id");
  Symbolizer symbolizer;
  EXPECT_EQ(functions_of(symbolize(walked, symbolizer)).front(),
            absl::StrFormat("gone.so+0x%x", walked.offsets.front()));
}

TEST(Symbolizer, DoesNotOpenWhatIsNoRegularFile) {
  Walk walked = walk(std::string(kFixtures) + "fixture_plain.so");
  for (const char* path : {"/dev/zero", "/dev", "[vdso]"}) {
    walked.module.set_path(path);
    Symbolizer symbolizer;
    EXPECT_FALSE(symbolize(walked, symbolizer).front()->named) << path;
  }
}

TEST(Symbolizer, NamesCodeOutsideAnyModuleByItsAddress) {
  Symbolizer symbolizer;
  symbolizer.request(Symbolizer::kNoModule, 0x7f00dead);
  symbolizer.resolve([](size_t, size_t) {});
  EXPECT_EQ(symbolizer.frames(Symbolizer::kNoModule, 0x7f00dead).front().function, "0x7f00dead");
}

TEST(Symbolizer, TakesTheSameFileInTwoProcessesForOne) {
  Walk walked = walk(std::string(kFixtures) + "fixture_plain.so");
  Symbolizer symbolizer;
  const auto first = symbolizer.module_of(walked.module);
  walked.module.set_load_bias(walked.module.load_bias() + 0x1000);
  walked.module.set_id(9);
  EXPECT_EQ(symbolizer.module_of(walked.module), first);
}

uint64_t fingerprint_of_fixture(const std::string& name) {
  Symbolizer symbolizer;
  const Walk walked = walk(std::string(kFixtures) + name);
  return fingerprint_of(symbolize(walked, symbolizer));
}

TEST(Fingerprint, IsTheSameWhateverTheOptimizationAndTheLines) {
  const uint64_t plain = fingerprint_of_fixture("fixture_plain.so");
  EXPECT_EQ(fingerprint_of_fixture("fixture_optimized.so"), plain);
  EXPECT_EQ(fingerprint_of_fixture("fixture_shifted.so"), plain);
}

TEST(Fingerprint, TheShiftedFixtureReallyHasOtherLines) {
  EXPECT_GT(walk(std::string(kFixtures) + "fixture_shifted.so").lines[0], 5000);
}

Frame frame(const std::string& function, const std::string& module = "/opt/demo/server", bool runtime = false) {
  Frame made{.function = function, .module = module, .named = true, .runtime = runtime};
  for (const char c : function) made.identity = made.identity * 31 + static_cast<unsigned char>(c);
  return made;
}

uint64_t fingerprint_of_frames(const std::vector<Frame>& frames) {
  Stack stack;
  for (const Frame& each : frames) stack.push_back(&each);
  return fingerprint_of(stack);
}

TEST(Fingerprint, LeavesOutRuntimeFramesAndWhatStartsPrograms) {
  const auto own = std::vector<Frame>{frame("leak"), frame("main")};
  const auto with_runtime =
      std::vector<Frame>{frame("operator new", "/lib/libstdc++.so.6", true), frame("leak"), frame("main"),
                         frame("__libc_start_main", "/lib/libc.so.6"), frame("_start")};
  EXPECT_EQ(fingerprint_of_frames(own), fingerprint_of_frames(with_runtime));
}

TEST(Fingerprint, KnowsTheStartOfAStrippedProgram) {
  Frame start = frame("server+0x1490");
  start.named = false;
  EXPECT_EQ(fingerprint_of_frames({frame("leak"), frame("main")}),
            fingerprint_of_frames({frame("leak"), frame("main"), frame("__libc_start_main", "/lib/libc.so.6"), start}));
}

TEST(Fingerprint, TellsCallersApart) {
  EXPECT_NE(fingerprint_of_frames({frame("leak"), frame("main")}),
            fingerprint_of_frames({frame("leak"), frame("work"), frame("main")}));
  EXPECT_NE(fingerprint_of_frames({frame("leak"), frame("work"), frame("main")}),
            fingerprint_of_frames({frame("work"), frame("leak"), frame("main")}));
}

TEST(Fingerprint, DoesNotCountRecursion) {
  EXPECT_EQ(fingerprint_of_frames({frame("leak"), frame("walk"), frame("main")}),
            fingerprint_of_frames({frame("leak"), frame("walk"), frame("walk"), frame("walk"), frame("main")}));
}

TEST(Fingerprint, OfNothingButRuntimeIsStillOne) {
  const std::vector<Frame> pool = {frame("operator new", "/lib/libstdc++.so.6", true),
                                   frame("pool", "/lib/libstdc++.so.6")};
  const std::vector<Frame> other = {frame("operator new", "/lib/libstdc++.so.6", true), frame("tls", "/lib/libc.so.6")};
  EXPECT_NE(fingerprint_of_frames(pool), fingerprint_of_frames(other));
}

// Random stacks of few functions, so that each rule meets each other one: what is worked out frame by frame is what is
// worked out of the whole.
TEST(Fingerprint, IsTheSameFrameByFrame) {
  std::mt19937 random(11);
  const std::array<const char*, 4> modules = {"/lib/libc.so.6", "/lib/libstdc++.so.6", "/opt/server", "/opt/own.so"};
  size_t with_own_frames = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::vector<Frame> frames;
    for (size_t count = 1 + random() % 6; frames.size() < count;) {
      frames.push_back(frame(random() % 6 == 0 ? "_start" : std::string(1, static_cast<char>('a' + random() % 3)),
                             modules[random() % modules.size()], random() % 3 == 0));
      frames.back().named = random() % 4 != 0;
    }
    Stack stack;
    for (const Frame& each : frames) stack.push_back(&each);
    const size_t runtime = runtime_frame_count(stack);
    if (stack[runtime]->runtime) continue;
    OuterFrames outer;
    for (size_t index = stack.size(); index-- > runtime;) {
      const Frame* before = index + 1 == stack.size() ? nullptr : stack[index + 1];
      outer.add(*stack[index], is_starting_module(stack[index]->module), before);
    }
    if (!outer.fingerprint()) {
      EXPECT_EQ(starting_frame_count(stack), 0u);
      continue;
    }
    ++with_own_frames;
    ASSERT_EQ(*outer.fingerprint(), fingerprint_of(stack)) << round;
    ASSERT_EQ(outer.starting_frames(), starting_frame_count(stack)) << round;
  }
  EXPECT_GT(with_own_frames, 10'000u);
}

// Baselines hold these numbers: if this fails, every baseline of every user is void.
TEST(Fingerprint, NeverChanges) {
  const auto identity = [](const char* name) {
    StableHash hash;
    hash.add(name);
    return hash.value();
  };
  const Frame leak{.function = "leak", .named = true, .identity = identity("leak")};
  const Frame main_frame{.function = "main", .named = true, .identity = identity("main")};
  EXPECT_EQ(fingerprint_text(fingerprint_of({&leak, &main_frame})), "99fbb9b568d54828");
}

}  // namespace
}  // namespace seep
