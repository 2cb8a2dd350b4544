#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Leak scans that a program asks for: it goes on at once, and does not notice the copy of it that scans."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time

import seep_test
import tap
from surroundings import MemoryCgroup

PROGRAM = seep_test.CASES / "scans_on_request"
SCANS = 10


def process_exists(pid):
    with contextlib.suppress(OSError):
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return False


def comes_true(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class ScanOnRequest(seep_test.RegionTest):
    def environment(self, sample=1, scan="request"):
        os.chmod(self.directory, 0o777)  # For a program that changes its user.
        return seep_test.clean_environment(
            LD_PRELOAD=seep_test.PRELOAD,
            SEEP_OPTIONS=f"sample={sample}:scan={scan}:out={self.directory}/recording/%e.%p.seep")

    def run_program(self, what, surrounded=lambda *command: command, **options):
        """Nothing is noticed; the report."""
        (self.directory / "recording").mkdir()
        os.chmod(self.directory / "recording", 0o777)
        result = self.run_command(surrounded(PROGRAM, what), env=self.environment(**options))
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""), what)
        return self.report(self.directory / "recording")

    def assert_scanned(self, report, in_copy=True, scans=SCANS, exact=True):
        process = next(process for process in report["processes"] if process["scan"] is not None)
        scan = process["scan"]
        self.assertEqual(scan["in_copy"], in_copy, scan)
        self.assertEqual(scan["trigger"], "request")
        self.assertGreaterEqual(scan["number"], scans)
        self.assertIsNone(process["failed_scan"])
        if exact:
            leaks = [site for site in report["sites"] if site["definite_blocks"]]
            self.assertEqual([(site["definite_blocks"], site["definite_bytes"]) for site in leaks], [(1, 1234)])
            self.assertEqual(seep_test.own_frame(leaks[0])["function"], "leak")
        return scan

    def test_waits_of_the_program_find_its_own_children_alone(self):
        self.assert_scanned(self.run_program("children"))

    def test_no_signal_handler_hears_of_it(self):
        self.assert_scanned(self.run_program("handler"))

    def test_signals_for_the_process_group_are_handled_once(self):
        self.assert_scanned(self.run_program("group"))

    def test_pipes_end_when_the_program_closes_them(self):
        self.assert_scanned(self.run_program("pipes"), scans=1)

    def test_sixteen_threads_that_allocate(self):
        scan = self.assert_scanned(self.run_program("threads"))
        self.assertEqual(scan["stopped_threads"], 16)
        self.assertEqual(scan["missed_threads"], 0)

    def test_a_fork_has_no_part_in_it(self):
        self.assert_scanned(self.run_program("forks"), scans=2)

    def test_a_program_that_replaces_it_gets_no_child(self):
        self.run_program("exec")

    def test_dies_with_the_program_and_holds_nothing_of_it(self):
        (self.directory / "recording").mkdir()
        with subprocess.Popen([PROGRAM, "killed"], env=self.environment(), cwd=self.directory,
                              stdout=subprocess.PIPE) as process:
            copy = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            self.assertEqual(process.stdout.read(), b"", "who reads its output is told that there is no more")
        self.assertGreater(copy, 0, "there was no copy that ran")
        self.assertTrue(comes_true(lambda: not process_exists(copy)))
        self.seep("report", self.directory / "recording")  # Folds what was left.

    def test_where_memory_runs_out_it_is_killed_and_not_the_program(self):
        cgroup = MemoryCgroup(self, 256 << 20)
        report = self.run_program("memory", surrounded=cgroup.running)
        process = next(process for process in report["processes"] if process["ended"] != "exec")
        self.assertEqual((process["ended"], process["exit_status"]), ("exit", 0))
        self.assertEqual(process["failed_scan"]["failure"], "copy_died", process)

    def test_where_there_may_be_no_more_processes_it_is_done_in_place(self):
        self.assert_scanned(self.run_program("no-processes"), in_copy=False)

    def test_where_a_sandbox_forbids_a_copy_it_is_done_in_place(self):
        self.assert_scanned(self.run_program("sandbox"), in_copy=False)


if __name__ == "__main__":
    tap.main()
