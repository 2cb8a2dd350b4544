# SPDX-License-Identifier: Apache-2.0
"""What the tests of the verdicts share: a program says what is leaked in it (told.h), and seep, at exit and on request,
and Valgrind must both say the same of each of its functions: blocks and bytes of each verdict. In a sampled recording
only that must be definite which is.

Where Valgrind says something else the program tells that, too, and the test must know why. Of blocks that other
libraries allocated nothing is told; none of them may be definite for seep that is not for Valgrind. Threads: none.
"""
import collections
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import tap  # noqa: E402
from seep_test import BUILD, LONG, PRELOAD, RegionTest, clean_environment  # noqa: E402

PROGRAMS = BUILD / "tests/verdicts"
VERDICTS = ("definite", "indirect", "possible", "reachable")
VALGRIND = ["valgrind", "--leak-check=full", "--show-leak-kinds=all", "--num-callers=40", "--leak-resolution=high",
            "--run-libc-freeres=no", "--run-cxx-freeres=no", "--keep-debuginfo=yes",
            "--trace-children=no", "--undef-value-errors=no", "--xml=yes"]
VALGRINDS_WORD = {"Leak_DefinitelyLost": "definite", "Leak_IndirectlyLost": "indirect", "Leak_PossiblyLost": "possible",
                  "Leak_StillReachable": "reachable"}

# Modules between a program and malloc: of stacks they do not count.
ALLOCATORS = ("/vgpreload_", "/libstdc++.so")

# How seep scans: at the end, in place; when the program asks just before it, in a copy of the process; and at the end
# of a sampled recording, where a block is definite that no word points to, and nothing else is said.
AT_EXIT, ON_REQUEST, SAMPLED = "at exit", "on request", "sampled"
EVERY_WAY = (AT_EXIT, ON_REQUEST, SAMPLED)
OPTIONS = {AT_EXIT: "sample=1", ON_REQUEST: "sample=1:scan=request", SAMPLED: "sample=100:seed=1:scan=exit"}

Sum = collections.namedtuple("Sum", "blocks bytes")


class Sums(dict):
    """{(function, verdict): Sum}, without nothings."""

    def add(self, function, verdict, blocks, size_bytes):
        if blocks:
            known = self.get((function, verdict), Sum(0, 0))
            self[function, verdict] = Sum(known.blocks + blocks, known.bytes + size_bytes)

    def functions(self):
        return {function for function, _ in self}

    def without(self, functions):
        return Sums({key: value for key, value in self.items() if key[0] not in functions})


class Told:
    """What a program told: `so` is so, `valgrinds` is what Valgrind says; of the functions that are `alive` all blocks,
    however many, are reachable."""

    def __init__(self, path):
        self.so, self.valgrinds, self.alive = Sums(), Sums(), set()
        for line in path.read_text().splitlines() if path.exists() else []:
            word, function, *rest = line.split()
            if word == "alive":
                self.alive.add(function)
                continue
            verdict, blocks, size_bytes = rest
            if word not in ("site", "valgrind") or verdict not in VERDICTS:
                raise AssertionError(f"{path}: not a line of told.h: {line}")
            (self.so if word == "site" else self.valgrinds).add(function, verdict, int(blocks), int(size_bytes))
        self.valgrinds.update(self.so.without(self.valgrinds.functions()))

    def functions(self):
        return self.so.functions() | self.valgrinds.functions() | self.alive


def plain_name(function):
    """Of a function its name alone: without scope, template arguments, parameters, and what the compiler adds."""
    name = function.replace("(anonymous namespace)::", "").split("(")[0].split("<")[0]
    return name.split("::")[-1].split(" ")[-1].split(".")[0]


def site_name(frames, told):
    """The function of the programs that a block is of: the one that called the allocator, inlined functions left out;
    None: it was asked for by another library. `frames`: (function, path of its module), innermost first."""
    own = itertools.dropwhile(lambda frame: any(name in str(frame[1]) for name in ALLOCATORS), frames)
    ours = itertools.takewhile(lambda frame: str(frame[1]).startswith(str(PROGRAMS)), own)
    names = [plain_name(function or "?") for function, _ in ours]
    return next((name for name in names if name in told), names[0] if names else None)


