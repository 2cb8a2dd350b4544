# SPDX-License-Identifier: Apache-2.0
"""Deaths of every other kind than a plain kill: the recording is complete, or says what is missing, and never mixed."""
import collections
import copy
import json
import os
import pathlib
import random
import signal
import struct
import time

import tap
from plain_protobuf import messages
from seep_test import CASES, LONG, SEEP, RegionTest, only_stream, own_frame
from surroundings import MIB, MemoryCgroup, in_mount_namespace, need, unshare, why_no_unshare
from told_events import DONE, PROGRAM, Between, ToldTest, Truth, left_regions, preloaded

ROUND = struct.Struct("=QQ")
STEP_BYTES = 128 << 10
PAUSE_US = 500
ROUNDS = 20 if LONG else 3


def sites_in(report, function):
    """The sites whose own frame is `function`, whatever its arguments."""
    return [site for site in report["sites"]
            if own_frame(site) and (own_frame(site)["function"] or "").partition("(")[0] == function]


def live_in(report, function):
    """(blocks, bytes) live in all sites whose own frame is `function`."""
    sites = sites_in(report, function)
    return sum(site["live_blocks"] for site in sites), sum(site["live_bytes"] for site in sites)


class LeaksUntilKilled(ToldTest):
    """cases/leaking_server, until the kernel or its allocator ends it."""

    def start_server(self, wrap):
        """Starts the server within a command that `wrap` makes, and waits for its end: the exit status."""
        self.start(lambda fd: wrap([CASES / "leaking_server", fd, STEP_BYTES, PAUSE_US]), ROUND)
        return self.wait_for_end()

    def only_process(self, report):
        found = [process for process in report["processes"] if process["executable"].endswith("/leaking_server")]
        self.assertEqual(len(found), 1, report["processes"])
        return found[0]

    def check_leak(self, report, least_rounds):
        """The leak is named first, and with so many of the rounds that were told."""
        rounds = len(self.pipe.records())
        self.assertGreater(rounds, 100, "the server hardly ran")
        first = report["sites"][0]
        self.assertEqual(own_frame(first)["function"], "keep_session")
        self.assertIn(first["live_blocks"], range(least_rounds, rounds + 1))
        self.assertEqual(first["live_bytes"], first["live_blocks"] * STEP_BYTES)

    def check_named_first(self, recording):
        text = self.seep("report", "--top", 1, recording).stdout
        self.assertIn("keep_session", text)
        self.assertNotIn("name_session", text)

    def rounds_before(self, span_s):
        """So many rounds had been told of that long before the last one."""
        records = self.pipe.records()
        return sum(time_ns < records[-1][1] - span_s * 1e9 for _, time_ns in records)


