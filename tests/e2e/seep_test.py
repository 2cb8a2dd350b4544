# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: where things are, running a program with and without seep, reading reports.

Tests use seep from outside only: its command line, its files, its exit codes. They run in a directory of their own and
leave nothing behind. Threads: none.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEEP_BUILD", SOURCE / "build")).resolve()
SEEP = BUILD / "tools/seep"
PRELOAD = BUILD / "src/preload/libseep.so"
CASES = BUILD / "tests/e2e/cases"
LONG = bool(os.environ.get("SEEP_LONG"))

# The ways of recording that every real program is tried in: (name, options of seep run).
EXACT = ("exact", ["--exact"])
SAMPLED = ("sampled", ["--sample", "512k"])
OFTEN_SAMPLED = ("often sampled", ["--sample", "4k"])


def clean_environment(**more):
    """The environment of every program under test: small, the same everywhere, nothing of seep's in it."""
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
    environment.update({name: str(value) for name, value in more.items()})
    return environment


class SeepTest(unittest.TestCase):
    """A test with a directory of its own."""

    maxDiff = None

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="seep-e2e."))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.recordings = 0

    def run_command(self, command, env=None, cwd=None, stdin=b"", timeout=300):
        """Runs a command to its end; its output as text."""
        result = subprocess.run([str(word) for word in command], env=env or clean_environment(),
                                cwd=cwd or self.directory, input=stdin, capture_output=True, timeout=timeout,
                                check=False)
        result.stdout = result.stdout.decode(errors="surrogateescape")
        result.stderr = result.stderr.decode(errors="surrogateescape")
        return result

    def seep(self, *arguments, **how):
        return self.run_command([SEEP, *arguments], **how)

    def new_recording_path(self):
        self.recordings += 1
        return self.directory / f"recording.{self.recordings}"

    def record(self, command, options=("--exact",), **how):
        """Runs a command under `seep run`: (the path of the recording, the result)."""
        path = self.new_recording_path()
        return path, self.seep("run", *options, "-o", path, "--", *command, **how)

    def report(self, *paths, options=()):
        """The JSON report of recordings that must be readable without a complaint."""
        result = self.seep("report", "--format", "json", *options, *paths)
        self.assertEqual((result.returncode, result.stderr), (0, ""), f"seep report {paths} complained")
        return json.loads(result.stdout)

    def recorded_report(self, command, options=("--exact",), **how):
        """Records a command that must end with 0, and reports."""
        path, result = self.record(command, options, **how)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return self.report(path)

    def assert_whole(self, report, exact=True):
        """Nothing was lost on the way."""
        coverage = report["coverage"]
        self.assertEqual(coverage["dropped_records"], 0, coverage)
        self.assertEqual(coverage["unobserved_processes"], 0, coverage)
        if exact:
            self.assertEqual(coverage["fraction"], 1, coverage)

    def assert_one_line(self, text, *words):
        """A complaint is one line, says so and so, and begins with who complains."""
        lines = text.splitlines()
        self.assertEqual(len(lines), 1, f"expected one line, got:\n{text}")
        self.assertTrue(lines[0].startswith("seep"), text)
        for word in words:
            self.assertIn(word, lines[0])


def own_frame(site):
    """The innermost frame that the text report would show first: the code that asked for the memory."""
    for frame in site["frames"]:
        if not frame["runtime"]:
            return frame
    return site["frames"][-1] if site["frames"] else None


def only_stream(recording):
    """The stream of a recording of one process."""
    streams = sorted(pathlib.Path(recording).glob("*.seep"))
    if len(streams) != 1:
        raise AssertionError(f"expected one stream in {recording}, found {[stream.name for stream in streams]}")
    return streams[0]


def needs(program):
    """Skips a test for want of a program."""
    return unittest.skipUnless(shutil.which(program), f"not run: {program} is not installed")


def remove_regions_of(directory):
    """Removes what killed processes that were to write into a directory have left: after a test that failed."""
    for region in pathlib.Path("/dev/shm").glob("seep.*.region"):
        try:
            with open(region, "rb") as file:
                named = os.fsencode(directory) in file.read(1 << 16)
            if named:
                region.unlink()
        except OSError:
            continue  # Somebody else's, or gone.


def wait_until(condition, what, seconds=60):
    """Waits for a condition to be true, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class RegionTest(SeepTest):
    """A test whose programs may leave regions behind."""

    def setUp(self):
        super().setUp()
        self.addCleanup(remove_regions_of, self.directory)
