# SPDX-License-Identifier: Apache-2.0
"""What the tests of real software share: it runs without seep, sampled and exact, and what it does must be the same.

Each run has a directory of its own, which is the program's working directory, so that what it prints names no other
path, and a word in its environment by which everything that it started is found again: nothing may be left behind, no
process and no region. Recordings are made as users make them: `seep run` around a command, LD_PRELOAD for a server.
Threads: none.
"""
import contextlib
import dataclasses
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import tap  # noqa: E402
from seep_test import LONG, PRELOAD, SEEP, RegionTest, clean_environment, wait_until  # noqa: E402

BARE, SAMPLED, EXACT = "without seep", "sampled", "exact"
SAMPLE_BYTES = {SAMPLED: 512 << 10, EXACT: 1}
MARK = "SEEP_SOFTWARE_TEST"
LIMIT_SECONDS = 3000 if LONG else 600
IS_ROOT = os.getuid() == 0
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def installed(*programs):
    """Skips a test for want of one of its programs or files, looked for where Debian puts them."""
    missing = [program for program in programs
               if not os.path.exists(program) and shutil.which(program, path=SYSTEM_PATH) is None]
    return unittest.skipIf(missing, f"not run: {', '.join(missing)} not installed")


def marked_processes(mark):
    """{pid: command line} of the living processes with a word in the environment that they were started with."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
    return found


def regions_of(directory):
    """The regions whose recordings lie in a directory."""
    found = []
    for region in pathlib.Path("/dev/shm").glob("seep.*.region"):
        with contextlib.suppress(OSError), open(region, "rb") as file:
            if os.fsencode(directory) in file.read(1 << 16):
                found.append(region.name)
    return found


@dataclasses.dataclass
class Run:
    """One way of running something: where, with which environment, and behind which prefix of the command."""
    way: str
    directory: pathlib.Path
    environment: dict
    prefix: list = dataclasses.field(default_factory=list)
    recording: pathlib.Path = None
    user: str = None

    def __str__(self):
        return self.way

    def popen(self, command, **how):
        """Starts a command in this way, as the user of the run."""
        if self.user:
            how = dict(how, user=self.user, group=pwd.getpwnam(self.user).pw_gid, extra_groups=[])
        return subprocess.Popen([*map(str, self.prefix), *map(str, command)], cwd=self.directory, env=self.environment,
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                   **how})

    def command(self, command, stdin=b"", **how):
        """Runs a command to its end: (status, stdout, stderr), of seep's report nothing."""
        process = self.popen(command, stdin=subprocess.PIPE, **how)
        try:
            stdout, stderr = process.communicate(stdin, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise AssertionError(f"hangs {self}: {command}") from error
        return process.returncode, stdout, stderr

    def unobserved(self):
        """The same surroundings for what is not to be recorded: clients, load generators."""
        environment = {name: value for name, value in self.environment.items()
                       if name not in ("LD_PRELOAD", "SEEP_OPTIONS")}
        return dataclasses.replace(self, environment=environment, prefix=[])


class SoftwareTest(RegionTest):
    """A test of software that is run in each way."""

    def setUp(self):
        super().setUp()
        self.directory.chmod(0o711)  # Servers with a user of their own pass through it.
        self.preload = self.directory / "libseep.so"  # Wherever the build lies, everybody can read this one.
        shutil.copy(PRELOAD, self.preload)
        self.preload.chmod(0o755)
        self.runs = 0

    def begin(self, way, bare_preload=None, user=None, options="", **environment):
        """A run in a new directory. `bare_preload`: with LD_PRELOAD and SEEP_OPTIONS alone, not under `seep run`; where
        nothing is said, sampled ones, as in production."""
        self.runs += 1
        directory = self.directory / f"run.{self.runs}"
        directory.mkdir()
        run = Run(way, directory, clean_environment(PATH=SYSTEM_PATH, **environment), user=user)
        run.environment[MARK] = f"{self.directory.name}.{self.runs}."
        if user:
            shutil.chown(directory, user)
        if way == BARE:
            return run
        run.recording = directory / "recording"
        if way == SAMPLED if bare_preload is None else bare_preload:
            run.recording.mkdir()  # Where the first that records may not be allowed to, later.
            if user:
                shutil.chown(run.recording, user)
            run.environment["LD_PRELOAD"] = str(self.preload)
            run.environment["SEEP_OPTIONS"] = f"sample={SAMPLE_BYTES[way]}:out={run.recording}/%e.%p.seep" + options
        else:
            run.prefix = [SEEP, "run", "--sample", SAMPLE_BYTES[way], "-o", run.recording, "--"]
        return run

    def each_way(self, action, same=True, ways=(SAMPLED, EXACT), regions="none", cut=False, **how):
        """Calls action(run) without seep and in each way; what it returns must be equal. Returns {way: report}.
        `regions`: "none" are left; "until the report", where processes are killed; "may stay", where they gave up the right
        to write, and the report only reads. `cut`: stacks may be, where code is made at run time."""
        reports = {}
        expected = self.finish(self.begin(BARE, **how), action)
        for way in ways:
            with self.subTest(way=way):
                run = self.begin(way, **how)
                found = self.finish(run, action)
                if same:
                    self.assertEqual(found, expected)
                if regions == "none":
                    self.assertEqual(regions_of(run.directory), [], f"regions are left {run}")
                reports[way] = self.whole_report(run, not_counted=("failed_writes",) if regions == "may stay" else ())
                if not cut and reports[way]:
                    self.assertEqual(reports[way]["coverage"]["cut_traces"], 0, way)
                if regions == "until the report":
                    self.assertEqual(regions_of(run.directory), [], f"regions are left {run} by the report")
        return reports

    def finish(self, run, action):
        """What the action returns; afterwards nothing may run of what it started."""
        mark = f"{MARK}={run.environment[MARK]}".encode()
        try:
            result = action(run)
            wait_until(lambda: not marked_processes(mark), f"end of what was started {run}: {marked_processes(mark)}")
        finally:
            for pid in marked_processes(mark):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        return result

    def whole_report(self, run, not_counted=()):
        """The report of a run: readable without a complaint, nothing lost. None where a sampled one left nothing."""
        paths = sorted({stream.parent for stream in run.recording.rglob("*.seep")})
        if run.way == SAMPLED and not paths and not regions_of(run.directory):
            return None
        report = self.report(*(paths or [run.recording]))
        self.assert_whole(report, exact=run.way == EXACT)
        for counter in {"missed_frees", "unreadable_streams", "failed_writes", "lost_tails"} - set(not_counted):
            self.assertEqual(report["coverage"][counter], 0, (str(run), report["coverage"]))
        text = self.seep("report", *(paths or [run.recording]))
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        return report

    def ends(self, report):
        """The ways in which the processes of a report ended, each once; those of a signal with its number."""
        return {process["ended"] + (f" {process['signal']}" if process["signal"] else "")
                for process in report["processes"]} if report else set()

    def executables(self, report):
        return {pathlib.Path(process["executable"]).name for process in report["processes"]}

    def check_commands(self, commands, files=(), prepare=None, ends=("exit", "exec"), **how):
        """Runs commands one after the other in each way: their statuses, outputs and result files must be the same,
        and they succeed. `prepare(run)` comes first, unobserved. Returns {way: report}."""
        def action(run):
            if prepare:
                prepare(run.unobserved())
            results = []
            for number, command in enumerate(commands):
                results.append(self.output_of(run, command, number))
                self.assertEqual(results[-1][0], 0, f"{run}: {command}: {results[-1]}")
            return results, {name: (run.directory / name).read_bytes() for name in files}

        reports = self.each_way(action, **how)
        for way, report in reports.items():
            self.assertLessEqual(self.ends(report), set(ends), way)
        return reports

    def output_of(self, run, command, number):
        """What a command says itself: under `seep run` its messages end where the report begins, which is not compared."""
        if not run.prefix:
            return run.command(command)
        prefix = [*run.prefix]
        prefix[prefix.index("-o") + 1] = run.recording / f"command.{number}"
        run.recording.mkdir(exist_ok=True)
        messages = run.directory / f"messages.{number}"
        status, stdout, _ = dataclasses.replace(run, prefix=prefix).command(
            ["/bin/sh", "-c", f'exec "$@" 2>{messages}', "sh", *command])
        return status, stdout, messages.read_bytes()


def main():
    """To be called at the end of a test file."""
    tap.main()
