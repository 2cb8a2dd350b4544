# SPDX-License-Identifier: Apache-2.0
"""What a program says to seep and asks it: seep/seep.h, LeakSanitizer's names, and what its own mappings say."""
import collections
import ctypes.util
import itertools
import shutil

import tap
from plain_protobuf import messages, schema
from seep_test import BUILD, CASES, PRELOAD, SOURCE, RegionTest, clean_environment

HEADER = SOURCE / "src/include"
CASES_SOURCE = SOURCE / "tests/e2e/cases"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wundef", "-Werror"]
C_WARNINGS = ["-Wstrict-prototypes", "-Wmissing-prototypes"]
CXX_WARNINGS = ["-Wold-style-cast", "-Wzero-as-null-pointer-constant"]
FIXED_ADDRESS, ANY_ADDRESS = ["-fno-pie", "-no-pie"], ["-fPIE", "-pie"]
LINKERS = ("bfd", "gold", "lld")

# Of a check: the result, leaked blocks and bytes, whether exact.
NO_LEAK = "0 0 0 1"


class ApiTest(RegionTest):
    def preloaded(self, command, options="", **environment):
        """(the result, the stream) of a program of one process in an exact recording."""
        stream = self.directory / f"{self.recordings}.seep"
        self.recordings += 1
        everything = ":".join(filter(None, ["sample=1", f"out={stream}", options]))
        result = self.run_command(command, env=clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=everything,
                                                                 **environment))
        self.assertEqual((result.returncode, result.stderr), (0, ""), f"{command}: {result.stdout}")
        return result, stream

    def check(self, scenario, *expected):
        result, stream = self.preloaded([CASES / "api", scenario])
        self.assertEqual(result.stdout.splitlines(), list(expected))
        return stream


def snapshots(stream):
    return [message.snapshot for _, message in messages(stream.read_bytes())
            if message.WhichOneof("content") == "snapshot"]


def verdict_sums(stream):
    """What the stream says of all blocks in the end: {(verdict, "blocks" or "bytes"): sum}."""
    last = {}
    for _, message in messages(stream.read_bytes()):
        if message.WhichOneof("content") == "counters":
            last.update({counters.trace_id: counters.verdicts for counters in message.counters.counters})
    return collections.Counter({(verdict, unit): sum(getattr(verdicts, f"{verdict}_{unit}")
                                                     for verdicts in last.values())
                                for verdict in ("definite", "indirect", "possible", "reachable")
                                for unit in ("blocks", "bytes")})


