# SPDX-License-Identifier: Apache-2.0
"""Ten known sites, to the line and to the byte: what cases/ten_sites.cpp says of itself is what the report says."""
import json
import os

import tap
from seep_test import CASES, SeepTest, own_frame

PROGRAM, PLUGIN = CASES / "ten_sites", CASES / "ten_sites_plugin.so"


class GroundTruth(SeepTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = cls("record_once")
        cls.shared.record_once()

    @classmethod
    def tearDownClass(cls):
        cls.shared.doCleanups()

    def record_once(self):
        self.setUp()
        self.path, result = self.record([PROGRAM, PLUGIN])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.truth = json.loads(result.stdout)
        self.found = self.report(self.path)

    def of_the_program(self):
        """The sites that still hold something and whose own frame is the program's or its plugin's."""
        modules = {PROGRAM.name, PLUGIN.name}
        return [site for site in self.shared.found["sites"]
                if site["live_blocks"] and os.path.basename(own_frame(site)["module"]) in modules]

    def test_it_is_ten_sites(self):
        self.assertEqual(len(self.shared.truth), 10)

    def test_every_site_with_file_and_line_and_every_byte(self):
        expected = sorted((os.path.basename(row["file"]), row["line"], row["blocks"], row["bytes"])
                          for row in self.shared.truth)
        found = sorted((os.path.basename(own_frame(site)["file"] or ""), own_frame(site)["line"],
                        site["live_blocks"], site["live_bytes"]) for site in self.of_the_program())
        self.assertEqual(found, expected)

    def test_functions_are_named_in_full(self):
        names = {(os.path.basename(own_frame(site)["file"]), own_frame(site)["line"]): own_frame(site)["function"]
                 for site in self.of_the_program()}
        for row in self.shared.truth:
            self.assertIn(row["function"], names.get((os.path.basename(row["file"]), row["line"]), ""))

    def test_files_exist_where_the_report_says(self):
        for site in self.of_the_program():
            self.assertTrue(os.path.exists(own_frame(site)["file"]), own_frame(site))

    def test_the_inline_function_is_a_frame_of_its_own(self):
        site = next(site for site in self.of_the_program() if "leak_inlined" in own_frame(site)["function"])
        names = [(frame["function"], frame["inlined"]) for frame in site["frames"] if not frame["runtime"]]
        self.assertTrue("leak_inlined" in names[0][0] and names[0][1], names)
        self.assertTrue("call_inlined" in names[1][0] and not names[1][1], names)
        self.assertTrue(any(name.startswith("main") for name, _ in names), names)

    def test_the_closed_library_still_has_names(self):
        site = next(site for site in self.of_the_program() if own_frame(site)["module"].endswith(PLUGIN.name))
        self.assertIn("leak_in_plugin", own_frame(site)["function"])
        self.assertTrue(any(frame["function"].startswith("main") for frame in site["frames"]), site["frames"])

    def test_nothing_was_lost_and_the_sums_agree(self):
        report = self.shared.found
        self.assert_whole(report)
        for name in ("live_bytes", "live_blocks", "alloc_bytes", "alloc_blocks", "temporary_blocks"):
            self.assertEqual(report["totals"][name], sum(site[name] for site in report["sites"]), name)

    def test_exact_mode_has_no_intervals(self):
        names = {name for row in [self.shared.found["totals"], *self.shared.found["sites"]] for name in row}
        self.assertEqual({name for name in names if name.endswith("_interval")}, set())

    def test_none_of_seeps_own_frames(self):
        modules = {os.path.basename(frame["module"]) for site in self.shared.found["sites"]
                   for frame in site["frames"]}
        self.assertNotIn("libseep.so", modules)
        self.assertFalse({name for name in modules if name.startswith("libunwind")}, modules)

    def test_fingerprints_are_the_same_in_another_run(self):
        path, _ = self.shared.record([PROGRAM, PLUGIN])
        again = self.shared.report(path)
        self.assertEqual(sorted(site["fingerprint"] for site in again["sites"]),
                         sorted(site["fingerprint"] for site in self.shared.found["sites"]))

    def test_top_and_text(self):
        report = self.shared.report(self.shared.path, options=("--top", "3"))
        self.assertEqual(len(report["sites"]), 3)
        text = self.shared.seep("report", "--full", self.shared.path).stdout
        for row in self.shared.truth:
            self.assertIn(f"{os.path.basename(row['file'])}:{row['line']}", text)


if __name__ == "__main__":
    tap.main()
