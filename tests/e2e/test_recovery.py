# SPDX-License-Identifier: Apache-2.0
"""Recordings of processes that still run, hang, or left no more than their region: read, snapshot, folded, cleaned.

Regions lie in a directory of the test's own, so that nobody else's are touched, but for one test each of what is the
default.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import unittest

import tap
from plain_protobuf import messages
from seep_test import (CASES, PRELOAD, SEEP, RegionTest, clean_environment, only_stream, own_frame,
                       wait_until)

HELD_BLOCKS, HELD_BYTES = 10, 10_000  # By each `h` of cases/obeys.
PATIENCE_S = 60


class Obeying:
    """A running cases/obeys, under bare preload or `seep run`."""

    def __init__(self, command, environment, cwd):
        self.process = subprocess.Popen([str(word) for word in command], env=environment, cwd=cwd,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def tell(self, order):
        self.process.stdin.write(order.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        line = self.process.stdout.readline() if ready else b""
        if line != b"done\n":
            raise AssertionError(f"{order}: said {line!r} and {self.process.poll()}")

    def end(self):
        """Kills it, if that is still to be done, and closes its pipes: how it ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        return self.process.returncode

    @property
    def pid(self):
        return self.process.pid


def snapshot_kinds(stream):
    """The kinds of the snapshots that are whole in a stream that may still grow."""
    kinds = []
    try:
        for _, message in messages(stream.read_bytes()):
            if message.HasField("snapshot"):
                kinds.append(message.DESCRIPTOR.fields_by_name["snapshot"].message_type.enum_types_by_name["Kind"]
                             .values_by_number[message.snapshot.kind].name)
    except Exception:  # Its last message is being written.
        pass
    return kinds