class OutOfMemory(LeaksUntilKilled):
    LIMIT_BYTES = 96 * MIB
    INTERVAL_S, SLACK_S = 0.2, 0.1

    def test_under_seep_run(self):
        recording = self.new_recording_path()
        cgroup = MemoryCgroup(self, self.LIMIT_BYTES)
        status, stderr = self.start_server(
            lambda server: cgroup.running(SEEP, "run", "--exact", "-o", recording, "--", *server))
        self.assertEqual(status, 128 + signal.SIGKILL, stderr)
        report = self.report(recording)
        self.assert_whole(report)
        self.check_leak(report, len(self.pipe.records()) - 1)
        self.check_named_first(recording)
        process = self.only_process(report)
        self.assertEqual((process["ended"], process["signal"]), ("signal", signal.SIGKILL))
        self.assertTrue(process.get("oom_killed"), "the report does not say that it was for want of memory")
        self.assertEqual(left_regions(process["pid"]), [])

    def test_alone(self):
        recording = self.new_recording_path()
        recording.mkdir()
        cgroup = MemoryCgroup(self, self.LIMIT_BYTES)
        status, stderr = self.start_server(
            lambda server: cgroup.running(*preloaded(f"{recording}/%e.%p.seep", server)))
        self.assertEqual(status, -signal.SIGKILL, stderr)
        report = self.report(recording)
        self.assert_whole(report)
        self.check_leak(report, len(self.pipe.records()) - 1)
        self.check_named_first(recording)
        process = self.only_process(report)
        self.assertEqual(process["ended"], "unknown")
        self.assertEqual(left_regions(process["pid"]), [], "what is folded is removed")

    def container(self, command):
        """The command in a memory cgroup and a mount namespace whose /dev/shm has 1 MiB."""
        cgroup = MemoryCgroup(self, self.LIMIT_BYTES)
        return in_mount_namespace("mount -t tmpfs -o size=1m,mode=1777 seep-test /dev/shm", *cgroup.running(*command))

    def check_lost_tail(self, recording, intervals):
        report = self.report(recording)
        self.check_leak(report, self.rounds_before(intervals * self.INTERVAL_S + self.SLACK_S))
        self.check_named_first(recording)
        process = self.only_process(report)
        self.assertTrue(process["tail_lost"], process)
        self.assertEqual(report["coverage"]["lost_tails"], 1)
        text = self.seep("report", recording).stdout
        self.assertRegex(text, r"lost", "the text does not say that the end is missing")
        return process

    def test_in_a_container_that_is_gone(self):
        """Its region went with its /dev/shm: what it did after its last snapshot is missing, and said to be."""
        need(self, why_no_unshare("--mount"))
        recording = self.new_recording_path()
        status, stderr = self.start_server(lambda server: self.container(
            preloaded(f"{recording}/%e.%p.seep", server, interval=f"{self.INTERVAL_S * 1000:.0f}ms")))
        self.assertEqual(status, -signal.SIGKILL, stderr)
        self.assertEqual(self.check_lost_tail(recording, 1)["ended"], "unknown")

    def test_in_a_container_that_is_gone_under_seep_run_outside(self):
        """`seep run` reaches into the container for its snapshots; when that dies, so does what it would fold. On a busy
        machine `seep run` may be late: then the process takes a snapshot when one and a half intervals are over."""
        need(self, why_no_unshare("--mount"))
        recording = self.new_recording_path()
        status, stderr = self.start_server(lambda server: [
            SEEP, "run", "--exact", "--interval", f"{self.INTERVAL_S * 1000:.0f}ms", "-o", recording, "--",
            *self.container(server)])
        self.assertEqual(status, 128 + signal.SIGKILL, stderr)
        process = self.check_lost_tail(recording, 1.5)
        self.assertEqual((process["ended"], process["signal"]), ("signal", signal.SIGKILL))


class OutOfAddressSpace(LeaksUntilKilled):
    """The same where there are no cgroups: a limit of address space, at which the server aborts."""

    LIMIT_BYTES = 256 * MIB

    def check_aborted(self, recording, process_end):
        report = self.report(recording)
        self.assert_whole(report)
        self.check_leak(report, len(self.pipe.records()) - 1)
        process = self.only_process(report)
        self.assertEqual((process["ended"], process.get("signal")), process_end)

    def test_under_seep_run(self):
        recording = self.new_recording_path()
        status, stderr = self.start_server(lambda server: [
            SEEP, "run", "--exact", "-o", recording, "--", "prlimit", f"--as={self.LIMIT_BYTES}", *server])
        self.assertEqual(status, 128 + signal.SIGABRT, stderr)
        self.check_aborted(recording, ("signal", signal.SIGABRT))

    def test_alone(self):
        recording = self.new_recording_path()
        recording.mkdir()
        status, stderr = self.start_server(lambda server: [
            "prlimit", f"--as={self.LIMIT_BYTES}", *preloaded(f"{recording}/%e.%p.seep", server)])
        self.assertEqual(status, -signal.SIGABRT, stderr)
        self.check_aborted(recording, ("unknown", None))


