# SPDX-License-Identifier: Apache-2.0
"""The README says what is true: its samples are what the commands print, its options exist, its files are there."""
import os
import re
import signal
import subprocess
import time

import yaml

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
        for usage in re.findall(r"`seep (run|report|gate|diff|clean) ([^`]*)`", README):
            wanted = set(re.findall(r"--\w[\w-]*", usage[1].split(" -- ")[0]))
            help_text = self.seep(usage[0], "--help").stdout
            missing = {option for option in wanted if option not in help_text}
            self.assertEqual(missing, set(), f"seep {usage[0]} --help")

    def test_options_of_the_gate_are_told_and_are_keys_too(self):
        """Each option of the help stands in the README; each key of the table is one of the policy's."""
        help_text = self.seep("gate", "--help").stdout
        told = set(re.findall(r"--[a-z][\w-]*", README)) | {"--help"}
        formats = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \| ", README[README.index("| format | for |"):].split("\n\n")[0],
                             re.MULTILINE)
        told |= {f"--{name}" for row in formats for name in row if name}
        self.assertEqual(set(re.findall(r"--[a-z][\w-]*", help_text)) - told - {"--log-file"}, set())
        rows = README[README.index("| key | option | meaning |"):].split("\n\n")[0]
        keys = set(re.findall(r"`(?:\[\[)?(\w+)(?:\]\])?`", "\n".join(row.split("|")[1] for row in rows.splitlines()[2:])))
        policy = self.directory / "seep.toml"
        policy.write_text("no_such_key = 1\n")
        known = self.seep("gate", "--policy", policy, ".").stderr.split("known are ")[1]
        self.assertEqual(keys, set(re.findall(r"\w+", known)))

    def test_snippets_are_those_of_the_sample_project(self):
        """What is tried in test_gate_projects.py."""
        for language, name in (("meson", "meson.build"), ("cmake", "CMakeLists.txt")):
            (snippet,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
            self.assertIn(snippet, (SOURCE / "tests/sample_project" / name).read_text())
        (snippet,) = re.findall(r"```cpp\n(.*?)```", README, re.DOTALL)
        source = (SOURCE / "tests/sample_project/inventory_gtest.cpp").read_text().replace("({warm_up})", "()")
        for line in filter(None, snippet.splitlines()):
            self.assertIn(line.split("  //")[0].rstrip(), source)

    def commands_of(self, marker):
        """The commands of a YAML snippet behind a marker, and what it says."""
        snippet = yaml.safe_load(re.search(rf"<!-- tried:{marker} -->\n```yaml\n(.*?)```", README, re.DOTALL)[1])
        if marker == "gitlab":
            return snippet["leaks"]["script"], snippet
        return [step["run"] for step in snippet["runs"]["steps"] if "run" in step], snippet

    def tried(self, commands, **environment):
        """What a CI's shell does with them, where ./tests leaks."""
        tests = self.directory / "tests"
        tests.write_text(f"#!/bin/sh\nexec {CASES}/leaks leak\n")
        tests.chmod(0o755)
        environment = clean_environment(PATH=f"{BUILD / 'tools'}:/usr/bin:/bin", **environment)
        return self.run_command(["bash", "-eo", "pipefail", "-c", "\n".join(commands)], env=environment)

    def test_the_action_works(self):
        commands, action = self.commands_of("action")
        self.assertEqual(action["runs"]["using"], "composite")
        summary = self.directory / "summary.md"
        result = self.tried(commands, COMMAND="./tests", OPTIONS="--max-bytes 10", GITHUB_STEP_SUMMARY=summary)
        self.assertEqual(result.returncode, 23, result.stderr)
        self.assertIn("::error ", result.stderr)
        self.assertIn("FAILED", summary.read_text())
        upload = next(step for step in action["runs"]["steps"] if "uses" in step)
        self.assertTrue((self.directory / upload["with"]["sarif_file"]).exists())
        self.assertEqual(self.tried(commands, COMMAND="./tests", OPTIONS="--max-bytes 20k").returncode, 0)

    def test_the_gitlab_job_works(self):
        commands, job = self.commands_of("gitlab")
        for _ in range(2):
            self.assertEqual(self.tried(commands).returncode, 23)
            for name in (*job["leaks"]["artifacts"]["paths"], job["leaks"]["artifacts"]["reports"]["junit"]):
                self.assertTrue((self.directory / name).exists(), name)

    def test_files_that_it_names_exist(self):
        for path in re.findall(r"\]\(([\w./-]+)\)", README) + re.findall(r"\./(scripts/\w+)", README):
            self.assertTrue((SOURCE / path).exists(), path)


if __name__ == "__main__":
    tap.main()
