# SPDX-License-Identifier: Apache-2.0
"""Programs that tell through a pipe what they do, above all cases/told_events.cpp: starting them, and what their reports
must say after the events that they told of.

Truth comes from the pipe alone: a record is written before its event and says that the thread's earlier ones are done.
"""
import collections
import fcntl
import itertools
import os
import pathlib
import re
import select
import struct
import subprocess
import time

from seep_test import CASES, PRELOAD, SEEP, RegionTest, clean_environment, own_frame

PROGRAM = CASES / "told_events"
THREADS = 4
RECORD = struct.Struct("=4BI2BHII")  # thread, kind, site, image, bytes, old thread, old site, -, old bytes, pid
ALLOCATE, REALLOCATE, FREE, DONE = range(4)
PIPE_BYTES = 1 << 20
METRICS = ("live_blocks", "live_bytes", "alloc_blocks", "alloc_bytes")
SITE_NAME = re.compile(r"allocate<(\d+)u?, (\d+)u?>")


def left_regions(pid):
    return list(pathlib.Path("/dev/shm").glob(f"seep.{pid}.*"))


def preloaded(out, command, **options):
    """A command that is recorded without `seep run`: exact, unless the options say otherwise."""
    words = ":".join(f"{key}={value}" for key, value in {"sample": 1, **options, "out": out}.items() if value)
    return ["env", f"LD_PRELOAD={PRELOAD}", f"SEEP_OPTIONS={words}", *command]


class ToldPipe:
    """Our end of the pipe that the program writes to. Nothing is ever lost: who cannot write waits for us to read."""

    def __init__(self, record):
        self.record = record
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.reader, False)
        self.data = bytearray()

    def close(self):
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)
        self.reader = self.writer = -1

    def close_writer(self):
        os.close(self.writer)
        self.writer = -1

    def read_some(self, timeout_s=0.0):
        """Reads what is there, waiting for it so long at the most; False at the end of the pipe."""
        if timeout_s and not select.select([self.reader], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self.reader, PIPE_BYTES)
        except BlockingIOError:
            return True
        self.data += data
        return bool(data)

    def read_until(self, moment_s):
        """Reads on until time.monotonic() is there."""
        while (rest := moment_s - time.monotonic()) > 0:
            if not self.read_some(min(rest, 0.001)):
                return

    def read_first(self, timeout_s=60):
        """Waits for the first record, and returns it."""
        end = time.monotonic() + timeout_s
        while len(self.data) < self.record.size:
            if not self.read_some(0.5) or time.monotonic() > end:
                raise AssertionError("the program did not begin")
        return self.record.unpack_from(self.data)

    def read_rest(self):
        """What is left when nobody writes any more."""
        while select.select([self.reader], [], [], 60)[0]:
            if not self.read_some():
                return
        raise AssertionError("somebody still has the program's pipe open")

    def records(self, since=0):
        """All that was told, or what was told after so many."""
        if len(self.data) % self.record.size:
            raise AssertionError("a record was cut: a pipe does not do that")
        return list(self.record.iter_unpack(bytes(self.data[since * self.record.size:])))


def changes_of(record):
    """What an event adds to sites, in parts of which each may be counted or not: [(site, name, by)]."""
    thread, kind, site, _, size, old_thread, old_site, _, old_size, _ = record
    changes = []
    if kind in (ALLOCATE, REALLOCATE):
        changes += [((thread, site), "alloc_blocks", 1), ((thread, site), "alloc_bytes", size)]
    if kind in (REALLOCATE, FREE):
        changes += [((old_thread, old_site), "free_blocks", 1), ((old_thread, old_site), "free_bytes", old_size)]
    return changes


def parts_of(metric):
    """The sums that a metric of the report is made of: [(name, sign)]."""
    if metric.startswith("alloc_"):
        return [(metric, 1)]
    return [(metric.replace("live_", "alloc_"), 1), (metric.replace("live_", "free_"), -1)]


