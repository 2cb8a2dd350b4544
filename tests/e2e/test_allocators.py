# SPDX-License-Identifier: Apache-2.0
"""Every function of the family over every allocator of Debian: all are seen, and the allocator stays the program's."""
import json
import re

import tap
from seep_test import CASES, OFTEN_SAMPLED, SAMPLED, SEEP, SeepTest


class Allocators(SeepTest):
    def check(self, program):
        if not (CASES / program).exists():
            self.skipTest(f"not run: {program} was not built, its allocator is not installed")
        bare = self.run_command([CASES / program])
        path, result = self.record([CASES / program])
        self.assertEqual((result.returncode, result.stdout), (bare.returncode, bare.stdout))
        report = self.report(path)
        self.assert_whole(report)
        self.assertEqual(self.leaks_by_function(report), json.loads(bare.stdout))
        freed = [site for site in report["sites"] if "free_each_way" in str(site["frames"])]
        self.assertEqual(sum(site["live_blocks"] for site in freed), 0, freed)
        self.assertGreaterEqual(sum(site["alloc_blocks"] for site in freed), 160)
        for _, options in (SAMPLED, OFTEN_SAMPLED):
            _, result = self.record([CASES / program], options)
            self.assertEqual((result.returncode, result.stdout), (bare.returncode, bare.stdout))

    def leaks_by_function(self, report):
        """{function: live bytes} of the functions named leak_*."""
        found = {}
        for site in report["sites"]:
            for frame in site["frames"]:
                match = re.search(r"\bleak_\w+", frame["function"])
                if match and site["live_blocks"]:
                    self.assertEqual(site["live_blocks"], 1, site)
                    found[match.group()] = found.get(match.group(), 0) + site["live_bytes"]
                    break
        return found

    def test_glibc(self):
        self.check("every_function")

    def test_jemalloc(self):
        self.check("every_function_jemalloc")

    def test_tcmalloc(self):
        self.check("every_function_tcmalloc")

    def test_mimalloc(self):
        self.check("every_function_mimalloc")

    def test_preloaded_jemalloc_behind_seep(self):
        """An allocator that is preloaded itself comes after seep, and is used."""
        libraries = self.run_command(["sh", "-c", "ldconfig -p 2>/dev/null || /sbin/ldconfig -p"]).stdout
        match = re.search(r"libjemalloc\.so\.2 .*=> (\S+)", libraries)
        if not match:
            self.skipTest("not run: libjemalloc.so.2 is not installed")
        command = ["env", f"LD_PRELOAD={match.group(1)}", SEEP, "run", "-o", self.directory / "r", "--",
                   CASES / "every_function"]
        result = self.run_command(command)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.leaks_by_function(self.report(self.directory / "r")), json.loads(result.stdout))


if __name__ == "__main__":
    tap.main()
