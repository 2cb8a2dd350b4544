# SPDX-License-Identifier: Apache-2.0
"""The cache of traces says what a walk says: with option check_traces each trace that it finds is walked as well, and
what the walk says is recorded."""
import unittest

import plain_protobuf
import tap
from real_programs import PROGRAMS, REPRODUCIBLE
from seep_test import BUILD, LONG, SeepTest, clean_environment, needs

SIZES = {"sqlite3": {"rows": 100_000 if LONG else 8_000}, "python3": {"items": 60_000 if LONG else 6_000},
         "perl": {"items": 150_000 if LONG else 10_000}, "git": {"commits": 15 if LONG else 3}, "g++": {}}


class TraceCache(SeepTest):
    def run_checked(self, command, check=1, stdin=b"", cwd=None):
        """Runs a command in exact mode: allocations, traces confirmed and not, in all its processes."""
        recording = self.directory / f"recording.{check}"
        environment = clean_environment(**REPRODUCIBLE)
        environment["LD_PRELOAD"] = str(BUILD / "src/preload/libseep.so")
        environment["SEEP_OPTIONS"] = f"sample=1:scan=off:check_traces={check}:out={recording}/%e.%p.seep"
        result = self.run_command(command, stdin=stdin, cwd=cwd, env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        sums = [0, 0, 0]
        for stream in recording.glob("*.seep"):
            snapshots = [message.snapshot for _, message in plain_protobuf.messages(stream.read_bytes())
                         if message.WhichOneof("content") == "snapshot"]
            last = snapshots[-1]
            sums[0] += last.alloc_blocks
            sums[1] += last.loss.checked_traces
            sums[2] += last.loss.wrong_traces
        return sums

    def check(self, name):
        program = PROGRAMS[name](self.directory, **SIZES[name])
        allocations, confirmed, wrong = self.run_checked(program.command, stdin=program.stdin, cwd=self.directory)
        self.assertEqual(wrong, 0)
        # Most of them do come out of the cache, or nothing would be checked here.
        self.assertGreater(confirmed, allocations // (5 if name in ("g++", "git") else 1.2))

    @needs("sqlite3")
    def test_sqlite3(self):
        self.check("sqlite3")

    def test_python3(self):
        self.check("python3")

    @needs("perl")
    def test_perl(self):
        self.check("perl")

    @needs("git")
    def test_git(self):
        self.check("git")

    @unittest.skipUnless(LONG, "a minute: with --long")
    def test_gxx(self):
        self.check("g++")

    def test_stacks_that_look_alike(self):
        """The program knows how often it came from where, by stacks that differ in one word, deep inside or far out."""
        program = BUILD / "tests/e2e/cases/alike_stacks"
        for check in (1, 0):
            with self.subTest(check=check):
                allocations, confirmed, wrong = self.run_checked([program], check)
                self.assertEqual(wrong, 0)
                self.assertEqual(confirmed > allocations // 2, check == 1)
                report = self.report(self.directory / f"recording.{check}")
                told = self.run_command([program], env=clean_environment()).stdout.split()
                found = {}
                for site in report["sites"]:
                    names = [frame["function"] for frame in site["frames"]]
                    way = "".join(name[-1] for name in names if name.startswith("way_"))
                    if way:
                        found[way] = found.get(way, 0) + site["alloc_blocks"]
                expected = dict(zip(told[::2], map(int, told[1::2])))
                self.assertEqual(found, expected)


if __name__ == "__main__":
    tap.main()