def leaked(error):
    """Of a leak in Valgrind's XML: Sum, without what hangs from it."""
    text = error.findtext("xwhat/text")
    direct = re.match(r"[\d,]+ \(([\d,]+) direct", text)
    size_bytes = direct[1].replace(",", "") if direct else error.findtext("xwhat/leakedbytes")
    return Sum(int(error.findtext("xwhat/leakedblocks")), int(size_bytes))


def valgrinds_sums(path, told):
    """(Sums of the programs' functions, [stacks of what is definite elsewhere]) of one XML file."""
    sums, foreign = Sums(), []
    for error in xml.etree.ElementTree.parse(path).getroot().iter("error"):
        verdict = VALGRINDS_WORD.get(error.findtext("kind"))
        if verdict is None:
            continue
        blocks, size_bytes = leaked(error)
        frames = [(frame.findtext("fn"), frame.findtext("obj") or "") for frame in error.find("stack").iter("frame")]
        name = site_name(frames, told)
        if name is not None:
            sums.add(name, verdict, blocks, size_bytes)
        elif verdict == "definite":
            foreign.append([function for function, _ in frames])
    return sums, foreign


def seeps_sums(report, told):
    sums, foreign = Sums(), []
    for site in report["sites"]:
        frames = [(frame["function"], frame["module"]) for frame in site["frames"]]
        name = site_name(frames, told)
        if name is None and site["definite_blocks"]:
            foreign.append([function for function, _ in frames])
        for verdict in VERDICTS:
            if name is not None:  # A sampled recording says `definite` alone.
                sums.add(name, verdict, site.get(f"{verdict}_blocks", 0), site.get(f"{verdict}_bytes", 0))
    return sums, foreign


