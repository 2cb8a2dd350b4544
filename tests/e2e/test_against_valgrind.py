# SPDX-License-Identifier: Apache-2.0
"""Exact mode against Valgrind: live blocks and bytes at exit, and all that was ever allocated, to the byte.

Both run the program in an equal environment, for programs copy theirs into the heap: the variables that valgrind sets
are set for seep too, LD_PRELOAD is padded to the same length, hash seeds are fixed, libc's own is not freed at exit.
"""
import os
import re
import shutil
import unittest

import tap
from real_programs import PROGRAMS, REPRODUCIBLE
from seep_test import CASES, LONG, PRELOAD, SeepTest, clean_environment

VALGRIND = ["valgrind", "--run-libc-freeres=no", "--run-cxx-freeres=no", "--leak-check=no", "--trace-children=no",
            "--log-file=valgrind.log"]
SMALL_CXX_SOURCE = "#include <map>\nint main() { return static_cast<int>(std::map<int, int>{}.size()); }\n"


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

    def check(self, command, stdin=b""):
        with_valgrind, expected = self.valgrinds_count(command, stdin)
        with_seep, found = self.seeps_count(command, stdin)
        self.assertEqual((with_seep.returncode, with_seep.stdout), (with_valgrind.returncode, with_valgrind.stdout))
        self.assertEqual(found, expected)

    def check_program(self, name, **size):
        program = PROGRAMS[name](self.directory, **size)
        self.check(program.command, program.stdin)

    def test_small_cases(self):
        for command in (["no_leak"], ["ends", "return"], ["word_index"], ["every_function"],
                        ["ten_sites", CASES / "ten_sites_plugin.so"]):
            with self.subTest(case=command[0]):
                (self.directory / "out.seep").unlink(missing_ok=True)
                self.check([CASES / command[0], *command[1:]])

    def test_sqlite3(self):
        self.check_program("sqlite3", rows=100_000 if LONG else 20_000)

    def test_python3(self):
        self.check_program("python3", items=60_000 if LONG else 3_000)

    def test_perl(self):
        self.check_program("perl", items=150_000 if LONG else 10_000)

    def test_git(self):
        """One process each: git's children are not followed here."""
        program = PROGRAMS["git"](self.directory, commits=3)
        self.assertEqual(self.run_command(program.command, env=self.outside).returncode, 0)
        self.check(["git", "-C", "repository", "log", "--stat", "-p"])

    def test_cc1plus(self):
        compiler = self.run_command(["g++", "-print-prog-name=cc1plus"]).stdout.strip()
        if not os.access(compiler, os.X_OK):
            self.skipTest("not run: no cc1plus")
        (self.directory / "source.cpp").write_text(SMALL_CXX_SOURCE)
        self.check([compiler, "-quiet", "-O2", "source.cpp", "-o", "source.s"])


if __name__ == "__main__":
    tap.main()
