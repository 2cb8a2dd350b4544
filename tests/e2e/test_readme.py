# SPDX-License-Identifier: Apache-2.0
"""The README says what is true: its samples are what the commands print, its options exist, its files are there."""
import os
import re
import signal
import subprocess
import time

import tap
from seep_test import BUILD, CASES, PRELOAD, SOURCE, SeepTest, clean_environment

README = (SOURCE / "README.md").read_text()
# What stands in the table of options where there is no value.
VALUES = {"random": "7", "none": "USR2"}
UNTOLD = {"announce", "check_traces"}  # Between `seep run` and the shared object; for the tests.

# Leaks 10 blocks of 100 bytes, says so, and sleeps.
SERVER = """
#include "told.h"
SITE static void serve(void) {
  for (int i = 0; i < 10; ++i) escape(malloc(100));
  escape(NULL);
}
int main(void) {
  serve();
  forget();
  must(write(1, "ready", 5) == 5, "somebody reads");
  for (;;) pause();
}
"""


def options_in_readme():
    """{key: value} of the table of the shared object's options."""
    table = README[README.index("| key | default | meaning |"):].split("\n\n", 1)[0]
    return {key: VALUES.get(default, default.strip("`")) for key, default in re.findall(r"^\| `(\w+)` \| (\S+)", table,
                                                                                      re.MULTILINE)}


class Readme(SeepTest):
    def test_samples_are_current(self):
        environment = {**os.environ, "SEEP_BUILD": str(BUILD)}
        result = self.run_command([SOURCE / "scripts/readme", "--check"], env=environment)
        self.assertEqual((result.returncode, result.stdout.strip()), (0, ""), result.stderr)

    def test_the_first_screen_has_a_command_and_a_report(self):
        first = "\n".join(README.splitlines()[:45])
        self.assertIn("./scripts/quickstart", first)
        self.assertIn("word_index.cpp:", first)

    def test_preload_options_are_accepted_with_their_defaults(self):
        for key, value in options_in_readme().items():
            with self.subTest(key=key):
                result = self.run_command([CASES / "ends", "return"], env=clean_environment(
                    LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"{key}={value}"))
                self.assertEqual((result.returncode, result.stderr), (4, ""))

    def test_all_preload_options_are_told_in_their_order(self):
        source = (SOURCE / "src/preload/options.cpp").read_text()
        keys = re.findall(r'^ +\{"(\w+)", ', source[source.index("kOptionKeys[] = {"):], re.MULTILINE)
        self.assertEqual([key for key in keys if key not in UNTOLD], list(options_in_readme()))

    def test_a_signal_asks_for_a_scan_as_it_says(self):
        self.assertIn("SEEP_OPTIONS=scan_signal=USR2 ./server &", README)
        program = self.directory / "server"
        subprocess.run(["gcc", "-O1", "-D_GNU_SOURCE", "-I", SOURCE / "tests/verdicts", "-x", "c", "-o", program, "-"],
                       input=SERVER, text=True, check=True)
        options = f"sample=1:scan_signal=USR2:out={self.directory}/recording/%p.seep"
        (self.directory / "recording").mkdir()
        environment = clean_environment(LD_PRELOAD=PRELOAD, SEEP_OPTIONS=options)
        with subprocess.Popen([program], env=environment, stdout=subprocess.PIPE) as server:
            try:
                self.assertEqual(server.stdout.read(5), b"ready")
                server.send_signal(signal.SIGUSR2)
                self.assertTrue(self.comes_true(lambda: self.has_verdicts(server.pid)))
                self.assertIsNone(server.poll(), "the server has ended")
            finally:
                server.kill()
        report = self.report(self.directory / "recording")
        self.assertEqual(report["processes"][0]["scan"]["trigger"], "signal")
        self.assertEqual((report["totals"]["leaked_blocks"], report["totals"]["leaked_bytes"]), (10, 1000))

    def has_verdicts(self, pid):
        """After a snapshot: the copy that scans may not have been done before it."""
        result = self.seep("snapshot", pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.report(self.directory / "recording")["processes"][0]["scan"] is not None

    @staticmethod
    def comes_true(condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
        return True

    def test_commands_and_their_options_are_in_the_help(self):
        for usage in re.findall(r"`seep (run|report) ([^`]*)`", README):
            wanted = set(re.findall(r"--\w+", usage[1]))
            help_text = self.seep(usage[0], "--help").stdout
            missing = {option for option in wanted if option not in help_text}
            self.assertEqual(missing, set(), f"seep {usage[0]} --help")

    def test_files_that_it_names_exist(self):
        for path in re.findall(r"\]\(([\w./-]+)\)", README) + re.findall(r"\./(scripts/\w+)", README):
            self.assertTrue((SOURCE / path).exists(), path)


if __name__ == "__main__":
    tap.main()
