# SPDX-License-Identifier: Apache-2.0
"""`meson install` gives bin/seep and lib/seep/libseep.so, and the one finds the other wherever they are put."""
import os
import shutil

import tap
from seep_test import BUILD, CASES, SeepTest, own_frame


class Install(SeepTest):
    def setUp(self):
        super().setUp()
        result = self.run_command(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir",
                                   self.directory / "image"])
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        found = list((self.directory / "image").rglob("bin/seep"))
        self.assertEqual(len(found), 1, found)
        self.prefix = found[0].parents[1]

    def check_works(self, prefix):
        library = self.run_command([prefix / "bin/seep", "preload"]).stdout.strip()
        self.assertTrue(os.path.samefile(library, prefix / "lib/seep/libseep.so"), library)
        recording = self.new_recording_path()
        result = self.run_command([prefix / "bin/seep", "run", "-o", recording, "--", CASES / "ends"])
        self.assertEqual(result.returncode, 4, result.stderr)
        live = [(own_frame(site)["function"], site["live_blocks"]) for site in self.report(recording)["sites"]
                if "hold" in own_frame(site)["function"]]
        self.assertEqual([blocks for _, blocks in live], [7], live)

    def test_from_the_image(self):
        self.check_works(self.prefix)

    def test_moved_elsewhere(self):
        shutil.move(self.prefix, self.directory / "moved")
        self.check_works(self.directory / "moved")

    def test_where_the_loader_cannot_take_the_path_it_says_so(self):
        """LD_PRELOAD is a list separated by spaces and colons, and there is no way to quote one."""
        shutil.move(self.prefix, self.directory / "with space")
        result = self.run_command([self.directory / "with space/bin/seep", "run", "--", "true"])
        self.assertEqual(result.returncode, 2)
        self.assert_one_line(result.stderr, "space")

    def test_called_through_a_link(self):
        (self.directory / "path").mkdir()
        (self.directory / "path/seep").symlink_to(self.prefix / "bin/seep")
        library = self.run_command([self.directory / "path/seep", "preload"]).stdout.strip()
        self.assertTrue(os.path.samefile(library, self.prefix / "lib/seep/libseep.so"), library)

    def test_nothing_but_the_product(self):
        files = sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file())
        self.assertIn("bin/seep", files)
        self.assertIn("lib/seep/libseep.so", files)
        self.assertEqual([name for name in files if name.startswith("include/")],
                         ["include/seep/gtest.h", "include/seep/seep.h"])
        others = [name for name in files if not name.startswith("include/")]
        self.assertFalse([name for name in others if "gtest" in name or "e2e" in name or name.endswith(".a")], files)

    def test_without_its_library_it_says_so(self):
        (self.prefix / "lib/seep/libseep.so").unlink()
        result = self.run_command([self.prefix / "bin/seep", "preload"])
        self.assertEqual(result.returncode, 3)
        self.assert_one_line(result.stderr, "libseep.so")


if __name__ == "__main__":
    tap.main()
