# SPDX-License-Identifier: Apache-2.0
"""The program cases/told_events.cpp: starting it, and what its reports must say after the events that it told of.

Truth comes from the pipe alone: a record is written before its event and says that the thread's earlier ones are done.
"""
import collections
import fcntl
import itertools
import os
import re
import select
import struct
import time

from seep_test import CASES, own_frame

PROGRAM = CASES / "told_events"
THREADS = 4
RECORD = struct.Struct("=4BI2BHII")  # thread, kind, site, -, bytes, old thread, old site, -, old bytes, pid
ALLOCATE, REALLOCATE, FREE, DONE = range(4)
PIPE_BYTES = 1 << 20
METRICS = ("live_blocks", "live_bytes", "alloc_blocks", "alloc_bytes")
SITE_NAME = re.compile(r"allocate<(\d+)u?, (\d+)u?>")


class ToldPipe:
    """Our end of the pipe that the program writes to. Nothing is ever lost: who cannot write waits for us to read."""

    def __init__(self):
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
        """Waits for the first record: the pid that it names."""
        end = time.monotonic() + timeout_s
        while len(self.data) < RECORD.size:
            if not self.read_some(0.5) or time.monotonic() > end:
                raise AssertionError("the program did not begin")
        return RECORD.unpack_from(self.data)[-1]

    def read_rest(self):
        """What is left when nobody writes any more."""
        while select.select([self.reader], [], [], 60)[0]:
            if not self.read_some():
                return
        raise AssertionError("somebody still has the program's pipe open")

    def records(self):
        if len(self.data) % RECORD.size:
            raise AssertionError("a record was cut: a pipe does not do that")
        return list(RECORD.iter_unpack(bytes(self.data)))


def changes_of(record):
    """What an event adds to sites, in parts of which each may be counted or not: [(site, metric, by)]."""
    thread, kind, site, _, size, old_thread, old_site, _, old_size, _ = record
    changes = []
    if kind in (ALLOCATE, REALLOCATE):
        changes += [((thread, site), metric, by) for metric, by in zip(METRICS, (1, size, 1, size))]
    if kind in (REALLOCATE, FREE):
        changes += [((old_thread, old_site), metric, by) for metric, by in zip(METRICS, (-1, -old_size))]
    return changes


class Truth:
    """The sums of the events that are done, and the at most one a thread that is under way."""

    def __init__(self, records):
        self.sites = collections.defaultdict(lambda: dict.fromkeys(METRICS, 0))
        self.events = len(records)
        last = {}
        for record in records:
            self.finish(last.get(record[0]))
            last[record[0]] = record
        self.under_way = list(last.values())

    def finish(self, record):
        for site, metric, by in changes_of(record) if record else ():
            self.sites[site][metric] += by

    def is_at_rest(self):
        return len(self.under_way) == THREADS and all(record[1] == DONE for record in self.under_way)

    def possible(self, site, metric):
        """The values that a report may show."""
        parts = [by for record in self.under_way for where, which, by in changes_of(record)
                 if (where, which) == (site, metric)]
        sums = {sum(chosen) for count in range(len(parts) + 1) for chosen in itertools.combinations(parts, count)}
        return {self.sites[site][metric] + by for by in sums}

    def complaints(self, report):
        """What of a JSON report cannot be; and how many numbers showed part of an event under way."""
        reported = told_sites(report)
        wrong, partly = [], 0
        sites = {*self.sites, *reported, *(site for record in self.under_way for site, _, _ in changes_of(record))}
        for site, metric in itertools.product(sorted(sites), METRICS):
            value, possible = reported[site][metric], self.possible(site, metric)
            partly += value != self.sites[site][metric]
            if value not in possible:
                wrong.append(f"allocate<{site[0]}, {site[1]}>: {metric} {value}, not of {sorted(possible)}")
        return wrong, partly


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