class Checks(ApiTest):
    def test_counts_what_is_leaked(self):
        self.check("counts", f"nothing {NO_LEAK}", "three 0 3 300 1", "five 0 5 2300 1", "unasked 0")

    def test_what_is_allocated_while_disabled_is_no_leak(self):
        self.check("disabled", f"within {NO_LEAK}", "behind 0 1 800 1", "enabled too often 0 2 2400 1",
                   "disabled again 0 2 2400 1")

    def test_disabled_is_a_thread(self):
        self.check("disabled_thread", "another thread 0 2 200 1")

    def test_ignored_blocks_and_what_they_lead_to(self):
        stream = self.check("ignored", "ignored 0", "ignored 0", f"ignored {NO_LEAK}", "no block -1", "null -1",
                            "freed 0 1 48 1")
        sums = verdict_sums(stream)
        self.assertEqual((sums["definite", "blocks"], sums["indirect", "blocks"]), (1, 0))
        self.assertGreaterEqual(sums["reachable", "bytes"], 2 * (48 + 64))

    def test_registered_regions_hold(self):
        self.check("regions", "hidden 0 1 100 1", "registered 0", f"registered {NO_LEAK}", "registered 0",
                   "unregistered 0", f"once of twice {NO_LEAK}", "too long -1", "unregistered 0",
                   "unregistered 0 1 100 1", "unregistered -1", "empty -1")

    def test_what_of_a_region_cannot_be_read_is_passed_over(self):
        self.check("regions_with_holes", "registered 0", "with holes 0 1 100 1")

    def test_the_callers_registers_hold(self):
        registers = ("rbx", "rbp", "r12", "r13", "r14", "r15")
        self.check("registers", *(f"{register} 0 0" for register in registers), "nowhere 0 1 100 1")

    def test_asked_by_a_signal_handler(self):
        self.check("in_handler", "handler 0 2 200")

    def test_a_scan_that_nobody_waits_for(self):
        self.check("begun", "active 1", "begun 0", "behind 0 4 400 1")

    def test_a_snapshot_when_asked(self):
        stream = self.check("snapshots", "checked 0 4 400 1", "written 0")
        asked = [snapshot for snapshot in snapshots(stream) if snapshot.kind == schema().Snapshot.REQUEST]
        self.assertEqual(len(asked), 1)
        self.assertEqual(asked[0].scan.trigger, schema().Scan.REQUEST)

    def test_a_sampled_recording_says_so(self):
        stream = self.directory / "sampled.seep"
        result = self.run_command([CASES / "api", "counts"], env=clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=2:seed=1:out={stream}"))
        checks = [line.split() for line in result.stdout.splitlines()[:-1]]
        self.assertEqual([line[-1] for line in checks], ["0"] * 3, result.stdout)
        # At two bytes between samples all blocks are sampled, but for once in e^50.
        self.assertEqual(checks[2][1:4], ["0", "5", "2300"], result.stdout)

    def test_no_scan_where_it_is_off(self):
        result, _ = self.preloaded([CASES / "api", "counts"], options="scan=off")
        self.assertEqual([line.split()[1] for line in result.stdout.splitlines()], ["-1"] * 4)

    def test_without_seep_nothing_happens(self):
        for scenario in ("counts", "disabled", "ignored", "regions", "begun", "snapshots"):
            result = self.run_command([CASES / "api", scenario])
            self.assertEqual((result.returncode, result.stderr), (0, ""), scenario)
            answers = {line.split()[-4 if line.endswith(" 0 0 0") else -1] for line in result.stdout.splitlines()}
            self.assertEqual(answers - {"0"} if scenario == "begun" else answers, {"-1"}, result.stdout)


class Header(ApiTest):
    """One header for both languages, whoever compiles it, with no library to link."""

    def compile(self, compiler, *flags, language, source="api_header.c"):
        program = self.directory / f"program.{self.recordings}"
        self.recordings += 1
        warnings = WARNINGS + (C_WARNINGS if language == "c" else CXX_WARNINGS)
        command = [compiler, *warnings, *flags, f"-I{HEADER}", "-x", language, CASES_SOURCE / source, "-o", program]
        result = self.run_command(command)
        self.assertEqual((result.returncode, result.stderr), (0, ""), command)
        return program

    def check_program(self, program):
        bare = self.run_command([program])
        self.assertEqual((bare.returncode, bare.stdout, bare.stderr), (0, "done\n", ""))
        self.assertEqual(self.run_command([program, "ask"]).stdout, "active 0\ndone\n")
        self.assertEqual(self.preloaded([program])[0].stdout, bare.stdout)
        self.assertEqual(self.preloaded([program, "ask"])[0].stdout, "active 1\ndone\n")

    def check_compiler(self, compiler, language, standards):
        if not shutil.which(compiler):
            self.skipTest(f"not run: {compiler} is not installed")
        for standard, where in itertools.product(standards, (ANY_ADDRESS, FIXED_ADDRESS)):
            level = "-O0" if standard == standards[0] else "-O2"
            with self.subTest(standard=standard, where=where[-1]):
                self.check_program(self.compile(compiler, f"-std={standard}", level, *where, language=language))

    def test_c_by_gcc(self):
        self.check_compiler("gcc", "c", ["c99", "c11", "c17"])

    def test_c_by_clang(self):
        self.check_compiler("clang", "c", ["c99", "c11", "c17"])

    def test_cxx_by_gcc(self):
        self.check_compiler("g++", "c++", ["c++11", "c++14", "c++17", "c++20"])

    def test_cxx_by_clang(self):
        self.check_compiler("clang++", "c++", ["c++11", "c++14", "c++17", "c++20"])

    def test_whatever_links_it(self):
        for compiler, linker, where in itertools.product(("gcc", "clang"), LINKERS, (ANY_ADDRESS, FIXED_ADDRESS)):
            if not shutil.which(compiler) or not shutil.which(f"ld.{linker}"):
                continue
            with self.subTest(compiler=compiler, linker=linker, where=where[-1]):
                self.check_program(self.compile(compiler, f"-fuse-ld={linker}", *where, language="c"))

    def test_in_a_static_program(self):
        program = self.compile("gcc", "-static", language="c")
        self.assertEqual(self.run_command([program, "ask"]).stdout, "active 0\ndone\n")

    def test_is_installed(self):
        image = self.directory / "image"
        result = self.run_command(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", image])
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        installed = list(image.rglob("include/seep/seep.h"))
        self.assertEqual([path.read_text() for path in installed], [(HEADER / "seep/seep.h").read_text()])


class LeakSanitizersNames(ApiTest):
    def test_a_check_may_be_had_again_and_again(self):
        result, _ = self.preloaded([CASES / "api_lsan", "repeatedly"])
        self.assertEqual(result.stdout.split(), ["recoverable", "0"] * 2 + ["recoverable", "1"] * 2)

    def test_without_seep_the_names_are_not_there(self):
        result = self.run_command([CASES / "api_lsan", "once_and_fork"])
        self.assertNotEqual(result.returncode, 0)

    def test_the_only_check_stands_for_that_at_the_end(self):
        """And does not end the process."""
        result, stream = self.preloaded([CASES / "api_lsan", "once"])
        self.assertEqual(result.stdout, "went on\n")
        sums = verdict_sums(stream)
        self.assertEqual((sums["definite", "blocks"], sums["definite", "bytes"]), (1, 100))
        self.assertEqual(snapshots(stream)[-1].scan.trigger, schema().Scan.REQUEST)
        self.assertEqual(snapshots(stream)[-1].scan.number, 1)

    def test_the_only_check_is_not_that_of_a_child(self):
        recording, result = self.record([CASES / "api_lsan", "once_and_fork"])
        self.assertEqual(result.returncode, 0, result.stderr)
        found = sorted((snapshots(stream)[-1].scan.trigger, verdict_sums(stream)["definite", "bytes"])
                       for stream in recording.glob("*.seep"))
        self.assertEqual(found, [(schema().Scan.EXIT, 2000), (schema().Scan.REQUEST, 100)])

    def test_turned_off_by_the_program(self):
        result, stream = self.preloaded([CASES / "api_lsan", "repeatedly"], TURNED_OFF="1")
        self.assertEqual(result.stdout.split(), ["recoverable", "0"] * 4)
        self.assertFalse(snapshots(stream)[-1].HasField("scan"), snapshots(stream)[-1])

    def test_the_programs_suppressions_are_in_the_recording(self):
        text = "leak:one\nleak:two\n"
        for scenario in ("leaks", "once"):
            _, stream = self.preloaded([CASES / "api_lsan", scenario], SUPPRESSIONS=text)
            self.assertEqual(snapshots(stream)[-1].scan.default_suppressions.decode(), text, scenario)

    def test_of_long_suppressions_whole_lines(self):
        lines = [f"leak:function_{i:04}\n" for i in range(1000)]
        _, stream = self.preloaded([CASES / "api_lsan", "leaks"], SUPPRESSIONS="".join(lines))
        said = snapshots(stream)[-1].scan.default_suppressions.decode()
        count = 4095 // len(lines[0])
        self.assertTrue(said == "".join(lines[:count]), f"{len(said)} bytes: {said[:100]} ... {said[-100:]}")

    def test_a_program_without_them(self):
        _, stream = self.preloaded([CASES / "api", "counts"])
        self.assertEqual(snapshots(stream)[-1].scan.default_suppressions, b"")


class BesideSanitizers(ApiTest):
    """LeakSanitizer in the process has its own functions, which must be the ones that count."""

    def check_sanitizer(self, compiler, *flags):
        if not shutil.which(compiler):
            self.skipTest(f"not run: {compiler} is not installed")
        program = self.directory / "sanitized"
        built = self.run_command([compiler, "-g", "-D_GNU_SOURCE", *flags, f"-I{SOURCE}/tests/verdicts",
                                  CASES_SOURCE / "api_lsan.c", "-o", program])
        if built.returncode != 0:
            self.skipTest(f"not run: {compiler} {' '.join(flags)} does not link here")
        settings = {"ASAN_OPTIONS": "verify_asan_link_order=0"}
        for scenario in ("repeatedly", "once"):
            bare = self.run_command([program, scenario], env=clean_environment(**settings))
            if "Direct leak" not in bare.stderr:
                self.skipTest("not run: LeakSanitizer does not work here by itself")
            preloaded = self.run_command([program, scenario], env=clean_environment(
                LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:out={self.directory}/%p.seep", **settings))
            self.assertEqual((preloaded.returncode, preloaded.stdout), (bare.returncode, bare.stdout))
            self.assertEqual(self.direct_leaks(preloaded), self.direct_leaks(bare))

    @staticmethod
    def direct_leaks(result):
        return [line for line in result.stderr.splitlines() if line.startswith("Direct leak")]

    def test_leak_sanitizer_in_a_library(self):
        self.check_sanitizer("gcc", "-fsanitize=leak")

    def test_address_sanitizer_in_a_library(self):
        self.check_sanitizer("gcc", "-fsanitize=address")

    def test_leak_sanitizer_in_the_program(self):
        self.check_sanitizer("clang", "-fsanitize=leak")

    def test_address_sanitizer_in_the_program(self):
        self.check_sanitizer("clang", "-fsanitize=address")


class OtherAllocators(ApiTest):
    """What an allocator maps for itself is its heap, where it may still name blocks that it has handed out."""

    def test_lists_of_jemalloc_hold_no_block(self):
        jemalloc = ctypes.util.find_library("jemalloc")
        if jemalloc is None:
            self.skipTest("not run: jemalloc is not installed")
        result = self.run_command([CASES / "api", "counts"], env=clean_environment(
            LD_PRELOAD=f"{PRELOAD}:{jemalloc}", SEEP_OPTIONS=f"sample=1:out={self.directory}/jemalloc.seep"))
        self.assertEqual(result.stdout.splitlines(), [f"nothing {NO_LEAK}", "three 0 3 300 1", "five 0 5 2300 1",
                                                      "unasked 0"], result.stderr)

    def test_blocks_that_nobody_observed_hold_others(self):
        if not (CASES / "mallocx").exists():
            self.skipTest("not run: jemalloc's development files are not installed")
        self.assertEqual(self.preloaded([CASES / "mallocx"])[0].stdout, "0 0\n")


class Mappings(ApiTest):
    """What the program maps itself is its own, whatever was there before, and whether a copy gets it or not."""

    def check_mapping(self, scenario, *expected):
        result, stream = self.preloaded([CASES / "host_mappings", scenario], options="scan=request")
        self.assertEqual(result.stdout.splitlines(), list(expected) or ["kept 0 0 0", "gone 0 1 77"])
        return snapshots(stream)[-1].scan

    def test_over_a_hole_in_the_heap(self):
        for call in ("mmap", "mmap64", "mremap", "shmat"):
            with self.subTest(call=call):
                self.check_mapping(f"hole_{call}")

    def test_memory_that_no_copy_gets(self):
        for scenario in ("fork_dontfork", "fork_wipeonfork", "fork_moved"):
            with self.subTest(scenario=scenario):
                scan = self.check_mapping(scenario)
                self.assertTrue(scan.in_copy, "not marked in a copy, so this proves nothing")

    def test_memory_that_copies_get_again(self):
        self.check_mapping("fork_undone", "kept 0 0 0", "gone 0 1 77", "gone 0 1 77", "kept 0 1 77", "gone 0 2 154")

    def test_what_must_fail_fails_alike(self):
        bare = self.run_command([CASES / "host_mappings", "errors"])
        self.assertEqual(bare.returncode, 0, bare.stderr)
        self.assertEqual(self.preloaded([CASES / "host_mappings", "errors"])[0].stdout, bare.stdout)


if __name__ == "__main__":
    tap.main()
