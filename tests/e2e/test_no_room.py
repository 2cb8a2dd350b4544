# SPDX-License-Identifier: Apache-2.0
"""Where there is no room, no right, or somebody else's hands: the program goes on as without seep, and what is lost is
counted and said, or nothing is lost.

The program is cases/steps.c: what it leaks is said by its arguments.
"""
import contextlib
import json
import os
import pathlib
import signal
import subprocess

import tap
from seep_test import CASES, RegionTest, clean_environment, only_stream, own_frame
from surroundings import IS_ROOT, MIB, MemoryCgroup, mount_tmpfs, need, quietly
from told_events import preloaded

STATUS = 5
NOBODY = 65534
BLOCK_BYTES = {"leak": 1000, "traces": 48}
SITE = {"leak": "leak_here", "traces": "leak_at_leaf"}


def leaked_by(steps, kind):
    """Blocks that the steps leak."""
    return sum(int(step.partition(":")[2]) for step in steps if step.startswith(kind + ":"))


def live_at(report, function):
    sites = [site for site in report["sites"] if own_frame(site) and own_frame(site)["function"] == function]
    return sum(site["live_blocks"] for site in sites), sum(site["live_bytes"] for site in sites)


class Running:
    """The program under way: it stops at each `pause`, where the test may change the world."""

    def __init__(self, test, command):
        self.test = test
        self.process = subprocess.Popen([str(word) for word in command], env=clean_environment(), cwd=test.directory,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.output = ""
        test.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                stream.close()
        self.process.wait()

    def until_pause(self):
        """Waits until it pauses."""
        for line in iter(self.process.stdout.readline, b""):
            self.output += line.decode()
            if line == b"ready\n":
                return self
        raise AssertionError(f"it did not pause: {self.output}{self.process.stderr.read().decode()}")

    def go_on(self):
        self.process.stdin.write(b"x")
        self.process.stdin.flush()

    def until_end(self):
        """(exit status, output, standard error)"""
        stdout, stderr = self.process.communicate(timeout=120)
        return self.process.returncode, self.output + stdout.decode(), stderr.decode()


class NoRoom(RegionTest):
    """What the tests share: the program with and without seep, and what its report may say."""

    def steps(self, *steps):
        return [CASES / "steps", *steps]

    def start(self, steps, recording=None, prefix=(), **options):
        """Starts the program within a command, recorded if there is a recording to make."""
        command = self.steps(*steps)
        return Running(self, [*prefix, *(preloaded(f"{recording}/%e.%p.seep", command, **options)
                                         if recording else command)])

    def finish(self, running, at_pauses=()):
        """Goes on to the end, by way of what is to be done at each pause."""
        for action in at_pauses:
            running.until_pause()
            action()
            running.go_on()
        return running.until_end()

    def check_same(self, steps, recording, at_pauses=(), prefix=(), **options):
        """As without seep: output, standard error, exit status."""
        alone = self.finish(self.start(steps, prefix=prefix), [lambda: None] * len(at_pauses))
        recorded = self.finish(self.start(steps, recording, prefix, **options), at_pauses)
        self.assertEqual(recorded, alone)

    def check_exact(self, report, steps):
        for kind, function in SITE.items():
            blocks = leaked_by(steps, kind)
            self.assertEqual(live_at(report, function), (blocks, blocks * BLOCK_BYTES[kind]), function)
        self.assert_whole(report)

    def check_counted(self, report, steps, text):
        """Everything that is not there is counted, and the text says that something is missing."""
        blocks = sum(leaked_by(steps, kind) for kind in SITE)
        found = sum(live_at(report, function)[0] for function in SITE.values())
        coverage = report["coverage"]
        self.assertLessEqual(found, blocks)
        self.assertGreaterEqual(found + coverage["dropped_records"], blocks, coverage)
        if found < blocks:
            self.assertLess(coverage["fraction"], 1)
            self.assertIn("Not seen", text)

    def check_lost_tail(self, report, steps, text):
        """What came after the last snapshot is not there, and the text says so."""
        for kind, function in SITE.items():
            self.assertLessEqual(live_at(report, function)[0], leaked_by(steps, kind))
        self.assertEqual(report["coverage"]["lost_tails"], 1)
        self.assertIn("Not seen", text)

    def report_and_text(self, *recording):
        return self.report(*recording), self.seep("report", *recording).stdout

    def own_regions(self, place="/dev/shm"):
        return sorted(pathlib.Path(place).glob("seep.*.region"))

    def made_recording(self):
        recording = self.new_recording_path()
        recording.mkdir()
        return recording

    def fill(self, directory):
        """Takes all the room that is left in a file system."""
        with open(directory / "filler", "wb", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(size))
        self.assertEqual(os.statvfs(directory).f_bavail, 0)
        return directory / "filler"


class FullRegion(NoRoom):
    """The file system that the region lies on is too small, full from the start, or becomes full."""

    STEPS = ("leak:10", "traces:6000", "leak:10")

    def test_small_and_a_good_end(self):
        """What is in private memory reaches the stream at the end: nothing is lost."""
        for size in (256 << 10, MIB, 2 * MIB):
            with self.subTest(size=size):
                place = mount_tmpfs(self, self.directory / f"small.{size}", size)
                recording = self.made_recording()
                self.check_same(self.STEPS, recording, region=place)
                self.check_exact(self.report(recording), self.STEPS)
                self.assertEqual(self.own_regions(place), [])

    def test_small_and_killed(self):
        """What was in private memory is lost, and counted."""
        steps = (*self.STEPS, "kill")
        for size in (256 << 10, MIB, 2 * MIB):
            with self.subTest(size=size):
                place = mount_tmpfs(self, self.directory / f"killed.{size}", size)
                recording = self.made_recording()
                self.check_same(steps, recording, region=place)
                report, text = self.report_and_text("--orphans", place)
                self.check_counted(report, steps, text)
                self.assertLess(report["coverage"]["fraction"], 1, "all of it fitted: this proves nothing")
                self.assertGreaterEqual(live_at(report, "leak_here")[0], 10, "not even its beginning is there")

    def test_small_and_killed_between_snapshots(self):
        """Snapshots take what is in private memory along; only what came after the last one can be lost."""
        steps = (*self.STEPS, "churn:50", "traces:100", "kill")
        place = mount_tmpfs(self, self.directory / "between", MIB)
        recording = self.made_recording()
        self.check_same(steps, recording, region=place, interval="1ms")
        report, text = self.report_and_text(recording)
        self.check_counted(report, steps, text)
        self.assertEqual(live_at(report, "leak_here"), (20, 20_000))
        self.assertGreaterEqual(live_at(report, "leak_at_leaf")[0], 6000)

    def test_full_from_the_start(self):
        place = mount_tmpfs(self, self.directory / "full", MIB)
        self.fill(place)
        recording = self.made_recording()
        self.check_same(self.STEPS, recording, region=place)
        self.check_exact(self.report(recording), self.STEPS)

    def test_full_from_the_start_and_killed(self):
        """There is nothing but the snapshots: the end is missing, and said to be."""
        steps = (*self.STEPS, "churn:50", "leak:10", "kill")
        place = mount_tmpfs(self, self.directory / "full", MIB)
        self.fill(place)
        recording = self.made_recording()
        self.check_same(steps, recording, region=place, interval="1ms")
        report, text = self.report_and_text(recording)
        self.check_lost_tail(report, steps, text)
        self.assertGreaterEqual(live_at(report, "leak_at_leaf")[0], 6000)

    def test_becomes_full(self):
        steps = ("leak:10", "pause", "traces:6000", "leak:10", "pause", "traces:10")
        place = mount_tmpfs(self, self.directory / "becomes", 8 * MIB)
        recording = self.made_recording()
        fillers = []
        self.check_same(steps, recording, [lambda: fillers.append(self.fill(place)), lambda: fillers[0].unlink()],
                        region=place)
        self.check_exact(self.report(recording), steps)

    def test_dev_shm(self):
        mount_tmpfs(self, "/dev/shm", 512 << 10)
        recording = self.made_recording()
        self.check_same(self.STEPS, recording)
        self.check_exact(self.report(recording), self.STEPS)
        self.assertEqual(self.own_regions(), [])

    def test_dev_shm_under_seep_run_and_killed(self):
        mount_tmpfs(self, "/dev/shm", 512 << 10)
        steps = (*self.STEPS, "kill")
        path, result = self.record(self.steps(*steps))
        self.assertEqual(result.returncode, 128 + signal.SIGKILL, result.stderr)
        report, text = self.report_and_text(path)
        self.check_counted(report, steps, text)


class FullDisk(NoRoom):
    """The stream finds no room. The region has everything, until there is."""

    STEPS = ("leak:10", "traces:2000", "leak:10")

    def check_full(self, place, steps, status):
        filler = self.fill(place)
        self.check_same(steps, place)
        regions = self.own_regions()
        self.assertEqual(len(regions), 1)
        report = self.report(place)
        self.check_exact(report, self.STEPS)
        self.assertEqual(report["processes"][0]["ended"], status)
        self.assertEqual(self.own_regions(), regions, "what cannot be folded stays")
        filler.unlink()
        self.check_exact(self.report(place), self.STEPS)
        self.assertEqual(self.own_regions(), [], "what can be folded is")
        self.check_exact(self.report(place), self.STEPS)

    def test_a_good_end(self):
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        self.check_full(mount_tmpfs(self, self.directory / "disk", 8 * MIB), self.STEPS, "exit")

    def test_killed(self):
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        self.check_full(mount_tmpfs(self, self.directory / "disk", 8 * MIB), (*self.STEPS, "kill"), "unknown")

    def test_a_disk(self):
        """The same with a file system of blocks, which has other ways to be full."""
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        image = self.directory / "image"
        with open(image, "wb") as file:
            file.truncate(8 * MIB)
        place = self.directory / "ext4"
        place.mkdir()
        if not quietly("mkfs.ext4", "-q", "-m", "0", image) or not quietly("mount", "-o", "loop", image, place):
            need(self, "no ext4 can be mounted from a file")
        self.addCleanup(quietly, "umount", "--lazy", place)
        self.check_full(place, (*self.STEPS, "kill"), "unknown")

    def test_full_in_the_middle_of_snapshots(self):
        """Snapshots that do not fit leave no part of them behind; a later one says everything."""
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        place = mount_tmpfs(self, self.directory / "disk", 8 * MIB)
        fillers = []
        steps = ("leak:10", "churn:20", "pause", "traces:2000", "churn:20", "pause", "leak:10")
        self.check_same(steps, place, [lambda: fillers.append(self.fill(place)), lambda: fillers[0].unlink()],
                        interval="1ms")
        self.check_exact(self.report(only_stream(place)), steps)
        self.assertEqual(self.own_regions(), [])

    def test_region_and_stream(self):
        """Where both are to lie, nothing is to be had: the program does not mind, and seep does not say it were clean."""
        place = mount_tmpfs(self, self.directory / "disk", MIB)
        self.fill(place)
        self.check_same(self.STEPS, place, region="output")
        result = self.seep("report", place)
        self.assertEqual(result.returncode, 3, result.stdout)
        self.assertEqual(result.stdout, "")

    def test_under_seep_run(self):
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        place = mount_tmpfs(self, self.directory / "disk", MIB)
        recording = place / "recording"
        recording.mkdir()
        self.fill(place)
        result = self.seep("run", "-o", recording, "--", *self.steps(*self.STEPS))
        self.assertEqual((result.returncode, result.stdout), (STATUS, "".join(f"{step}\n" for step in self.STEPS)))
        self.assertNotEqual(result.stderr, "")
        self.check_exact(self.report(recording), self.STEPS)


class FileSizeLimit(NoRoom):
    """RLIMIT_FSIZE: a write beyond it, and making a file longer than it, raises SIGXFSZ, which kills."""

    STEPS = ("leak:10", "traces:2000", "churn:20", "leak:10")

    def test_every_size(self):
        for limit in (1, 4096, 20_000, 65_536, 300_000, MIB, 4 * MIB):
            for interval in ("10s", "1ms"):
                with self.subTest(limit=limit, interval=interval):
                    recording = self.made_recording()
                    self.check_same(self.STEPS, recording, prefix=["prlimit", f"--fsize={limit}"], interval=interval)
                    self.check_what_is_left(recording)

    def check_what_is_left(self, recording):
        """Exact, or counted; or there is no recording of it, and that is said."""
        result = self.seep("report", recording)
        if result.returncode == 3:
            self.assertNotIn("leak_here", result.stdout)
            self.assert_one_line(result.stderr)
            return
        report, text = self.report_and_text(recording)
        if report["coverage"]["lost_tails"]:
            self.check_lost_tail(report, self.STEPS, text)
        else:
            self.check_counted(report, self.STEPS, text)

    def test_under_seep_run(self):
        """`seep run` has no such limit; but what lies in the process's private memory it does not see."""
        for limit in (1, 65_536):
            path, result = self.record(["prlimit", f"--fsize={limit}", *self.steps(*self.STEPS)])
            self.assertEqual(result.returncode, STATUS, result.stderr)
            self.check_what_is_left(path)

    def test_room_for_the_stream(self):
        recording = self.made_recording()
        self.check_same(self.STEPS, recording, prefix=["prlimit", f"--fsize={4 * MIB}"])
        self.check_exact(self.report(recording), self.STEPS)


class LockedMemory(NoRoom):
    """mlockall(MCL_FUTURE): every mapping is resident at once, and where that may not be, fails."""

    def as_nobody(self, limit_bytes):
        if not IS_ROOT:
            return ["prlimit", f"--memlock={limit_bytes}"]
        return ["prlimit", f"--memlock={limit_bytes}", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                "--clear-groups"]

    def test_a_small_limit(self):
        """Enough for the program, which allocates little, and not for seep. What is there already is not locked: of
        that the kernel counts every reserved address, and refuses."""
        recording = self.made_recording()
        self.directory.chmod(0o755)
        recording.chmod(0o777)
        lock = "lock-future"
        for steps in ((lock, "leak:10", "traces:100", "leak:10"), ("leak:10", lock, "traces:100", "leak:10")):
            prefix = self.as_nobody(MIB)
            if self.finish(self.start(steps, prefix=prefix))[0] != STATUS:
                need(self, "the program itself cannot lock its memory here")
            self.check_same(steps, recording, prefix=prefix)
            for stream in recording.glob("*.seep"):
                report = self.report(stream)
                self.check_counted(report, steps, self.seep("report", stream).stdout)
                stream.unlink()

    def resident_bytes(self, running):
        status = pathlib.Path(f"/proc/{running.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    def test_no_limit(self):
        """What seep reserves must not become resident: nothing is lost, and the program does not grow by much."""
        if not IS_ROOT:
            need(self, "only root may lock any amount")
        for steps in (("lock", "leak:10", "traces:500", "pause"), ("leak:10", "lock", "traces:500", "pause")):
            resident = []
            for recording in (None, self.made_recording()):
                running = self.start(steps, recording)
                resident.append(self.resident_bytes(running.until_pause()))
                running.go_on()
                self.assertEqual(running.until_end()[0], STATUS)
            self.check_exact(self.report(recording), steps)
            self.assertLess(resident[1] - resident[0], 24 * MIB)


class NearTheLimit(NoRoom):
    """A memory cgroup in which the program just fits."""

    HELD_BYTES = 24 * MIB
    SPARE_BYTES = 3 * MIB

    def test_it_survives(self):
        steps = (f"hold:{self.HELD_BYTES}", "leak:10", "traces:6000", "leak:10")
        free = MemoryCgroup(self, 512 * MIB)
        status, output, _ = self.finish(self.start(steps, prefix=free.running()))
        self.assertEqual(status, STATUS)
        peak_bytes = free.peak_bytes()
        if peak_bytes is None:
            need(self, "the kernel does not tell a cgroup's peak")
        for spare_bytes in (self.SPARE_BYTES, self.SPARE_BYTES // 2, 6 * self.SPARE_BYTES):
            with self.subTest(spare_bytes=spare_bytes):
                tight = MemoryCgroup(self, peak_bytes + spare_bytes)
                recording = self.made_recording()
                recorded = self.finish(self.start(steps, recording, tight.running()))
                self.assertEqual(recorded, (status, output, ""))
                report, text = self.report_and_text(recording)
                self.check_counted(report, steps, text)


class NoRight(NoRoom):
    """Where the output cannot be written the recording stays in its region, and is found."""

    STEPS = ("leak:10", "traces:100")
    OUT = pathlib.Path("/proc/seep-test")

    def check_orphan(self, place, *where):
        self.assertEqual(len(self.own_regions(place)), 1)
        result = self.seep("report", "--format", "json", "--orphans", *where)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        report = json.loads(result.stdout)
        self.check_exact(report, self.STEPS)
        self.assertEqual(len(self.own_regions(place)), 1, "reading orphans removes none")
        listed = self.seep("clean", "-n", *where)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertEqual(len(self.own_regions(place)), 1, "-n removes nothing")
        cleaned = self.seep("clean", *where)
        self.assertEqual(cleaned.returncode, 0, cleaned.stderr)
        self.assertIn("steps", cleaned.stdout)
        self.assertEqual(self.own_regions(place), [])

    def test_in_dev_shm(self):
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        self.check_same(self.STEPS, self.OUT)
        self.check_orphan("/dev/shm")

    def test_in_a_directory_of_ones_own(self):
        place = self.directory / "regions"
        place.mkdir()
        for steps in (self.STEPS, (*self.STEPS, "kill")):
            self.check_same(steps, self.OUT, region=place)
            self.check_orphan(place, place)

    def test_the_running_one_is_kept(self):
        place = self.directory / "regions"
        place.mkdir()
        running = self.start((*self.STEPS, "pause"), self.OUT, region=place).until_pause()
        cleaned = self.seep("clean", place)
        self.assertEqual(cleaned.returncode, 0, cleaned.stderr)
        self.assertEqual(len(self.own_regions(place)), 1)
        running.go_on()
        self.assertEqual(running.until_end()[0], STATUS)
        self.check_orphan(place, place)


class DroppedPrivileges(NoRoom):
    def setUp(self):
        super().setUp()
        if not IS_ROOT:
            need(self, "only root can become somebody else")
        self.directory.chmod(0o755)

    def check_dropped(self, steps, mode, **options):
        recording = self.made_recording()
        recording.chmod(mode)
        self.check_same(steps, recording, **options)
        self.check_exact(self.report(recording), steps)
        return recording

    def test_before_the_first_record(self):
        """Everything is nobody's from the start."""
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        recording = self.check_dropped(("drop", "leak:10", "traces:100"), 0o777)
        self.assertEqual(only_stream(recording).stat().st_uid, NOBODY)
        self.assertEqual(self.own_regions(), [])

    def test_before_the_first_record_and_no_right_to_write(self):
        """The recording stays in nobody's region."""
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        self.check_dropped(("drop", "leak:10", "traces:100"), 0o700)

    def test_after_it(self):
        """The region is root's, and nobody can neither write to root's directory nor remove root's file."""
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        for interval in ("10s", "1ms"):
            for mode in (0o700, 0o777):
                with self.subTest(interval=interval, mode=mode):
                    self.check_dropped(("leak:10", "churn:20", "drop", "traces:1000", "churn:20", "leak:10"), mode,
                                       interval=interval)
                    self.assertEqual(self.own_regions(), [], "root, who reads, may fold and remove it")

    def test_under_seep_run(self):
        mount_tmpfs(self, "/dev/shm", 64 * MIB)
        for steps in (("drop", "leak:10", "traces:100"), ("leak:10", "drop", "leak:10", "traces:100")):
            path, result = self.record(self.steps(*steps))
            self.assertEqual(result.returncode, STATUS, result.stderr)
            self.check_exact(self.report(path), steps)
            self.assertEqual(self.own_regions(), [])


class SomebodyElse(NoRoom):
    """Others remove, cut and replace the files of a recording under way."""

    STEPS = ("leak:10", "churn:20", "pause", "traces:1000", "churn:20", "leak:10")
    KILLED = (*STEPS, "kill")

    def change(self, steps, action, **options):
        """Runs the steps; at the pause `action` has its way with the recording's directory."""
        recording = self.made_recording()
        self.check_same(steps, recording, [lambda: action(recording)], **options)
        return recording

    def setUp(self):
        super().setUp()
        self.regions = self.directory / "regions"
        self.regions.mkdir()

    def remove_region(self, _):
        only, = self.own_regions(self.regions)
        only.unlink()

    def test_region_removed(self):
        for interval in ("10s", "1ms"):
            recording = self.change(self.STEPS, self.remove_region, region=self.regions, interval=interval)
            self.check_exact(self.report(recording), self.STEPS)

    def test_region_removed_and_killed(self):
        recording = self.change(self.KILLED, self.remove_region, region=self.regions, interval="1ms")
        report, text = self.report_and_text(recording)
        self.check_lost_tail(report, self.KILLED, text)
        self.assertGreaterEqual(live_at(report, "leak_here")[0], 10)

    def test_stream_removed(self):
        for steps in (self.STEPS, self.KILLED):
            recording = self.change(steps, lambda path: only_stream(path).unlink(), region=self.regions,
                                    interval="1ms")
            self.check_exact(self.report(recording), steps)

    def test_directory_removed(self):
        def remove(path):
            only_stream(path).unlink()
            path.rmdir()
        for steps in (self.STEPS, self.KILLED):
            recording = self.change(steps, remove, region=self.regions, interval="1ms")
            self.check_exact(self.report(recording), steps)

    def test_stream_truncated(self):
        """At any length: what is written next says everything again."""
        for steps in (self.STEPS, self.KILLED):
            for share in (0, 0.3, 0.99):
                with self.subTest(end=steps[-1], share=share):
                    def cut(path, share=share):
                        stream = only_stream(path)
                        os.truncate(stream, int(stream.stat().st_size * share))
                    recording = self.change(steps, cut, region=self.regions, interval="1ms")
                    self.check_exact(self.report_of_cut(recording), steps)

    def report_of_cut(self, recording):
        """The report on a stream that may have a scar: then one line says where."""
        result = self.seep("report", "--format", "json", recording)
        if result.stderr:
            self.assert_one_line(result.stderr, str(recording), "damaged")
        self.assertEqual(result.returncode, 3 if result.stderr else 0)
        return json.loads(result.stdout)

    def test_stream_replaced(self):
        """Another file at its place is not touched."""
        text = b"what somebody else has written\n"
        def replace(path):
            stream = only_stream(path)
            stream.unlink()
            stream.write_bytes(text)
        for steps in (self.STEPS, self.KILLED):
            recording = self.change(steps, replace, region=self.regions, interval="1ms")
            self.seep("report", recording)  # Folds what a kill has left.
            ours = [stream for stream in recording.glob("*.seep") if stream.read_bytes() != text]
            self.assertEqual(len(ours), 1)
            self.assertEqual(len(list(recording.iterdir())), 2)
            self.check_exact(self.report(ours[0]), steps)

    def test_stream_replaced_by_a_link(self):
        victim = self.directory / "victim"
        def replace(path):
            stream = only_stream(path)
            stream.unlink()
            victim.write_bytes(b"")
            stream.symlink_to(victim)
        for steps in (self.STEPS, self.KILLED):
            recording = self.change(steps, replace, region=self.regions, interval="1ms")
            self.seep("report", recording)
            self.assertEqual(victim.read_bytes(), b"")
            ours = [stream for stream in recording.glob("*.seep") if not stream.is_symlink()]
            self.assertEqual(len(ours), 1)
            self.check_exact(self.report(ours[0]), steps)


if __name__ == "__main__":
    tap.main()
