# SPDX-License-Identifier: Apache-2.0
"""The README says what is true: its samples are what the commands print, its options exist, its files are there."""
import os
import re

import tap
from seep_test import BUILD, CASES, PRELOAD, SOURCE, SeepTest, clean_environment

README = (SOURCE / "README.md").read_text()


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
        keys = re.findall(r"^\| `(\w+)` \| (\S+)", README, re.MULTILINE)
        self.assertGreaterEqual(len(keys), 5)
        for key, default in keys:
            value = "7" if default == "random" else default.strip("`")
            with self.subTest(key=key):
                result = self.run_command([CASES / "ends", "return"], env=clean_environment(
                    LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"{key}={value}"))
                self.assertEqual((result.returncode, result.stderr), (4, ""))

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
