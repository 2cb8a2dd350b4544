# SPDX-License-Identifier: Apache-2.0
"""Programs that nobody here wrote, at exit: each block that seep calls definite Valgrind calls so, too, with the same
input, from the same stack. None is invented."""
import collections
import itertools
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import verdicts
from real_commands import NAMES, commands, prepare
from verdicts import tap

import real_programs
import redis
from seep_test import LONG, PRELOAD, RegionTest, clean_environment, needs

VALGRIND = [*verdicts.VALGRIND, "--leak-check-heuristics=all", "--read-inline-info=no", "--child-silent-after-fork=yes"]
# jemalloc's, too: Debian's redis-server is linked with it.
VALGRIND_ANY_ALLOCATOR = [*VALGRIND, "--soname-synonyms=somalloc=*jemalloc*"]
# What does not fit into the time of a normal run.
LONG_ONLY = {"cc1plus", "python3 script", "vim", "git status"}
# Of two stacks so many innermost frames are compared: how far the outermost ones reach is each tool's own.
FRAMES = 12


def without_start(frames):
    """Without what is below main, or below a thread's function, which Valgrind sums up: the last frames in libc, and a
    frame of the program's own below them."""
    end = len(frames) - (bool(frames) and not in_libc(frames[-1]))
    if end == 0 or not in_libc(frames[end - 1]):
        return frames
    while end > 0 and in_libc(frames[end - 1]):
        end -= 1
    return frames[:end] or frames


def in_libc(frame):
    return "/libc.so." in str(frame[1])


def key_of(frames):
    """What two tools must say alike of a stack: the modules and functions of its real frames, innermost first, from
    the caller of the allocator. `frames`: (function or None, path of its module)."""
    own = itertools.dropwhile(lambda frame: any(name in str(frame[1]) for name in verdicts.ALLOCATORS), frames)
    return tuple((pathlib.Path(module or "?").name, common_name(function))
                 for function, module in without_start(list(own))[:FRAMES])


def common_name(function):
    """A function's name; "?" where none is known, which seep says by its place in the module. Of libc's functions that
    have two names each tool takes another one, with and without underscores."""
    if not function or re.search(r"\+0x[0-9a-f]+$", function):
        return "?"
    return verdicts.plain_name(function).lstrip("_")


def added(left, right):
    return verdicts.Sum(*map(sum, zip(left, right)))


def valgrinds_definite(path):
    """{key: Sum} of one XML file."""
    found = collections.defaultdict(lambda: verdicts.Sum(0, 0))
    for error in xml.etree.ElementTree.parse(path).getroot().iter("error"):
        if error.findtext("kind") != "Leak_DefinitelyLost":
            continue
        key = key_of([(frame.findtext("fn"), frame.findtext("obj")) for frame in error.find("stack").iter("frame")])
        found[key] = added(found[key], verdicts.leaked(error))
    return found


def seeps_definite(report):
    found = collections.defaultdict(lambda: verdicts.Sum(0, 0))
    for site in report["sites"]:
        if not site["definite_blocks"]:
            continue
        key = key_of([(frame["function"], frame["module"]) for frame in site["frames"] if not frame["inlined"]])
        found[key] = added(found[key], verdicts.Sum(site["definite_blocks"], site["definite_bytes"]))
    return found


def text_of(sums):
    return "\n".join(sorted(f"{sums[key].blocks} blocks {sums[key].bytes} bytes: " +
                            " < ".join(f"{function} ({module})" for module, function in key) for key in sums))


@unittest.skipUnless(shutil.which("valgrind"), "not run: valgrind is not installed")
class RealVerdicts(RegionTest):
    @classmethod
    def setUpClass(cls):
        cls.environment = clean_environment(**real_programs.REPRODUCIBLE)
        cls.prepared = pathlib.Path(tempfile.mkdtemp(prefix="seep-prepared."))
        cls.addClassCleanup(shutil.rmtree, cls.prepared, ignore_errors=True)
        prepare(cls.prepared, cls.environment)

    def setUp(self):
        super().setUp()
        shutil.copytree(self.prepared, self.directory, dirs_exist_ok=True)
        self.commands = commands(self.directory, large=LONG)

    def run_as(self, command, stdin, **more):
        """Runs a command: its pid, and what it printed."""
        process = subprocess.Popen([str(word) for word in command], env={**self.environment, **more},
                                   cwd=self.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        output = process.communicate(stdin, timeout=1500)
        return process.pid, (process.returncode, *output)

    def by_valgrind(self, program):
        pid, said = self.run_as([*VALGRIND, "--xml-file=valgrind.%p", *program.command], program.stdin)
        return valgrinds_definite(self.directory / f"valgrind.{pid}"), said

    def by_seep(self, program):
        recording = self.new_recording_path()
        pid, said = self.run_as(program.command, program.stdin, LD_PRELOAD=str(PRELOAD),
                                SEEP_OPTIONS=f"sample=1:out={recording}/%p.seep")
        report = self.report(recording / f"{pid}.seep")
        self.assert_whole(report)
        self.assert_judged(report)
        return report, said

    def assert_judged(self, report):
        """Every live block has a verdict."""
        totals = report["totals"]
        judged = sum(totals[f"{verdict}_blocks"] for verdict in verdicts.VERDICTS)
        self.assertEqual(judged, totals["live_blocks"], totals)

    def check(self, name):
        program = self.commands[name]
        with self.subTest(program=name):
            expected, said_to_valgrind = self.by_valgrind(program)
            report, said = self.by_seep(program)
            self.assertEqual(said, said_to_valgrind)
            self.assertMultiLineEqual(text_of(seeps_definite(report)), text_of(expected))

    @needs("redis-server")
    @needs("redis-cli")
    def test_redis(self):
        valgrind = [*VALGRIND_ANY_ALLOCATOR, f"--xml-file={self.directory}/valgrind.xml"]
        self.talk_to_redis(valgrind, clean_environment())
        recording = self.new_recording_path()
        self.talk_to_redis([], clean_environment(LD_PRELOAD=PRELOAD,
                                                 SEEP_OPTIONS=f"sample=1:out={recording}/%e.%p.seep"))
        report = self.report(recording)
        self.assert_judged(report)
        self.assertMultiLineEqual(text_of(seeps_definite(report)),
                                  text_of(valgrinds_definite(self.directory / "valgrind.xml")))

    def talk_to_redis(self, prefix, environment):
        with redis.server_under(prefix, self.directory, environment, stop_by_command=True) as (port, server):
            lines = [f"SET key:{i} {'x' * (i % 50 + 1)}\nRPUSH list {i}\nHSET hash f{i} {i}" for i in range(300)]
            lines += ["DEL list", "EVAL 'return redis.call(\"GET\", \"key:7\")' 0", "DBSIZE"]
            subprocess.run(["redis-cli", "-p", str(port)], input="\n".join(lines).encode(), check=True,
                           capture_output=True, env=clean_environment())
        self.assertEqual(server.returncode, 0, server.stop_error)


def add_test(name):
    def test(self):
        if name in LONG_ONLY and not LONG:
            self.skipTest("not run: needs SEEP_LONG=1")
        if shutil.which(self.commands[name].command[0]) is None:
            self.skipTest(f"not run: {self.commands[name].command[0]} is not installed")
        self.check(name)

    setattr(RealVerdicts, f"test_{name.replace(' ', '_')}", test)


for command_name in NAMES:
    add_test(command_name)


if __name__ == "__main__":
    tap.main()
