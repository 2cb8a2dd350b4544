# SPDX-License-Identifier: Apache-2.0
"""What the tests of the matrix share: a program is run without seep and with it, in each way, and nothing may differ.

Without seep a program says what is right: its output on both descriptors, its status, that it ends inside the time
limit, and, in the file MATRIX_TRUTH (truth.h), what it allocated. With seep all of that must be the same, the recording
must read back without a complaint, and its counts must be the truth. The preload is used bare, since that is how it
must not be noticed. Threads: none.
"""
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import tap  # noqa: E402
from seep_test import BUILD, PRELOAD, RegionTest, clean_environment, own_frame  # noqa: E402

PROGRAMS = BUILD / "tests/matrix"

# The ways of recording: name -> the mean bytes between samples.
EXACT, SAMPLED, OFTEN_SAMPLED = "exact", "sampled", "often sampled"
SAMPLE_BYTES = {EXACT: 1, SAMPLED: 512 << 10, OFTEN_SAMPLED: 4 << 10}
EVERY_WAY = (SAMPLED, OFTEN_SAMPLED, EXACT)

# An estimate may be off by so many times its 95 % interval, which is at least 7 standard deviations, and a site may be
# missing if it had a chance of e^-20 to be: one false alarm in more than 10^8 comparisons.
STRETCH = 4
UNSEEN = 20

Truth = collections.namedtuple("Truth", "alloc_blocks alloc_bytes live_blocks live_bytes")
Outcome = collections.namedtuple("Outcome", "status stdout stderr truth")


def read_truth(path):
    """{function: Truth}, lines of one function added up."""
    found = {}
    if not path.exists():
        return found
    for line in path.read_text().splitlines():
        word, function, *numbers = line.split()
        if word != "site":
            raise AssertionError(f"{path}: not a line of truth.h: {line}")
        counts = Truth(*map(int, numbers))
        found[function] = Truth(*map(sum, zip(found[function], counts))) if function in found else counts
    return found


def function_name(frame):
    """Of a function its name alone: without return type, scope, template arguments and parameters."""
    function = frame["function"].replace("(anonymous namespace)::", "")
    return function.split("(")[0].split("<")[0].split("::")[-1].split(" ")[-1]