class InALibrary(RegionTest):
    COMMAND = [CASES / "ends_in_library", CASES / "crashing_plugin.so"]

    def check(self, recording, process_end):
        report = self.report(recording)
        self.assertEqual((live_in(report, "hold"), live_in(report, "hold_in_plugin")), ((7, 7000), (5, 3500)))
        modules = {own_frame(site)["module"] for site in sites_in(report, "hold_in_plugin")}
        self.assertEqual([module.rsplit("/", 1)[-1] for module in modules], ["crashing_plugin.so"])
        process = report["processes"][0]
        self.assertEqual((process["ended"], process.get("signal")), process_end)
        self.assertEqual(left_regions(process["pid"]), [])
        self.assert_whole(report)

    def test_under_seep_run(self):
        path, result = self.record(self.COMMAND)
        self.assertEqual(result.returncode, 128 + signal.SIGSEGV, result.stderr)
        self.check(path, ("signal", signal.SIGSEGV))

    def test_alone(self):
        path = self.new_recording_path()
        path.mkdir()
        result = self.run_command(preloaded(f"{path}/%p.seep", self.COMMAND))
        self.assertEqual(result.returncode, -signal.SIGSEGV, result.stderr)
        self.check(path, ("unknown", None))


class WhileOthersAllocate(ToldTest):
    """One thread ends the process, or its image; three are in the middle of something."""

    EVENTS = 500

    def lives(self, how):
        """Lives and ends of the program, in each way of recording: yields (recording, exit status, under seep run)."""
        for number in range(ROUNDS):
            for interval in (None, "1ms"):
                for start in (self.start_under_run, self.start_alone):
                    recording = self.new_recording_path()
                    start(recording, interval, number, self.EVENTS, how)
                    status, self.stderr = self.wait_for_end(b"x")
                    yield recording, status, start == self.start_under_run

    def between(self, records):
        """What may be reported by a snapshot that the first thread took when it had done its events."""
        last = next(i for i, record in enumerate(records) if record[:2] == (0, DONE))
        return Between(Truth(records[:last + 1]), Truth(records))

    def test_abort_in_a_thread(self):
        for recording, status, under_run in self.lives("abort"):
            self.assertEqual(status, 128 + signal.SIGABRT if under_run else -signal.SIGABRT)
            self.check(recording, "signal" if under_run else "unknown", f"under seep run: {under_run}")
            self.assertEqual(left_regions(self.pid), [])

    def test_an_end_that_no_hook_sees(self):
        for recording, status, under_run in self.lives("exit_group"):
            self.assertEqual(status, 9)
            self.check(recording, "exit" if under_run else "unknown", f"under seep run: {under_run}")
            self.assertEqual(left_regions(self.pid), [])

    def test_underscore_exit(self):
        for recording, status, under_run in self.lives("_exit"):
            self.assertEqual(status, 9)
            report = self.report(recording)
            process = report["processes"][0]
            self.assertEqual((process["ended"], process["exit_status"]), ("exit", 9))
            self.assertEqual(self.between(self.pipe.records()).complaints(report), [], f"under seep run: {under_run}")
            self.assertEqual(left_regions(self.pid), [])

    def test_exec(self):
        for recording, status, under_run in self.lives("exec"):
            self.assertEqual(status, 0, self.stderr)
            records = self.pipe.records()
            reports = {}
            for stream in recording.glob("*.seep"):
                report = self.report(stream)
                reports[report["processes"][0]["ended"]] = report
            self.assertEqual(sorted(reports), ["exec", "exit"], f"under seep run: {under_run}")
            old = [record for record in records if record[3] == 0]
            new = [record for record in records if record[3] == 1]
            self.assertEqual(self.between(old).complaints(reports["exec"]), [])
            self.assertTrue(Truth(new).is_at_rest())
            self.assertEqual(Truth(new).complaints(reports["exit"]), ([], 0))
            self.assertEqual(left_regions(self.pid), [])


