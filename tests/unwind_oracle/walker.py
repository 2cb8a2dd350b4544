# SPDX-License-Identifier: Apache-2.0
"""Runs programs under the oracle (oracle.h), alone or in gdb, and says what differed.

Threads: none.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from seep_test import BUILD, LONG, SeepTest, clean_environment  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = BUILD / "tests/unwind_oracle"
ORACLE = PROGRAMS / "unwind_oracle.so"
GDB_SETTINGS = [
    "set confirm off", "set pagination off", "set auto-load no", "set debuginfod enabled off",
    "set startup-with-shell off", "set disable-randomization off", "set backtrace past-main on",
    "set backtrace past-entry on", "set backtrace limit unlimited", "handle all nostop noprint pass",
    "handle SIG64 stop print nopass",
]


def gdb_prefix(script, environment):
    """What goes before a command so that gdb runs it, with this environment on top of gdb's own, and then a script."""
    settings = GDB_SETTINGS + [f"set environment {name} {value}" for name, value in environment.items()]
    prefix = ["gdb", "-batch", "-nx"]
    for setting in settings:
        prefix += ["-ex", setting]
    return [*prefix, "-x", script, "--args"]


class WalkerTest(SeepTest):
    """A test whose programs run under the oracle."""

    def setUp(self):
        super().setUp()
        self.runs = 0

    def settings(self, **settings):
        """A directory for the results of a run, and the environment that has the oracle write there."""
        self.runs += 1
        directory = self.directory / f"run.{self.runs}"
        directory.mkdir()
        environment = {"UNWIND_ORACLE": directory, "LD_PRELOAD": ORACLE}
        environment.update({f"UNWIND_ORACLE_{name.upper()}": value for name, value in settings.items()})
        return directory, environment

    def counts_of(self, directory, what):
        """The counts of a run's processes, as sums. Said on stderr, for who wants to know how much was covered."""
        counts = {}
        for path in directory.glob("*.json"):
            for name, count in json.loads(path.read_text()).items():
                counts[name] = counts.get(name, 0) + count
        self.assertNotEqual(counts, {}, f"{what}: nothing was compared")
        print(f"{what}: {counts['stacks']:,} stacks compared, {counts['distinct']:,} distinct, "
              f"{counts['stepped']:,} at single steps, {counts['frames']:,} frames; "
              f"differences: {counts['differences']}, ends without tables: {counts['ended_without_tables']}, "
              f"misread by libunwind: {counts['misread']}", file=sys.stderr, flush=True)
        return counts

    def check(self, counts, directory, what, at_least, longjmp=False):
        """No difference; every stack whole; and enough of them. `longjmp`: some of its rules, which are misread."""
        text = "".join(path.read_text() for path in directory.glob("*.differences"))
        self.assertEqual(counts["differences"], 0, f"{what}:\n{text[:20_000]}")
        self.assertLessEqual(counts["misread"], counts["stacks"] // 500 if longjmp else 0, what)
        self.assertLessEqual(counts["cut"], counts["ended_without_tables"], what)
        self.assertGreaterEqual(counts["stacks"], at_least, what)

    def walk(self, command, what, environment=None, **settings):
        """Runs a command under the oracle: (counts, directory)."""
        directory, oracle = self.settings(**settings)
        result = self.run_command(command, env=clean_environment(**oracle, **(environment or {})), timeout=3000)
        self.assertEqual(result.returncode, 0, f"{what}: {result.stdout[-2000:]}{result.stderr[-2000:]}")
        return self.counts_of(directory, what), directory

    def check_walk(self, command, what, at_least, **how):
        counts, directory = self.walk(command, what, **how)
        self.check(counts, directory, what, at_least)
        return counts

    def in_gdb(self, stop, environment=None, **settings):
        """(directory, prefix): to run a command in gdb, which looks at each `stop`th new stack."""
        directory, oracle = self.settings(stop=stop, **settings)
        prefix = gdb_prefix(HERE / "gdb_walks.py", {**oracle, **(environment or {})})
        # gdb says much at each stop, which nobody would read in time.
        shell = f'GDB_WALKS={directory}/gdb_walks exec "$@" >{directory}/log 2>&1'
        return directory, ["sh", "-c", shell, "sh", *prefix]

    def found_by_gdb(self, directory):
        """What gdb_walks.py wrote in a run."""
        path = directory / "gdb_walks"
        self.assertTrue(path.exists(), (directory / "log").read_text(errors="replace")[-2000:])
        return json.loads(path.read_text())

    def check_gdb_walks(self, directory, what, at_least):
        """gdb has seen the same as seep at each stop of a run."""
        counts = self.counts_of(directory, what)
        found = self.found_by_gdb(directory)
        differences = len(found["differences"])
        print(f"{what}: {found['stops']} stacks of {found['frames']} frames walked by gdb; differences: {differences}",
              file=sys.stderr, flush=True)
        self.assertEqual(differences, 0, f"{what}: {json.dumps(found['differences'][:3], indent=1)}")
        self.assertEqual(found["stops"], counts["stops"], (what, found["error"]))
        self.assertGreaterEqual(found["stops"], at_least, what)
        return counts

    def check_in_gdb(self, command, what, distinct, at_least, **how):
        """As check_gdb_walks, of a command that has so many distinct stacks."""
        directory, prefix = self.in_gdb(max(1, distinct // (2 * at_least)), **how)
        self.run_command([*prefix, *command], env=clean_environment(), timeout=3000)
        return self.check_gdb_walks(directory, what, at_least)