def beginning_of(path):
    """What a region or stream holds: regions are long and sparse, and those here use little."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(8 << 20)).hexdigest()


class Recovery(RegionTest):
    def setUp(self):
        super().setUp()
        self.regions = self.directory / "regions"
        self.regions.mkdir()
        self.out = self.directory / "out"

    def start(self, command, environment):
        obeying = Obeying(command, environment, self.directory)
        self.addCleanup(obeying.end)
        return obeying

    def preloaded(self, options="", out=None, program="obeys"):
        """Under bare preload, exact, with its region in the test's directory."""
        out = out or f"{self.out}/%e.%p.seep"
        return self.start([CASES / program], clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:region={self.regions}:out={out}:interval=1h{options}"))

    def in_output(self):
        """From here on regions lie beside the streams: there a process without a stream is found by its directory."""
        self.out.mkdir()
        self.regions = self.out

    def killed(self, orders="h", **how):
        """What is left of one that was told so much and then killed: its pid."""
        obeying = self.preloaded(**how)
        for order in orders:
            obeying.tell(order)
        obeying.process.kill()
        self.assertEqual(obeying.end(), -signal.SIGKILL)
        return obeying.pid

    def region_files(self):
        return sorted(self.regions.glob("seep.*.region"))

    def held(self, report):
        """(blocks, bytes) that are live in hold()."""
        live = [site for site in report["sites"] if site["live_blocks"] and own_frame(site)["function"] == "hold"]
        return sum(site["live_blocks"] for site in live), sum(site["live_bytes"] for site in live)

    def assert_held(self, report, times):
        self.assertEqual(self.held(report), (times * HELD_BLOCKS, times * HELD_BYTES))
        self.assert_whole(report)


class Snapshot(Recovery):
    def test_of_an_idle_process(self):
        """Into its own stream, which it goes on with afterwards as if it had taken it itself."""
        obeying = self.preloaded()
        obeying.tell("h")
        result = self.seep("snapshot", obeying.pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        stream = self.out / f"obeys.{obeying.pid}.seep"
        self.assertEqual(len(result.stdout.splitlines()), 1, result.stdout)
        self.assertIn(str(stream), result.stdout)
        self.assertIn("9.77 KiB live in 10 blocks", result.stdout)
        self.assertEqual(snapshot_kinds(stream), ["REQUEST"])
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.process.stdin.close()
        self.assertEqual(obeying.process.wait(PATIENCE_S), 4)
        self.assertEqual(snapshot_kinds(stream), ["REQUEST", "REQUEST", "EXIT"])
        report = self.report(stream)
        self.assert_held(report, 2)
        self.assertEqual(report["processes"][0]["ended"], "exit")
        self.assertEqual(self.region_files(), [])

    def test_of_one_that_hangs(self):
        obeying = self.preloaded()
        obeying.tell("h")
        obeying.tell("s")
        for number in (1, 2):
            self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
            self.assertEqual(len(snapshot_kinds(only_stream(self.out))), number)
        report = self.report(self.out)
        self.assert_held(report, 1)
        self.assertEqual(report["processes"][0]["ended"], "running")

    def test_of_several_and_a_sampled_one(self):
        first = self.preloaded()
        second = self.preloaded(options=":sample=512")
        for obeying in (first, second):
            obeying.tell("h")
        result = self.seep("snapshot", first.pid, second.pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        exact, sampled = result.stdout.splitlines()
        self.assertNotIn("about", exact)
        self.assertIn(": about ", sampled)

    def test_why_there_is_none(self):
        """Each in one line, and the others are taken all the same."""
        plain = self.start([CASES / "obeys"], clean_environment())
        plain.tell("h")
        silent = self.start([CASES / "obeys"], clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1g:region={self.regions}:out={self.out}/%p.seep"))
        silent.tell("h")
        nowhere = self.start([CASES / "obeys"], clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:region=/dev/null/x:out={self.out}/%p.seep:interval=1h"))
        nowhere.tell("h")
        for pid, words in ((2 ** 22 + 1, "is not there"), (plain.pid, "not observed"),
                           (silent.pid, "nothing has been recorded yet"), (nowhere.pid, "private memory")):
            result = self.seep("snapshot", pid)
            self.assertEqual((result.returncode, result.stdout), (3, ""), words)
            self.assert_one_line(result.stderr, str(pid), words)
        good = self.preloaded()
        good.tell("h")
        result = self.seep("snapshot", plain.pid, good.pid)
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, "not observed")
        self.assertEqual(len(result.stdout.splitlines()), 1)

    def test_wrong_usage(self):
        for arguments in ([], ["abc"], ["0"], ["-5"], ["12x"]):
            result = self.seep("snapshot", *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assert_one_line(result.stderr)

    @unittest.skipUnless(os.getuid() == 0, "not run: only root can be somebody else")
    def test_of_another_users_process(self):
        """Refused to a stranger; taken by root with the rights of its owner."""
        self.directory.chmod(0o777)
        self.regions.chmod(0o777)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        obeying = self.start([*nobody, CASES / "obeys"], clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample=1:region={self.regions}:out={self.out}/%e.seep:interval=1h"))
        obeying.tell("h")
        other = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
        result = self.run_command([*other, SEEP, "snapshot", obeying.pid])
        if result.returncode == 126 or "cannot be executed" in result.stderr:
            self.skipTest("not run: the build directory is not for everybody")
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assert_one_line(result.stderr, "another user")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        self.assertEqual((self.out / "obeys.seep").stat().st_uid, 65534)


class UnderSeepRun(Recovery):
    def run_obeying(self, *options):
        return self.start([SEEP, "run", "--interval", "20ms", "-o", self.out, *options, "--", CASES / "obeys"],
                          clean_environment(SEEP_OPTIONS=f"region={self.regions}"))

    def test_idle_and_hanging_programs_have_snapshots(self):
        for order in "ps":
            with self.subTest(order):
                shutil.rmtree(self.out, ignore_errors=True)
                obeying = self.run_obeying()
                obeying.tell("h")
                obeying.tell(order)
                wait_until(lambda: list(self.out.glob("*.seep")), "a stream")
                stream = only_stream(self.out)
                seen = len(snapshot_kinds(stream))
                wait_until(lambda: len(snapshot_kinds(stream)) >= seen + 3, "three snapshots more")
                self.assertEqual(set(snapshot_kinds(stream)), {"INTERVAL"})
                obeying.process.send_signal(signal.SIGTERM)
                self.assertEqual(obeying.process.wait(PATIENCE_S), 128 + signal.SIGTERM)
                report = self.report(self.out)
                self.assert_held(report, 1)
                self.assertEqual((report["processes"][0]["ended"], report["processes"][0]["signal"]), ("signal", 15))
                self.assertEqual(snapshot_kinds(stream)[-1], "POST_MORTEM")
                self.assertEqual(self.region_files(), [])

    def test_a_child_that_died_is_folded_while_the_others_run(self):
        obeying = self.run_obeying()
        obeying.tell("h")
        wait_until(self.region_files, "a region")
        parents = set(self.region_files())
        obeying.tell("f")
        obeying.tell("h")
        wait_until(lambda: set(self.region_files()) - parents, "the child's region")
        child = int((set(self.region_files()) - parents).pop().name.split(".")[1])
        obeying.tell("p")
        os.kill(child, signal.SIGKILL)
        self.assertEqual(obeying.process.wait(PATIENCE_S), 6)
        self.assertEqual(self.region_files(), [])
        report = self.report(self.out)
        self.assert_held(report, 2)
        of_child = [process for process in report["processes"] if process["pid"] == child]
        self.assertEqual([process["ended"] for process in of_child], ["unknown"])

    def test_a_program_that_says_nothing_more_has_its_whole_end(self):
        obeying = self.run_obeying()
        obeying.tell("h")
        obeying.tell("h")
        pids = [int(path.name.split(".")[1]) for path in self.region_files()]
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        self.assertEqual(obeying.process.wait(PATIENCE_S), 128 + signal.SIGKILL)
        self.assert_held(self.report(self.out), 2)


class Reading(Recovery):
    def contents(self):
        return {path: (beginning_of(path), path.stat().st_mtime_ns)
                for directory in (self.out, self.regions) for path in directory.iterdir()}

    def test_changes_nothing_of_a_running_process(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.tell("h")
        before = self.contents()
        for path in (self.out, only_stream(self.out)):
            report = self.report(path)
            self.assert_held(report, 2)
            self.assertEqual(report["processes"][0]["ended"], "running")
        self.assertEqual(self.contents(), before)

    def test_folds_what_a_dead_one_left(self):
        """The region is gone then, and a second report says the same."""
        for orders, snapshots in (("h", False), ("hh", True)):
            with self.subTest(orders):
                shutil.rmtree(self.out, ignore_errors=True)
                self.in_output()
                obeying = self.preloaded()
                obeying.tell("h")
                if snapshots:
                    self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
                    obeying.tell("h")
                obeying.process.kill()
                obeying.process.wait(PATIENCE_S)
                self.assertEqual(len(self.region_files()), 1)
                first = self.seep("report", "--format", "json", self.out)
                self.assertEqual((first.returncode, first.stderr), (0, ""))
                self.assertEqual(self.region_files(), [])
                self.assertEqual(self.seep("report", "--format", "json", self.out).stdout, first.stdout)
                self.assert_held(json.loads(first.stdout), len(orders))
                self.assertEqual(snapshot_kinds(only_stream(self.out))[-1], "POST_MORTEM")

    def test_of_the_stream_alone_folds_it_too(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.tell("h")
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        self.assert_held(self.report(only_stream(self.out)), 2)
        self.assertEqual(self.region_files(), [])

    def test_a_read_only_recording_is_not_folded(self):
        self.in_output()
        self.killed("hh")
        self.out.chmod(0o555)
        self.addCleanup(self.out.chmod, 0o755)
        before = self.contents()
        reports = [self.report(self.out) for _ in range(2)]
        self.assert_held(reports[0], 2)
        self.assertEqual(*reports)
        self.assertEqual(self.contents(), before)

    def test_a_read_only_stream_is_not_folded(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.tell("h")
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        stream = only_stream(self.out)
        stream.chmod(0o400)
        before = self.contents()
        self.assert_held(self.report(self.out), 2)
        self.assertEqual(self.contents(), before)

    def test_a_copy_folds_into_itself(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.tell("h")
        copy = self.directory / "copy"
        copy.mkdir()
        for path in (only_stream(self.out), *self.region_files()):
            shutil.copy(path, copy)
        self.assert_held(self.report(copy), 2)  # Its process runs: nothing is folded.
        self.assertEqual(len(list(copy.iterdir())), 2)
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        before = self.contents()
        self.assert_held(self.report(copy), 2)
        self.assertEqual([path.suffix for path in copy.iterdir()], [".seep"])
        self.assertEqual(self.contents(), before)
        self.assert_held(self.report(self.out), 2)

    def test_a_newer_region_is_refused_in_one_line(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        region = self.region_files()[0]
        with open(region, "r+b") as file:
            file.seek(8)  # Behind the magic.
            file.write((1000).to_bytes(4, "little"))
        result = self.seep("report", self.out)
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, region.name, "another version of seep", "1000")
        self.assertIn("hold", result.stdout)
        self.assertTrue(region.exists())

    @unittest.skipUnless(os.getuid() == 0, "not run: unshare -p needs root")
    def test_in_a_pid_namespace(self):
        """Alive it is seen to be, from outside; dead, that is certain where all processes can be seen, and else kept."""
        self.in_output()
        inner = self.start(["unshare", "--pid", "--fork", "--kill-child", "env", f"LD_PRELOAD={PRELOAD}",
                            f"SEEP_OPTIONS=sample=1:region={self.regions}:out={self.out}/%e.seep:interval=1h",
                            CASES / "obeys"], clean_environment())
        inner.tell("h")
        before = {path: beginning_of(path) for path in self.region_files()}
        self.assertEqual(len(before), 1, before)
        self.assert_held(self.report(self.out), 1)
        self.assertIn("kept: still running", self.seep("clean", self.regions).stdout)
        self.assertEqual({path: beginning_of(path) for path in self.region_files()}, before)
        inner.end()
        wait_until(lambda: "still running" not in self.seep("clean", "-n", self.regions).stdout, "its death is seen")
        self.assert_held(self.report(self.out), 1)
        self.assert_held(self.report(self.out), 1)


class Orphans(Recovery):
    """Recordings whose output cannot be written stay in their regions."""

    NOWHERE = "/dev/null/no/where.seep"

    def test_are_reported_and_then_cleaned(self):
        first, second = self.killed("h", out=self.NOWHERE), self.killed("hh", out=self.NOWHERE)
        before = {path: beginning_of(path) for path in self.region_files()}
        self.assertEqual(len(before), 2)
        for _ in range(2):
            report = self.report("--orphans", self.regions)
            self.assert_held(report, 3)
            self.assertEqual({process["pid"] for process in report["processes"]}, {first, second})
        self.assertEqual({path: beginning_of(path) for path in self.region_files()}, before)
        pretended = self.seep("clean", "-n", self.regions)
        self.assertEqual((pretended.returncode, pretended.stderr), (0, ""))
        self.assertEqual(pretended.stdout.count("would be removed"), 3, pretended.stdout)
        self.assertEqual(len(self.region_files()), 2)
        cleaned = self.seep("clean", self.regions)
        self.assertEqual((cleaned.returncode, cleaned.stderr), (0, ""))
        lines = cleaned.stdout.splitlines()
        self.assertEqual(len(lines), 3, cleaned.stdout)
        for pid, line in zip((first, second), sorted(lines[:2], key=lambda line: str(second) in line)):
            self.assertRegex(line, rf"seep\.{pid}\..*obeys, process {pid}, .*: removed")
        self.assertRegex(lines[2], r"^2 regions: 0 folded, 2 removed, 0 kept; .*iB freed$")
        self.assertEqual(self.region_files(), [])
        result = self.seep("report", "--orphans", self.regions)
        self.assertEqual((result.returncode, result.stdout), (3, ""))
        self.assert_one_line(result.stderr, "nothing")

    def test_with_a_stream_are_reported_with_it(self):
        obeying = self.preloaded()
        obeying.tell("h")
        self.assertEqual(self.seep("snapshot", obeying.pid).returncode, 0)
        obeying.tell("h")
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        report = self.report("--orphans", self.regions)
        self.assert_held(report, 2)
        self.assertEqual(report["processes"][0]["snapshots"], 2)
        self.assertEqual(len(self.region_files()), 1)

    def test_running_ones_are_none_and_are_kept(self):
        obeying = self.preloaded(out=self.NOWHERE)
        obeying.tell("h")
        dead = self.killed("h")
        result = self.seep("clean", self.regions)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, rf"process {obeying.pid}, .*: kept: still running\n")
        self.assertRegex(result.stdout, rf"process {dead}, .*: folded into {self.out}/obeys\.{dead}\.seep\n")
        self.assertRegex(result.stdout, r"2 regions: 1 folded, 0 removed, 1 kept; ")
        self.assertEqual([path.name.split(".")[1] for path in self.region_files()], [str(obeying.pid)])
        self.assert_held(self.report(self.out), 1)
        self.assertEqual(self.seep("report", "--orphans", self.regions).returncode, 3)
        obeying.tell("h")

    def test_a_report_without_a_path_takes_those_of_its_directory(self):
        """Under the default options: the region in /dev/shm, where others have theirs, and no stream yet."""
        obeying = self.start([CASES / "obeys"], clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS="sample=1"))
        obeying.tell("h")
        obeying.process.kill()
        obeying.process.wait(PATIENCE_S)
        self.assertEqual(list(self.directory.glob("seep.*")), [])
        self.assert_held(self.report(), 1)
        self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"seep.{obeying.pid}.*")), [])
        self.assert_held(self.report(f"seep.obeys.{obeying.pid}"), 1)

    def test_help_has_examples(self):
        for command in ("snapshot", "clean"):
            result = self.seep(command, "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertRegex(result.stdout, rf"(?i)example.*\n.*seep {command}")


if __name__ == "__main__":
    tap.main()
