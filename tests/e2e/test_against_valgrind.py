# SPDX-License-Identifier: Apache-2.0
"""Exact mode against Valgrind: live blocks and bytes at exit, and all that was ever allocated, to the byte.

Both run the program in an equal environment, for programs copy theirs into the heap: the variables that valgrind sets
are set for seep too, LD_PRELOAD is padded to the same length, hash seeds are fixed, libc's own is not freed at exit.
"""
import re
import shutil
import unittest

import tap
from real_programs import PROGRAMS, REPRODUCIBLE
from seep_test import CASES, LONG, PRELOAD, SeepTest, clean_environment, needs

VALGRIND = ["valgrind", "--run-libc-freeres=no", "--run-cxx-freeres=no", "--leak-check=no", "--trace-children=no",
            "--log-file=valgrind.log"]
CXX_SOURCE = "#include <map>\nint main() { return static_cast<int>(std::map<int, int>{{1, 2}}.size()); }\n"


@unittest.skipUnless(shutil.which("valgrind"), "not run: valgrind is not installed")
class AgainstValgrind(SeepTest):
    def setUp(self):
        super().setUp()
        (self.directory / "libseep.so").symlink_to(PRELOAD)
        self.outside = clean_environment(SEEP_OPTIONS=f"sample=1:out={self.directory}/out.seep", **REPRODUCIBLE)
        said = self.run_command([*VALGRIND, "/usr/bin/env"], env=self.outside).stdout
        self.inside = dict(line.split("=", 1) for line in said.splitlines())

    def valgrinds_count(self, command, stdin):
        """{name: number} from valgrind's heap summary."""
        result = self.run_command([*VALGRIND, *command], env=self.outside, stdin=stdin, timeout=1500)
        log = (self.directory / "valgrind.log").read_text()
        self.assertIn("HEAP SUMMARY", log)
        live = re.search(r"in use at exit: ([\d,]+) bytes in ([\d,]+) blocks", log)
        total = re.search(r"total heap usage: ([\d,]+) allocs, ([\d,]+) frees, ([\d,]+) bytes allocated", log)
        numbers = [int(text.replace(",", "")) for text in (*live.groups(), *total.groups())]
        return result, dict(zip(("live_bytes", "live_blocks", "alloc_blocks", "free_blocks", "alloc_bytes"), numbers))

    def seeps_count(self, command, stdin):
        path, length = str(self.directory / "libseep.so"), len(self.inside["LD_PRELOAD"])
        padded = "/" * (length - len(path)) + path
        self.assertEqual(len(padded), length)
        result = self.run_command(command, env={**self.inside, "LD_PRELOAD": padded}, stdin=stdin)
        report = self.report(self.directory / "out.seep")
        self.assert_whole(report)
        totals = report["totals"]
        numbers = {name: totals[name] for name in ("live_bytes", "live_blocks", "alloc_blocks", "alloc_bytes")}
        numbers["free_blocks"] = totals["alloc_blocks"] - totals["live_blocks"]
        return result, numbers

    def check(self, command, stdin=b"", more_bytes=0, without=()):
        with_valgrind, expected = self.valgrinds_count(command, stdin)
        expected["alloc_bytes"] += more_bytes
        with_seep, found = self.seeps_count(command, stdin)
        for name in without:
            del expected[name], found[name]
        self.assertEqual((with_seep.returncode, with_seep.stdout), (with_valgrind.returncode, with_valgrind.stdout))
        self.assertEqual(found, expected)

    def check_program(self, name, **size):
        program = PROGRAMS[name](self.directory, **size)
        self.check(program.command, program.stdin)

    def test_small_cases(self):
        for command, more_bytes in (
                (["no_leak"], 0), (["ends", "return"], 0), (["word_index"], 0),
                # What seep sees of libstdc++'s new is what it asks malloc for: 1 byte for new char[0], which valgrind
                # counts as 0,
                (["ten_sites", CASES / "ten_sites_plugin.so"], 1),
                # and for aligned new a multiple of the alignment: 128 for 50 in 60 blocks.
                (["every_function"], 60 * (128 - 50))):
            with self.subTest(case=command[0]):
                (self.directory / "out.seep").unlink(missing_ok=True)
                self.check([CASES / command[0], *command[1:]], more_bytes=more_bytes)

    def test_sqlite3(self):
        self.check_program("sqlite3", rows=100_000 if LONG else 20_000)

    def test_python3(self):
        """Without the sum of all bytes ever: python keys each class's subclasses by integers made of addresses, which
        take 28 bytes below 2^30, as inside valgrind, and 32 above. They are freed before exit."""
        program = PROGRAMS["python3"](self.directory, items=60_000 if LONG else 3_000)
        self.check(program.command, without=("alloc_bytes",))

    def test_perl(self):
        self.check_program("perl", items=150_000 if LONG else 10_000)

    def test_git(self):
        """One process each: git's children are not followed here."""
        program = PROGRAMS["git"](self.directory, commits=3)
        self.assertEqual(self.run_command(program.command, env=self.outside).returncode, 0)
        self.check(["git", "-C", "repository", "log", "--stat", "-p"])

    @needs("as")
    def test_as(self):
        """The assembler, not cc1plus: that one's heap depends on addresses. Without any tool it is 7,282 blocks in one
        run and 7,283 in the next, 32 KiB more, unless addresses are fixed, which they are not between two tools."""
        (self.directory / "source.cpp").write_text(CXX_SOURCE)
        self.assertEqual(self.run_command(["g++", "-O2", "-S", "source.cpp"]).returncode, 0)
        self.check(["as", "source.s", "-o", "source.o"])


if __name__ == "__main__":
    tap.main()
