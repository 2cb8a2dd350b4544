# SPDX-License-Identifier: Apache-2.0
"""Files and limits: the host's descriptors and files stay its own, and where there is no room it is not harmed.

A full disk, a full tmpfs, RLIMIT_FSIZE, a full /dev/shm, memory cgroups, and mlockall are in e2e/test_no_room.py.
"""
import os
import pathlib
import socket
import stat
import subprocess

import matrix
from matrix import EVERY_WAY, EXACT
from seep_test import LONG, clean_environment, needs
from surroundings import IS_ROOT, mount_tmpfs

NOBODY = 65534
MIB = 1 << 20


class Files(matrix.MatrixTest):
    group = "files"

    # ---- Descriptors.

    def test_closes_descriptors(self):
        for how in ("close_range", "closefrom", "proc", "each"):
            self.check("closes_descriptors", how, options="interval=1ms")

    def test_closes_amid_recording(self):
        for _ in range(10 if LONG else 1):
            self.check("closes_amid_recording", options="interval=1us", same_truth=False)

    def test_writes_by_number(self):
        """Without standard input, output and error, in each combination; and seep has something to complain of."""
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">&- 2>&-"):
            files = self.directory / "files"
            files.mkdir(exist_ok=True)
            contents = []
            for way in (None, *EVERY_WAY):
                with self.subTest(closed=closed, way=way):
                    command = ["sh", "-c", f'exec "$@" {closed}', "sh", self.program("writes_by_number"), files, "3"]
                    recording = self.new_recording_path()
                    environment = (clean_environment() if way is None else
                                   self.environment_of(way, recording, options="interval=1ms:nonsense=1"))
                    seen = self.outcome(command, environment, pathlib.Path(f"{recording}.truth"))
                    self.assertEqual(seen.status, 0, seen)
                    contents.append(sorted((path.name, path.read_text()) for path in files.iterdir()))
                    self.assertEqual(contents[-1], contents[0])
                    if way is not None:
                        report = self.report_of(recording, way)
                        if report is not None:
                            self.assert_true(report, seen.truth, way)

    def in_directory(self, command, way, options, **how):
        """Runs in a directory of its own, which it may remove: (outcome, what is in it)."""
        place = self.new_recording_path()
        place.mkdir()
        environment = clean_environment(MATRIX_TRUTH=f"{place}.truth")
        if way is not None:
            environment = dict(self.environment_of(way, place, **how), MATRIX_TRUTH=f"{place}.truth")
            environment["SEEP_OPTIONS"] = f"sample={matrix.SAMPLE_BYTES[way]}:seed=1:{options}"
        result = subprocess.run([str(word) for word in command], env=environment, cwd=place, capture_output=True,
                                timeout=self.limit_seconds, check=False)
        outcome = (result.returncode, result.stdout, result.stderr)
        return outcome, place, matrix.read_truth(pathlib.Path(f"{place}.truth"))

    def check_moves(self, what):
        bare, _, _ = self.in_directory([self.program("moves_about"), what], None, "")
        for way in EVERY_WAY:
            with self.subTest(what=what, way=way):
                seen, place, truth = self.in_directory([self.program("moves_about"), what], way,
                                                       "out=deep/er/%e.seep:interval=1ms")
                self.assertEqual(seen, bare)
                stream = place / "deep/er/moves_about.seep"
                self.assert_true(self.report(stream), truth, way)
                self.assertEqual(stat.S_IMODE(stream.stat().st_mode), 0o600)

    def test_moves_about(self):
        self.check_moves("root")

    def test_closed_umask(self):
        """moves_about.c: files that the host makes have no rights at all. The recording has its owner's."""
        self.check_moves("stay")

    def test_moves_about_and_removes(self):
        """The stream has no place any more: what was recorded stays in the region, and is reported from there."""
        command = [self.program("moves_about"), "remove"]
        bare, _, _ = self.in_directory(command, None, "")
        regions = self.directory / "regions"
        regions.mkdir()
        for way in EVERY_WAY:
            with self.subTest(way=way):
                seen, place, truth = self.in_directory(command, way, f"out=%e.seep:region={regions}")
                self.assertEqual(seen, bare)
                self.assertFalse(place.exists())
                left = list(regions.iterdir())
                self.assertEqual(len(left), 1, "the recording is lost")
                self.assert_true(self.report(regions, options=["--orphans"]), truth, way)
                left[0].unlink()

    def test_read_only_file_system(self):
        place = mount_tmpfs(self, self.directory / "read-only", MIB)
        subprocess.run(["mount", "-o", "remount,ro", place], check=True, capture_output=True)
        regions = self.directory / "regions"
        regions.mkdir()
        command = [self.program("uses_limits"), "20x5000", "churn"]
        bare, _, _ = self.in_directory(command, None, "")
        seen, _, truth = self.in_directory(command, EXACT, f"out={place}/%e.seep:region={regions}")
        self.assertEqual(seen, bare)
        left = list(regions.iterdir())
        self.assertEqual(len(left), 1, "the recording is lost")
        self.assert_true(self.report(regions, options=["--orphans"]), truth, EXACT)

    # ---- Standard error that takes nothing.

    def check_with_stderr(self, stderr):
        """Seep would complain of an option there. The program has nothing to say there, and does not notice."""
        recording = self.new_recording_path()
        environment = dict(self.environment_of(EXACT, recording, options="nonsense=1"),
                           MATRIX_TRUTH=f"{recording}.truth")
        process = subprocess.Popen([self.program("uses_limits"), "20x5000"], env=environment, cwd=self.directory,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                                   restore_signals=True)
        try:
            stdout, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.fail("hangs")
        self.assertEqual((process.returncode, stdout), (0, b"0 failed\n"))
        self.assert_true(self.report(recording), matrix.read_truth(pathlib.Path(f"{recording}.truth")), EXACT)

    def test_broken_stderr_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, writer)
        self.check_with_stderr(writer)

    def test_full_stderr_pipe(self):
        """Its reader is slow: so slow that it has not begun."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, bytes(4096))
        except BlockingIOError:
            os.set_blocking(writer, True)
        self.check_with_stderr(writer)

    def test_broken_stderr_socket(self):
        ours, theirs = socket.socketpair()
        ours.close()
        self.addCleanup(theirs.close)
        self.check_with_stderr(theirs.fileno())

    # ---- Limits.

    LOAD = ("2000x3000", "100x300000", "churn", "threads")

    def prlimit(self, *limits):
        return ["prlimit", *limits]

    @needs("prlimit")
    def test_address_space(self):
        """uses_limits.c: what it needs and 64 MiB more, of address space or of data: no malloc may fail."""
        peak_file = self.directory / "peak"
        self.run_command([self.program("uses_limits"), *self.LOAD, f"peak:{peak_file}"])
        need = int(peak_file.read_text().split()[0]) << 10
        for limit in ("as", "data"):
            self.check("uses_limits", *self.LOAD, prefix=self.prlimit(f"--{limit}={need + 64 * MIB}"))

    def test_address_space_set_later(self):
        peak_file = self.directory / "peak"
        self.run_command([self.program("uses_limits"), *self.LOAD, f"peak:{peak_file}"])
        need = int(peak_file.read_text().split()[0]) << 10
        for limit in ("as", "data"):
            self.check("uses_limits", "churn", f"{limit}={need + 64 * MIB}", *self.LOAD)

    def test_small_limits(self):
        """The program gets by; seep may lose something, counts it, and the report shows it."""
        for limit, load in (("as=1", ["churn"]), ("data=1", ["churn"]), ("stack=65536", ["churn", "20x3000"]),
                            ("memlock=0", ["churn", "20x3000"])):
            for way in EVERY_WAY:
                reports = self.check("uses_limits", "10x100", limit, *load, ways=[way], whole=False)
                if reports[way] is not None:
                    self.assertLessEqual(reports[way]["coverage"]["fraction"], 1)

    def test_no_descriptors(self):
        """From the middle on none can be opened: the region has everything, and is reported."""
        for steps in (["nofile=0"], ["nofile=3"], ["fill-fds"]):
            with self.subTest(steps=steps):
                regions = self.new_recording_path()
                regions.mkdir()
                command = [self.program("uses_limits"), "churn", *steps, "200x3000", "churn"]
                bare, _, _ = self.in_directory(command, None, "")
                seen, _, _ = self.in_directory(command, EXACT, f"out=%e.seep:region={regions}:interval=1ms")
                self.assertEqual(seen, bare)
                report = self.report(regions, options=["--orphans"])
                churned = 2 * 5000  # The truth cannot be told without a descriptor: churn, 200x3000, churn.
                self.assert_true(report, {"allocates_under_limits": matrix.Truth(
                    churned + 200, churned * 700 + 200 * 3000, 200, 200 * 3000)}, EXACT)

    @needs("prlimit")
    def test_few_descriptors_from_the_start(self):
        """As many as the loader needs, so that seep finds one free now and then."""
        for count in (4, 5, 8):
            self.check("uses_limits", "churn", "20x3000", prefix=self.prlimit(f"--nofile={count}"))

    @needs("setpriv")
    def test_no_processes(self):
        if not IS_ROOT:
            self.skipTest("not run: the limit of processes is an unprivileged user's, and to become one needs root")
        self.directory.chmod(0o777)
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *self.prlimit("--nproc=1")]
        self.check("uses_limits", "churn", "20x3000", prefix=prefix)


if __name__ == "__main__":
    matrix.main()