class Truth:
    """The sums of the events that are done, and the at most one a thread that is under way."""

    def __init__(self, records=()):
        self.done = collections.Counter()
        self.events = 0
        self.last = {}
        self.add(records)

    def add(self, records):
        """Goes on with what was told later."""
        for record in records:
            for site, name, by in changes_of(self.last[record[0]]) if record[0] in self.last else ():
                self.done[site, name] += by
            self.last[record[0]] = record
        self.events += len(records)
        self.parts = [change for record in self.last.values() for change in changes_of(record)]
        self.sites = {site for site, _ in self.done} | {site for site, _, _ in self.parts}

    def is_at_rest(self):
        return len(self.last) == THREADS and all(record[1] == DONE for record in self.last.values())

    def value(self, site, metric):
        return sum(sign * self.done[site, name] for name, sign in parts_of(metric))

    def possible(self, site, metric):
        """The values that a report may show."""
        parts = [sign * by for name, sign in parts_of(metric) for where, which, by in self.parts
                 if (where, which) == (site, name)]
        sums = {sum(chosen) for count in range(len(parts) + 1) for chosen in itertools.combinations(parts, count)}
        return {self.value(site, metric) + by for by in sums}

    def complaints(self, report):
        """What of a JSON report cannot be; and how many numbers showed part of an event under way."""
        reported = told_sites(report)
        wrong, partly = [], 0
        for site, metric in itertools.product(sorted({*self.sites, *reported}), METRICS):
            value, possible = reported[site][metric], self.possible(site, metric)
            partly += value != self.value(site, metric)
            if value not in possible:
                wrong.append(f"allocate<{site[0]}, {site[1]}>: {metric} {value}, not of {sorted(possible)}")
        return wrong, partly

    def most(self, site, name):
        """A sum with all that is under way."""
        return self.done[site, name] + sum(by for where, which, by in self.parts if (where, which) == (site, name))


class Between:
    """What a report of any moment between two truths may show: sums only grow, and live is their difference."""

    def __init__(self, before, after):
        self.before = before
        self.after = after

    def complaints(self, report):
        reported = told_sites(report)
        wrong = []
        for site, metric in itertools.product(sorted({*self.after.sites, *reported}), METRICS):
            low = high = 0
            for name, sign in parts_of(metric):
                ends = sorted((sign * self.before.done[site, name], sign * self.after.most(site, name)))
                low, high = low + ends[0], high + ends[1]
            if not low <= reported[site][metric] <= high:
                wrong.append(f"allocate<{site[0]}, {site[1]}>: {metric} {reported[site][metric]}, "
                             f"not from {low} to {high}")
        return wrong


def told_sites(report):
    """The program's sites in a JSON report: {(thread, site): {metric: sum}}."""
    sites = collections.defaultdict(lambda: dict.fromkeys(METRICS, 0))
    for site in report["sites"]:
        frame = own_frame(site)
        name = SITE_NAME.search(frame["function"] or "") if frame else None
        if name is None:
            continue
        for metric in METRICS:
            sites[int(name[1]), int(name[2])][metric] += site[metric]
    return sites


class ToldTest(RegionTest):
    """A test of one such program at a time: its life, up to its end."""

    def setUp(self):
        super().setUp()
        self.pipe = None
        self.process = None
        self.pid = 0
        self.addCleanup(self.end_program)

    def end_program(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.communicate()
            self.process = None
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def start(self, command_for, record=RECORD, **how):
        """Starts the command that `command_for` makes of the pipe's number, and waits for its first record."""
        self.end_program()
        self.pipe = ToldPipe(record)
        command = [str(word) for word in command_for(self.pipe.writer)]
        self.process = subprocess.Popen(command, env=clean_environment(), cwd=self.directory, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[self.pipe.writer],
                                        **how)
        self.pipe.close_writer()
        try:
            return self.pipe.read_first()
        except AssertionError as error:
            self.process.kill()
            raise AssertionError(f"{error}: {self.process.communicate()[1].decode()}") from None

    def start_under_run(self, recording, interval, *arguments):
        options = ["--interval", interval] if interval else []
        self.pid = self.start(lambda fd: [SEEP, "run", "--exact", *options, "-o", recording, "--",
                                          PROGRAM, fd, *arguments])[-1]

    def start_alone(self, recording, interval, *arguments):
        recording.mkdir()  # Who is killed before his first snapshot has made none, and is found by the name of it.
        out = f"{recording}/%e.%p.seep"
        self.pid = self.start(lambda fd: preloaded(out, [PROGRAM, fd, *arguments], interval=interval))[-1]

    def read_until_rest(self):
        """Waits until all threads have done their events; at rest none is under way."""
        end = time.monotonic() + 60
        while not Truth(self.pipe.records()).is_at_rest():
            self.assertLess(time.monotonic(), end, "the program does not come to rest")
            self.pipe.read_some(0.05)

    def wait_for_end(self, stdin=b""):
        """The exit status and standard error of what was started; then the pipe is empty and closed."""
        _, stderr = self.process.communicate(stdin, timeout=120)
        self.pipe.read_rest()
        return self.process.returncode, stderr.decode()

    def check(self, recording, ended, where):
        """The recording of one process has the numbers of all that was told."""
        report = self.report(recording)
        self.assertEqual([process["ended"] for process in report["processes"]], [ended], where)
        self.assert_whole(report)
        truth = Truth(self.pipe.records())
        wrong, partly = truth.complaints(report)
        self.assertEqual(wrong, [], f"{where}, after {truth.events} events")
        return truth, partly
