# SPDX-License-Identifier: Apache-2.0
"""The cache of functions and lines: a report is the same with and without, whatever is in it and whoever else uses it."""
import os
import pathlib
import shutil
import stat
import subprocess

import real_programs
import tap
from seep_test import CASES, SEEP, SeepTest, clean_environment

# Text as people read it, all of it, and all of it for programs.
REPORTS = ([], ["--full"], ["--format", "json"])


class SymbolCache(SeepTest):
    def setUp(self):
        super().setUp()
        self.cache_home = self.directory / "cache"
        self.environment = clean_environment(XDG_CACHE_HOME=self.cache_home)

    def recording(self):
        """A program with symbols and a libc with debug information (libc6-dbg), beside one with debug information."""
        path, result = self.record(["sh", "-c", f"{CASES}/ten_sites {CASES}/ten_sites_plugin.so && exec sqlite3 :memory:"],
                                   stdin=real_programs.sqlite(self.directory, rows=500).stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def reports(self, path, env, options=()):
        """Every kind of report, as bytes."""
        said = []
        for kind in REPORTS:
            result = subprocess.run([str(SEEP), "report", *kind, *options, str(path)], env=env, cwd=self.directory,
                                    capture_output=True, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            said.append(result.stdout)
        return said

    def files(self):
        return sorted((self.cache_home / "seep").glob("*")) if (self.cache_home / "seep").exists() else []

    def test_off_cold_and_warm_say_the_same(self):
        path = self.recording()
        off = self.reports(path, self.environment, ["--no-symbol-cache"])
        self.assertFalse(self.cache_home.exists(), "--no-symbol-cache made a cache")
        self.assertIn(b"ten_sites.cpp", off[1])
        cold = []
        for kind in REPORTS:
            shutil.rmtree(self.cache_home, ignore_errors=True)
            cold.append(subprocess.run([str(SEEP), "report", *kind, str(path)], env=self.environment, cwd=self.directory,
                                       capture_output=True, check=True).stdout)
        self.assertEqual(cold, off)
        self.assertGreater(len(self.files()), 2)
        for _ in range(2):
            self.assertEqual(self.reports(path, self.environment), off)

    def test_run_fills_it_and_off_leaves_nothing(self):
        command = [CASES / "ten_sites", CASES / "ten_sites_plugin.so"]
        self.assertEqual(self.record(command, ["--exact", "--no-symbol-cache"], env=self.environment)[1].returncode, 0)
        self.assertEqual(self.files(), [])
        self.assertEqual(self.record(command, env=self.environment)[1].returncode, 0)
        self.assertNotEqual(self.files(), [])

    def test_is_private(self):
        path = self.recording()
        previous = os.umask(0)
        try:
            self.reports(path, self.environment)
        finally:
            os.umask(previous)
        self.assertEqual(stat.S_IMODE((self.cache_home / "seep").stat().st_mode), 0o700)
        for file in self.files():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    def test_without_a_home_or_a_place_to_write_it_is_off(self):
        path = self.recording()
        off = self.reports(path, self.environment, ["--no-symbol-cache"])
        homeless = dict(self.environment)
        del homeless["HOME"], homeless["XDG_CACHE_HOME"]
        not_a_directory = self.directory / "file"
        not_a_directory.write_bytes(b"")
        before = sorted(self.directory.rglob("*"))
        for environment in (homeless, {**homeless, "HOME": "/nonexistent"}, {**homeless, "HOME": "relative"},
                            {**homeless, "XDG_CACHE_HOME": str(not_a_directory)}, {**homeless, "HOME": "/proc/self"}):
            self.assertEqual(self.reports(path, environment), off)
        self.assertEqual(sorted(self.directory.rglob("*")), before, "something was made")
        self.assertFalse(pathlib.Path("/nonexistent").exists())

    def test_damage_is_not_believed_and_mended(self):
        path = self.recording()
        off = self.reports(path, self.environment, ["--no-symbol-cache"])
        self.reports(path, self.environment)
        whole = {file: file.read_bytes() for file in self.files()}
        damages = (lambda data: b"", lambda data: data[:len(data) // 2], lambda data: bytes(len(data)),
                   lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data + b"more",
                   # What another module's says, in this one's place.
                   lambda data: next(other for other in whole.values() if other != data))
        for damage in damages:
            for file, data in whole.items():
                file.write_bytes(damage(data))
            self.assertEqual(self.reports(path, self.environment), off)
            self.assertEqual({file: file.read_bytes() for file in self.files()}, whole)

    def test_many_reports_at_once_while_it_is_taken_away(self):
        path = self.recording()
        off = self.reports(path, self.environment, ["--no-symbol-cache"])
        for _ in range(6):
            running = [subprocess.Popen([str(SEEP), "report", *kind, str(path)], env=self.environment,
                                        cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                       for kind in REPORTS * 2]
            shutil.rmtree(self.cache_home, ignore_errors=True)
            for process, expected in zip(running, off * 2):
                said, complaint = process.communicate()
                self.assertEqual((process.returncode, complaint), (0, b""))
                self.assertEqual(said, expected)
        for file in self.files():
            self.assertFalse(file.name.startswith("."), f"{file} was left unfinished")


if __name__ == "__main__":
    tap.main()