class Images(RegionTest):
    """Process images that look alike from outside are never mixed."""

    def check_chain(self, recording, images):
        whole = self.report(recording)  # Folds what the raw calls have left; and only together they show an exec.
        self.assertEqual(sorted(process["ended"] for process in whole["processes"]), ["exec"] * (images - 1) + ["exit"])
        self.assertEqual(len({process["pid"] for process in whole["processes"]}), 1)
        self.assertEqual(left_regions(whole["processes"][0]["pid"]), [])
        live = sorted(live_in(self.report(stream), "leak") for stream in recording.glob("*.seep"))
        self.assertEqual(live, [(1, 1000 + i) for i in range(images)])

    def test_a_program_that_executes_itself(self):
        """Five images of one process and one executable; by the raw system call, too, which leaves regions behind."""
        for how in ("hooked", "raw"):
            for interval in ("10s", "1ms"):
                with self.subTest(how=how, interval=interval, seep_run=True):
                    path, result = self.record([CASES / "exec_images", 4, how], ["--exact", "--interval", interval])
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.check_chain(path, 5)
                with self.subTest(how=how, interval=interval, seep_run=False):
                    path = self.new_recording_path()
                    path.mkdir()
                    result = self.run_command(
                        preloaded(f"{path}/same.seep", [CASES / "exec_images", 4, how], interval=interval))
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.check_chain(path, 5)
                    self.assertEqual(sorted(stream.name for stream in path.iterdir()),
                                     ["same.2.seep", "same.3.seep", "same.4.seep", "same.5.seep", "same.seep"])


class FailedExec(RegionTest):
    """An exec that fails ends nothing: what comes after it is recorded as what came before, whatever the end."""

    def check(self, recording, ended):
        report = self.report(recording)
        self.assertEqual((live_in(report, "hold"), live_in(report, "leak_after_exec")), ((7, 7000), (3, 900)))
        self.assertEqual([process["ended"] for process in report["processes"]], [ended])
        self.assert_whole(report)

    def setUp(self):
        super().setUp()
        empty = self.directory / "empty"
        empty.touch(0o755)
        self.command = [CASES / "failed_exec", empty]

    def test_under_seep_run(self):
        path, result = self.record(self.command)
        self.assertEqual(result.returncode, 128 + signal.SIGKILL, result.stderr)
        self.check(path, "signal")

    def test_alone(self):
        path = self.new_recording_path()
        path.mkdir()
        result = self.run_command(preloaded(f"{path}/%p.seep", self.command))
        self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
        self.check(path, "unknown")


class ReusedPid(ToldTest):
    """Pid 1 of two pid namespaces, one after the other, with one name for both streams."""

    def start_first_process(self, recording, seed, mount_proc):
        options = ["--mount-proc"] if mount_proc else []
        out = f"{recording}/%e.%p.seep"
        self.start(lambda fd: [*unshare("--pid", "--fork"), "--kill-child=SIGKILL", *options,
                               *preloaded(out, [PROGRAM, fd, seed, 500])])
        self.read_until_rest()

    def live_twice(self, recording, mount_proc, killed):
        """Two lives: the truth of each."""
        truths = []
        for seed in (1, 2):
            self.start_first_process(recording, seed, mount_proc)
            if killed:
                self.process.kill()  # And with it, by --kill-child, the program.
                self.pipe.read_rest()
            self.wait_for_end(b"" if killed else b"x")
            truths.append(Truth(self.pipe.records()))
        return truths

    def check_both(self, recording, truths, ended):
        report = self.report(recording)
        self.assertEqual([(process["pid"], process["ended"]) for process in report["processes"]], [(1, ended)] * 2)
        self.assert_whole(report)
        streams = sorted(recording.glob("*.seep"))
        self.assertEqual([stream.name for stream in streams], ["told_events.1.2.seep", "told_events.1.seep"])
        reports = [self.report(stream) for stream in reversed(streams)]
        reports.sort(key=lambda report: truths[0].complaints(report) != ([], 0))
        for truth, report in zip(truths, reports):
            self.assertEqual(truth.complaints(report), ([], 0))

    def test_two_streams(self):
        need(self, why_no_unshare("--pid", "--fork"))
        for mount_proc in (False, True):
            for killed in (False, True):
                with self.subTest(mount_proc=mount_proc, killed=killed):
                    recording = self.new_recording_path()
                    recording.mkdir()
                    truths = self.live_twice(recording, mount_proc, killed)
                    self.check_both(recording, truths, "unknown" if killed else "exit")


