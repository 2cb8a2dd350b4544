# SPDX-License-Identifier: Apache-2.0
"""The unwinder beside libunwind's plain stepping and gdb, stack by stack: on real programs, and on one of our own,
compiled in each way. With SEEP_LONG more than a million stacks, without it some 50,000: each test says its share.

What is deterministic in the programs is so in what is compared; redis-server and threads are not, wholly.
"""
import subprocess

from walker import LONG, PROGRAMS, WalkerTest, clean_environment

import real_programs
import redis
import tap
from seep_test import needs

STOPS = 200 if LONG else 20  # Of gdb, in each program.
SMALL_SOURCE = """
#include <map>
#include <string>
int main(int argc, char** argv) {
  std::map<std::string, int> counts;
  for (int i = 1; i < argc; ++i) counts[argv[i]] += i;
  return static_cast<int>(counts.size());
}
"""


class OwnProgram(WalkerTest):
    """Frames of every shape, callbacks, exceptions, signals, threads, fibers, odd unwind tables (stacks/)."""

    def compilations(self):
        paths = sorted(PROGRAMS.glob("stacks_*_O*"))
        self.assertIn(PROGRAMS / "stacks_gcc_O2_cf_protection", paths)
        return paths

    def test_at_each_allocation_and_free(self):
        descents, at_least = (1_600, 100_000) if LONG else (35, 2_000)
        for path in self.compilations():
            with self.subTest(path.name):
                counts = self.check_walk([path, 1, descents], path.name, at_least)
                self.assertGreater(counts["distinct"], at_least // 3)
                self.assertEqual(counts["cut"], 0)

    def test_at_each_instruction(self):
        descents, stacks = (1_000, 50_000) if LONG else (25, 1_000)
        for path in self.compilations():
            with self.subTest(path.name):
                counts, directory = self.walk([path, 2, descents], f"{path.name} in steps", most=stacks, every=7,
                                              step=2, steps=200)
                self.check(counts, directory, path.name, stacks, longjmp=True)
                self.assertGreater(counts["stepped"], stacks // 2)

    @needs("gdb")
    def test_in_gdb(self):
        paths = self.compilations() if LONG else [PROGRAMS / "stacks_gcc_O2", PROGRAMS / "stacks_gcc_O0"]
        for path in paths:
            with self.subTest(path.name):
                self.check_in_gdb([path, 3, 20], f"{path.name} in gdb", 500, STOPS)

    @needs("gdb")
    def test_at_each_instruction_in_gdb(self):
        stacks = 20_000 if LONG else 600
        self.check_in_gdb([PROGRAMS / "stacks_gcc_O2", 5, 400], "in steps in gdb", stacks // 2, STOPS, every=5, step=3,
                          steps=3_000 if LONG else 300, most=stacks)

    @needs("gdb")
    def test_what_libunwind_misreads(self):
        """They differ, which shows that differences are seen; and gdb is of seep's opinion each time."""
        for path in self.compilations() if LONG else [PROGRAMS / "stacks_gcc_O2"]:
            with self.subTest(path.name):
                counts = self.check_in_gdb([path, 1, 40 if LONG else 10, "misread"], f"{path.name} misread", 10_000, 10)
                self.assertGreater(counts["misread"], 10)
                self.assertEqual(counts["differences"], 0)

    def test_a_wrong_frame_is_noticed(self):
        counts, directory = self.walk([PROGRAMS / "stacks_gcc_O2", 1, 3], "with a lie", lie=2)
        self.assertEqual(counts["differences"], counts["stacks"])
        text = "".join(path.read_text() for path in directory.glob("*.differences"))
        self.assertIn("> ", text)

    @needs("gdb")
    def test_a_wrong_frame_is_noticed_by_gdb(self):
        directory, prefix = self.in_gdb(1, lie=2)
        self.run_command([*prefix, PROGRAMS / "stacks_gcc_O2", 1, 3], env=clean_environment())
        found = self.found_by_gdb(directory)
        self.assertGreater(found["stops"], 10)
        self.assertEqual(len(found["differences"]), found["stops"])


class RealPrograms(WalkerTest):
    """Programs as Debian ships them."""

    def check_command(self, command, what, at_least, every, environment=None):
        """Alone, in steps, and in gdb."""
        counts = self.check_walk(command, what, at_least, every=every, environment=environment)
        self.assertEqual(counts["cut"], 0)
        steps = at_least // 4
        self.check_walk(command, f"{what} in steps", steps, every=every, step=2, steps=300, most=steps,
                        environment=environment)
        self.check_in_gdb(command, f"{what} in gdb", counts["distinct"], STOPS, every=every, environment=environment)

    @needs("gdb")
    def test_cxx(self):
        """The compiler proper: g++ only starts it."""
        def said_by_cxx(option):
            return subprocess.run(["g++", option], capture_output=True, text=True, check=True).stdout.strip()
        (self.directory / "source.cpp").write_text(real_programs.CXX_SOURCE if LONG else SMALL_SOURCE)
        command = [said_by_cxx("-print-prog-name=cc1plus"), "-quiet", "-O2", "-D_GNU_SOURCE", "-imultiarch",
                   said_by_cxx("-print-multiarch"), "source.cpp", "-o", "source.s"]
        at_least, every = (300_000, 18) if LONG else (5_000, 80)
        self.check_command(command, "g++", at_least, every)

    @needs("gdb")
    def test_python(self):
        command = real_programs.python(self.directory, 10_000 if LONG else 300).command
        at_least, every = (200_000, 2) if LONG else (5_000, 20)
        environment = real_programs.REPRODUCIBLE
        self.check_command(command, "python3", at_least, every, environment)

    @needs("gdb")
    @needs("redis-server")
    @needs("redis-benchmark")
    def test_redis(self):
        requests, at_least, every = (20_000, 100_000, 5) if LONG else (2_000, 4_000, 20)
        directory, oracle = self.settings(every=every)
        with redis.server_under([], self.directory, clean_environment(**oracle)) as (port, _):
            redis.benchmark(port, clean_environment(), requests)
        counts = self.counts_of(directory, "redis-server")
        self.check(counts, directory, "redis-server", at_least)
        self.assertEqual(counts["cut"], 0)
        directory, prefix = self.in_gdb(max(1, counts["distinct"] // (2 * STOPS)), every=every)
        try:
            with redis.server_under(prefix, self.directory, clean_environment(), stop_by_command=True) as (port, _):
                redis.benchmark(port, clean_environment(), requests)
        except RuntimeError as error:
            raise AssertionError((directory / "log").read_text(errors="replace")[-2000:]) from error
        self.check_gdb_walks(directory, "redis-server in gdb", STOPS)


if __name__ == "__main__":
    tap.main()