class VerdictsTest(RegionTest):
    """A test of programs of a group. `group` is the directory that they are in. `valgrind_differs` says of each program
    (and its first argument) that tells lines for Valgrind why that is so."""

    group = None
    limit_seconds = 120
    valgrind_differs = {}
    known_foreign = ()  # Functions of other libraries whose blocks are lost indeed.

    heap_as_roots = False  # A program of this test has blocks that seep does not see, and says so.

    def program(self, name):
        return PROGRAMS / self.group / name

    def run_program(self, command, environment, expected_status=0):
        """Runs a command to its end: Told. The whole process group must be gone inside the limit."""
        told = self.directory / f"told.{self.recordings}"
        told.unlink(missing_ok=True)
        process = subprocess.Popen([str(word) for word in command], cwd=self.directory, stdin=subprocess.DEVNULL,
                                   env=dict(environment, VERDICTS_TOLD=str(told)), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        try:
            output = b"".join(process.communicate(timeout=self.limit_seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.fail(f"hangs: {command} did not end within {self.limit_seconds} s with {environment}")
        self.assertEqual((process.returncode, output), (expected_status, b""), f"{command}")
        return Told(told)

    def by_valgrind(self, command, heuristics="all", **how):
        """(Told, Valgrind's sums, its foreign definite stacks)."""
        self.recordings += 1
        pattern = self.directory / f"valgrind.{self.recordings}"
        valgrind = [*VALGRIND, f"--leak-check-heuristics={heuristics}", f"--xml-file={pattern}.%p"]
        told = self.run_program([*valgrind, *command], clean_environment(), **how)
        sums, foreign = Sums(), []
        for path in self.directory.glob(f"{pattern.name}.*"):
            of_one, foreign_of_one = valgrinds_sums(path, told.functions())
            for (function, verdict), found in of_one.items():
                sums.add(function, verdict, *found)
            foreign += foreign_of_one
        return told, sums, foreign

    def by_seep(self, command, way, options="", preload=None, **how):
        """(Told, seep's report)."""
        recording = self.new_recording_path()
        words = [OPTIONS[way], f"out={recording}/%e.%p.seep"] + ([options] if options else [])
        environment = clean_environment(LD_PRELOAD=preload or PRELOAD, SEEP_OPTIONS=":".join(words))
        if way == ON_REQUEST:
            environment["VERDICTS_REQUEST"] = "1"
        told = self.run_program(command, environment, **how)
        if way == SAMPLED and not recording.exists():
            return told, {"sites": []}  # Nothing was sampled.
        report = self.report(recording)
        self.assert_whole(report, exact=way != SAMPLED)
        for process in report["processes"]:
            self.assert_scanned(process["scan"], way)
        return told, report

    def assert_scanned(self, scan, way):
        """A scan that was done, was done that way, and whole."""
        if scan is None:
            return  # A process that was replaced or killed: what it told has no verdict.
        self.assertEqual((scan["failure"], scan["trigger"], scan["in_copy"]),
                         (None, "request", True) if way == ON_REQUEST else (None, "exit", False), scan)
        self.assertEqual((scan["missed_threads"], scan["heap_as_roots"], scan["overlapping_blocks"]),
                         (0, self.heap_as_roots and way != SAMPLED, 0), scan)

    def check(self, name, *arguments, ways=EVERY_WAY, with_valgrind=True, options="", preload=None,
              prefix=(), may_miss=0, **how):
        """Runs a program of the group under seep, in each way, and under Valgrind, and compares with what it tells.
        `prefix`: a command that becomes the program. `may_miss`: of so many blocks of each function a pointer may be
        found all the same. Returns {way: seep's report}."""
        command = [*prefix, self.program(name), *arguments]
        valgrinds_foreign = []
        if with_valgrind and shutil.which("valgrind"):
            with self.subTest(program=name, way="valgrind"):
                told, found, valgrinds_foreign = self.by_valgrind(command, **how)
                differs = told.so != told.valgrinds or bool(told.alive)
                why = {name, f"{name} {arguments[0] if arguments else ''}"} & self.valgrind_differs.keys()
                self.assertEqual(bool(why), differs, "why Valgrind says something else")
                self.assert_same(found.without(told.alive), told.valgrinds)
        reports = {}
        for way in ways:
            with self.subTest(program=name, way=way):
                told, reports[way] = self.by_seep(command, way, options, preload, **how)
                found, foreign = seeps_sums(reports[way], told.functions())
                foreign = [stack for stack in foreign if plain_name(stack[0]) not in self.known_foreign]
                self.assertLessEqual(len(foreign), len(valgrinds_foreign), foreign)
                if way == SAMPLED:
                    self.assertLessEqual(found.keys(), {key for key in told.so if key[1] == "definite"})
                    continue
                reachable = [(function, "reachable") for function in told.alive]
                found = Sums({key: found[key] for key in found if key not in reachable})
                if may_miss:
                    self.assert_no_more(found, told.so, may_miss)
                else:
                    self.assert_same(found, told.so)
        return reports

    def assert_no_more(self, found, expected, missed):
        """What is lost is what was told, less at most `missed` blocks of each function, which are reachable."""
        self.assertEqual(found.functions(), expected.functions())
        for (function, verdict), told in expected.items():
            held = found.get((function, "reachable"), Sum(0, 0))
            lost = found.get((function, verdict), Sum(0, 0))
            self.assertLessEqual(held.blocks, missed, function)
            self.assertEqual((lost.blocks + held.blocks, lost.bytes + held.bytes), told, function)
            self.assertLessEqual({key[1] for key in found if key[0] == function}, {verdict, "reachable"})

    def assert_same(self, found, expected):
        def text(sums):
            return "\n".join(f"{function} {verdict} {sums[function, verdict].blocks} blocks "
                             f"{sums[function, verdict].bytes} bytes" for function, verdict in sorted(sums))
        self.assertMultiLineEqual(text(found), text(expected))


def main():
    """To be called at the end of a test file. No program of its group may be without a test; NAME_library is NAME's."""
    test_file = pathlib.Path(sys.argv[0]).resolve()
    group = HERE / test_file.stem.removeprefix("test_")
    unnamed = [source.name for source in sorted(group.glob("*.c*"))
               if source.stem.removesuffix("_library") not in test_file.read_text()]
    if unnamed:
        raise SystemExit(f"{test_file.name} runs none of {unnamed}")
    tap.main()