class Vfork(RegionTest):
    def test_children_in_their_parents_memory(self):
        """What they allocate is the parent's, and their end is not."""
        path, result = self.record([CASES / "vfork_children", CASES / "no_leak"])
        self.assertEqual(result.returncode, 0, result.stderr)
        streams = list(path.glob("vfork_children.*"))
        self.assertEqual(len(streams), 1, streams)
        report = self.report(streams[0])
        self.assert_whole(report)
        self.assertEqual(live_in(report, "leak_in_vfork_child"), (20, 20 * 77))
        self.assertEqual(live_in(report, "allocate_in_parent"), (10, 10 * 64))
        self.assertEqual(live_in(report, "leak_in_parent"), (2, 1000))
        self.assertEqual((report["processes"][0]["ended"], report["processes"][0]["exit_status"]), ("exit", 0))
        whole = self.report(path)
        executables = collections.Counter(process["executable"].rsplit("/", 1)[-1] for process in whole["processes"])
        self.assertEqual(executables, {"vfork_children": 1, "no_leak": 50})
        self.assertEqual({process["ended"] for process in whole["processes"]}, {"exit"})


class ForkInAHandler(RegionTest):
    """A handler that forks in the middle of a hook: no child writes where its parent does."""

    CHILDREN = 1000 if LONG else 60

    def last_live(self, stream):
        """What is live at the end of a stream, as a stranger reads it: {bytes: blocks} of each trace that has any."""
        counters, blocks = {}, {}
        for _, message in messages(stream.read_bytes()):
            for counter in message.counters.counters:
                counters[counter.trace_id] = counter
        for counter in counters.values():
            live = counter.alloc_blocks - counter.free_blocks
            if live or counter.alloc_bytes != counter.free_bytes:
                blocks[counter.alloc_bytes - counter.free_bytes] = live
        return blocks

    def check(self, *more):
        path, result = self.record([CASES / "forks_in_handler", self.CHILDREN, *more], timeout=600)
        self.assertEqual(result.returncode, 0, result.stderr)
        words = result.stdout.split()
        rounds = int(words[1])
        self.assertEqual(words[2:], ["children", str(self.CHILDREN), "failed", "0"])
        self.assertGreater(rounds, self.CHILDREN, "the parent hardly ran")
        whole = self.report(path)
        self.assertEqual(len(whole["processes"]), self.CHILDREN + 1)
        sizes = [100_000 + number for number in range(self.CHILDREN)]
        self.assertEqual(live_in(whole, "leak_in_child"), (self.CHILDREN, sum(sizes)))
        parent = collections.Counter(process["ppid"] for process in whole["processes"]).most_common(1)[0][0]
        parents_stream = path / f"forks_in_handler.{parent}.seep"
        self.check_parent(self.report(parents_stream), rounds)
        children = [self.last_live(stream) for stream in path.glob("*.seep") if stream != parents_stream]
        self.assertEqual(sorted(children, key=str), sorted(({size: 1} for size in sizes), key=str))

    def check_parent(self, report, rounds):
        self.assert_whole(report)
        self.assertEqual(live_in(report, "leak_in_child"), (0, 0))
        self.assertEqual(live_in(report, "hold"), (50, 50_000))
        self.assertEqual([(site["alloc_blocks"], site["alloc_bytes"], site["live_blocks"], site["live_bytes"])
                          for site in sites_in(report, "work")], [(2 * rounds, 400 * rounds, 0, 0)])

    def test_by_fork(self):
        self.check()

    def test_by_the_bare_system_call(self):
        self.check("raw")