class MatrixTest(RegionTest):
    """A test of programs of the matrix. `group` is the directory that they are in."""

    group = None
    limit_seconds = 60

    def program(self, name):
        return PROGRAMS / self.group / name

    def outcome(self, command, environment, truth_path):
        """Runs a command; the whole process group must be gone inside the limit."""
        environment = dict(environment, MATRIX_TRUTH=str(truth_path))
        process = subprocess.Popen([str(word) for word in command], env=environment, cwd=self.directory,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        try:
            stdout, stderr = process.communicate(timeout=self.limit_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            self.fail(f"hangs: {command} did not end within {self.limit_seconds} s with {environment}")
        return Outcome(process.returncode, stdout, stderr, read_truth(truth_path))

    def environment_of(self, way, recording, preload=None, options="", **more):
        """The environment that records into a directory. `preload`: LD_PRELOAD, if it is not libseep.so alone."""
        words = [f"sample={SAMPLE_BYTES[way]}", f"out={recording}/%e.%p.seep", "seed=1"] + ([options] if options else [])
        return clean_environment(LD_PRELOAD=preload or PRELOAD, SEEP_OPTIONS=":".join(words), **more)

    def check(self, name, *arguments, ways=EVERY_WAY, same_truth=True, whole=True, preload=None, options="",
              prefix=(), **environment):
        """Runs a program of the group without seep and in each way, and compares. `preload` maps the path of libseep.so
        to LD_PRELOAD (None: bare, where its argument is None). `same_truth`: what it did is the same in every run; if
        not, each run is compared with its own. `whole`: nothing may be lost on the way. `prefix`: a command that becomes
        the program. Returns {way: report}."""
        command = [*prefix, self.program(name), *arguments]
        chain = preload or (lambda ours: ours)
        plain = dict(environment, LD_PRELOAD=chain(None)) if chain(None) else environment
        bare = self.outcome(command, clean_environment(**plain), pathlib.Path(f"{self.new_recording_path()}.truth"))
        self.assertNotIn(b"the truth could not be told", bare.stderr)
        reports = {}
        for way in ways:
            with self.subTest(program=name, way=way):
                recording = self.new_recording_path()
                seen = self.outcome(command, self.environment_of(way, recording, chain(PRELOAD), options, **environment),
                                    pathlib.Path(f"{recording}.truth"))
                self.assertEqual((seen.status, seen.stdout, seen.stderr), (bare.status, bare.stdout, bare.stderr))
                if same_truth:
                    self.assertEqual(seen.truth, bare.truth)
                reports[way] = self.report_of(recording, way)
                if reports[way] is not None:
                    self.assert_true(reports[way], seen.truth, way, whole)
                else:
                    self.assert_too_little_for_a_sample(seen.truth, way)
        return reports

    def report_of(self, recording, way):
        """The report; None where a sampled process sampled nothing, and so left nothing: no stream, and no region."""
        if way != EXACT and not recording.exists() and self.seep("report", recording).returncode != 0:
            return None
        return self.report(recording)

    def assert_too_little_for_a_sample(self, truth, way):
        """No recording is right only where what was allocated may well have been passed over."""
        expected = sum(counts.alloc_bytes + counts.alloc_blocks for counts in truth.values()) / SAMPLE_BYTES[way]
        self.assertLess(expected, UNSEEN, f"{way}: no recording, where {expected} samples were expected")

    def sums_by_function(self, report):
        """{own function: {counter: sum, counter_interval: the sums of the bounds}}."""
        sums = collections.defaultdict(collections.Counter)
        for site in report["sites"]:
            frame = own_frame(site)
            if frame is None:
                continue
            into = sums[function_name(frame)]
            for field in Truth._fields:
                into[field] += site[field]
                low, high = site.get(f"{field}_interval", [site[field], site[field]])
                into[f"{field}_low"] += low
                into[f"{field}_high"] += high
        return sums

    def assert_true(self, report, truth, way, whole=True):
        """What was counted is what the program did: exactly, or within what the intervals allow."""
        if whole:
            self.assert_whole(report, exact=way == EXACT)
        sums = self.sums_by_function(report)
        for function, counts in truth.items():
            found = sums.get(function)
            if way == EXACT:
                seen = Truth(*(found[field] for field in Truth._fields)) if found else Truth(0, 0, 0, 0)
                self.assertEqual(seen, counts, f"{function}, {way}")
            elif not found:
                expected = (counts.alloc_bytes + counts.alloc_blocks) / SAMPLE_BYTES[way]
                self.assertLess(expected, UNSEEN, f"{function}, {way}: no sample where {expected} were expected")
            else:
                self.assert_inside(found, counts, f"{function}, {way}")

    def assert_inside(self, found, counts, what):
        for field in Truth._fields:
            low = found[field] - STRETCH * (found[field] - found[f"{field}_low"])
            high = found[field] + STRETCH * (found[f"{field}_high"] - found[field])
            self.assertTrue(low <= getattr(counts, field) <= high,
                            f"{what}: {field} is {getattr(counts, field)}, estimated {found[field]} in [{low}, {high}]")


def main():
    """To be called at the end of a test file. No program of its group may be without a test; NAME_library is NAME's."""
    test_file = pathlib.Path(sys.argv[0]).resolve()
    group = HERE / test_file.stem.removeprefix("test_")
    unnamed = [source.name for source in sorted(group.glob("*.c*"))
               if source.stem.removesuffix("_library") not in test_file.read_text()]
    if unnamed:
        raise SystemExit(f"{test_file.name} runs none of {unnamed}")
    tap.main()
