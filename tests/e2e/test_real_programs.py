# SPDX-License-Identifier: Apache-2.0
"""Programs that nobody here wrote: what they print, write and return is the same with seep, exact and sampled, and
every recording reads back whole."""
import subprocess

import redis
import tap
from real_programs import PROGRAMS, REPRODUCIBLE
from seep_test import EXACT, OFTEN_SAMPLED, SAMPLED, SEEP, SeepTest, clean_environment, needs

MODES = (EXACT, SAMPLED, OFTEN_SAMPLED)
ENVIRONMENT = clean_environment(**REPRODUCIBLE)


class RealPrograms(SeepTest):
    def run_program(self, name, label, prefix):
        """Runs a program in a fresh directory: (status, output, files written), and its messages."""
        directory = self.directory / label.replace(" ", "-")
        directory.mkdir()
        program = PROGRAMS[name](directory)
        result = self.run_command([*prefix, *program.command], stdin=program.stdin, cwd=directory, env=ENVIRONMENT)
        files = {file: (directory / file).read_bytes() for file in program.result_files}
        return (result.returncode, result.stdout, files), result.stderr

    def check(self, name, executables):
        bare, bare_messages = self.run_program(name, "bare", [])
        self.assertEqual(bare[0], 0, bare_messages)
        for label, options in MODES:
            with self.subTest(mode=label):
                recording = self.directory / f"recording of {label}"
                same, messages = self.run_program(name, label, [SEEP, "run", *options, "-o", recording, "--"])
                self.assertEqual(same, bare)
                self.assertTrue(messages.startswith(bare_messages), messages)
                self.check_recording(recording, executables, exact=options == EXACT[1], sampled=label)

    def check_recording(self, recording, executables, exact, sampled):
        if sampled == "sampled" and not any(recording.glob("*.seep")):
            return  # Short processes may well have no sample at 512 KiB.
        report = self.report(recording)
        self.assert_whole(report, exact)
        found = {process["executable"].rsplit("/", 1)[-1] for process in report["processes"]}
        if sampled != "sampled":
            self.assertLessEqual(set(executables), found)
        for process in report["processes"]:
            self.assertIn(process["ended"], ("exit", "exec"), process)
        for name in ("live_bytes", "live_blocks", "alloc_bytes", "alloc_blocks"):
            total, parts = report["totals"][name], sum(site[name] for site in report["sites"])
            self.assertAlmostEqual(total, parts, delta=0 if exact else 1 + len(report["sites"]))
        text = self.seep("report", recording)
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        self.assertEqual(report["coverage"]["cut_traces"], 0, report["coverage"])

    @needs("sqlite3")
    def test_sqlite3(self):
        self.check("sqlite3", ["sqlite3"])

    def test_python3(self):
        self.check("python3", ["python3.11"])

    @needs("perl")
    def test_perl(self):
        self.check("perl", ["perl"])

    def test_gxx(self):
        self.check("g++", ["x86_64-linux-gnu-g++-12", "cc1plus", "x86_64-linux-gnu-as"])

    @needs("git")
    def test_git(self):
        self.check("git", ["git"])

    @needs("redis-server")
    @needs("redis-benchmark")
    def test_redis(self):
        for label, options in MODES:
            with self.subTest(mode=label):
                recording = self.directory / f"recording of {label}"
                prefix = [SEEP, "run", *options, "-o", recording, "--"]
                with redis.server_under(prefix, self.directory, clean_environment()) as (port, server):
                    lines = redis.benchmark(port, clean_environment())
                    size = subprocess.run(["redis-cli", "-p", str(port), "dbsize"], capture_output=True, check=True)
                self.assertGreaterEqual(len(lines), 5)
                self.assertGreater(int(size.stdout), 1000)
                self.assertEqual(server.returncode, 0, server.stop_error)
                report = self.report(recording)
                self.assert_whole(report, exact=options == EXACT[1])
                self.assertEqual([process["ended"] for process in report["processes"]], ["exit"])
                self.assertGreater(report["totals"]["alloc_blocks"], 10_000)


if __name__ == "__main__":
    tap.main()