def extents(file):
    """What is in a sparse file: [(offset, bytes)]."""
    found, offset = [], 0
    with open(file, "rb", buffering=0) as source:
        while True:
            try:
                offset = os.lseek(source.fileno(), offset, os.SEEK_DATA)
            except OSError:  # Nothing but a hole from here on.
                return found
            end = os.lseek(source.fileno(), offset, os.SEEK_HOLE)
            found.append((offset, os.pread(source.fileno(), end - offset, offset)))
            offset = end


class TornCopy(ToldTest):
    """Stream and region, copied file by file while the program runs, and read elsewhere: plausible, or clearly torn."""

    COPIES = 200 if LONG else 16

    def copy(self, recording, region_first):
        """Copies what there is at this instant, one file after the other, into a directory of its own."""
        elsewhere = self.new_recording_path()
        elsewhere.mkdir()
        files = [*recording.glob("*.seep"), *left_regions(self.pid)]
        for file in sorted(files, key=lambda file: (file.suffix == ".region") != region_first):
            with open(elsewhere / file.name, "xb") as target:
                for offset, data in extents(file):
                    target.seek(offset)
                    target.write(data)
                target.truncate(max(target.tell(), file.stat().st_size if file.suffix == ".region" else 0))
        return elsewhere

    def check_copy(self, elsewhere, between, where):
        """True where the copy could be read whole."""
        result = self.seep("report", "--format", "json", elsewhere)
        self.assertIn(result.returncode, (0, 3), f"{where}: {result.stderr}")
        if result.returncode == 0:
            self.assertEqual(result.stderr, "", where)
            self.assertEqual(between.complaints(json.loads(result.stdout)), [], where)
            return True
        self.assert_one_line(result.stderr, str(elsewhere))
        return False

    def copies_while_running(self, recording, generator):
        """Copies at random instants: [(directory, what it may show)]."""
        copies, told = [], Truth()
        for number in range(self.COPIES):
            self.pipe.read_until(time.monotonic() + generator.random() * 0.01)
            told.add(self.pipe.records(told.events))
            before = copy.deepcopy(told)
            elsewhere = self.copy(recording, number % 2 == 0)
            self.pipe.read_some()
            told.add(self.pipe.records(told.events))
            copies.append((elsewhere, Between(before, copy.deepcopy(told))))
        return copies

    def stop(self):
        """Until each of its threads stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 30
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        while any((task / "stat").read_text().rpartition(")")[2].split()[0] != "T" for task in tasks.iterdir()):
            self.assertLess(time.monotonic(), deadline, "a thread does not stop")
            time.sleep(0.001)

    def contents(self, recording):
        return {file: extents(file) for file in [*recording.glob("*.seep"), *left_regions(self.pid)]}

    def check_copies(self, interval):
        generator = random.Random(7)
        recording = self.new_recording_path()
        self.start_alone(recording, interval, 11)
        copies = self.copies_while_running(recording, generator)
        self.stop()
        self.pipe.read_some()
        stopped = self.contents(recording)
        whole = [self.check_copy(elsewhere, between, f"{elsewhere}, while it runs") for elsewhere, between in copies]
        self.assertGreater(sum(whole), len(whole) // 2, "most copies should be good for something")
        self.assertEqual(self.contents(recording), stopped, "reading a copy changed the original")
        os.kill(self.pid, signal.SIGKILL)
        self.wait_for_end()
        final = Truth(self.pipe.records())  # What a copy lacks may be read on in the original's region.
        for elsewhere, between in copies:
            self.check_copy(elsewhere, Between(between.before, final), f"{elsewhere}, after it died")
        self.assertEqual(self.contents(recording), stopped, "reading a copy changed the original")
        self.check(recording, "unknown", "the original")

    def test_between_two_snapshots(self):
        self.check_copies(None)

    def test_in_the_middle_of_snapshots(self):
        self.check_copies("1ms")


class InsideAndOutside(ToldTest):
    """One encoder: what the process writes of itself and what others write of it say the same."""

    EVENTS = 3000

    def said(self, data):
        """Modules, traces and last counters of a stream, as bytes by their numbers; and its last sums."""
        modules, traces, counters, sums = {}, {}, {}, None
        for _, message in messages(data):
            for module in message.modules.modules:
                modules[module.id] = module.SerializeToString()
            outer = []
            for trace in message.traces.traces:
                shared = trace.shared_outer_frames
                frames = list(zip(trace.modules, trace.offsets)) + (outer[-shared:] if shared else [])
                outer = frames
                traces[trace.id] = (frames, trace.cut, trace.first_allocated_ns)
            for counter in message.counters.counters:
                counter.ClearField("verdicts")  # Only the end has a leak scan.
                counters[counter.trace_id] = counter.SerializeToString()
            if message.HasField("snapshot"):
                snapshot = message.snapshot
                snapshot.loss.ClearField("failed_writes")  # The first attempt found the stream gone.
                sums = (snapshot.traces, snapshot.alloc_blocks, snapshot.alloc_bytes, snapshot.free_blocks,
                        snapshot.free_bytes, snapshot.loss.SerializeToString(), snapshot.sample_bytes)
        return modules, traces, counters, sums

    def test_reports_of_the_running_and_of_the_ended(self):
        for start in (self.start_under_run, self.start_alone):
            recording = self.new_recording_path()
            start(recording, None, 21, self.EVENTS)
            self.read_until_rest()
            running = self.report(recording)
            self.assertEqual([process["ended"] for process in running["processes"]], ["running"])
            status, stderr = self.wait_for_end(b"x")
            self.assertEqual(status, 0, stderr)
            self.check(recording, "exit", start)
            ended = self.report(recording)
            # Growth is told before a death, verdicts by the leak scan at a good end.
            one_sided = ("growth_", "definite_", "indirect_", "possible_", "reachable_", "held_", "leaked_", "suppressed",
                         "verdict", "freed_by")
            for report in (running, ended):
                for numbers in (*report["sites"], report["totals"]):
                    for name in [name for name in numbers if name.startswith(one_sided)]:
                        numbers.pop(name)
                # Ranked by verdict, too, and of several lines the one that leaks most is shown.
                report["sites"].sort(key=lambda site: site["fingerprint"])
                for frame in (frame for site in report["sites"] for frame in site["frames"]):
                    frame.pop("line")
            self.assertEqual(running["sites"], ended["sites"])
            self.assertEqual(running["totals"], ended["totals"])

    def test_messages_of_a_snapshot_from_outside_and_of_the_last_one(self):
        """At rest `seep snapshot` writes all; removed, the stream is written again by the process, at its end."""
        recording = self.new_recording_path()
        self.start_alone(recording, None, 22, self.EVENTS)
        self.read_until_rest()
        result = self.seep("snapshot", self.pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        stream = only_stream(recording)
        outside = stream.read_bytes()
        stream.unlink()
        status, stderr = self.wait_for_end(b"x")
        self.assertEqual(status, 0, stderr)
        inside = only_stream(recording).read_bytes()
        self.assertGreater(len(inside), 1000)
        self.assertEqual(self.said(inside), self.said(outside))

    def test_snapshots_on_request_add_only_what_changed(self):
        recording = self.new_recording_path()
        self.start_alone(recording, None, 23, self.EVENTS)
        self.read_until_rest()
        sizes = []
        for _ in range(3):
            self.assertEqual(self.seep("snapshot", self.pid).returncode, 0)
            sizes.append(only_stream(recording).stat().st_size)
        self.assertLess(sizes[2] - sizes[1], 200, sizes)
        running = self.report(recording)
        self.assertEqual(Truth(self.pipe.records()).complaints(running), ([], 0))
        self.wait_for_end(b"x")
        self.check(recording, "exit", "after three snapshots from outside")


if __name__ == "__main__":
    tap.main()
