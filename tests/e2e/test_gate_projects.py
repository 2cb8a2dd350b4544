# SPDX-License-Identifier: Apache-2.0
"""The gate in a project, as its developers would use it: tests/sample_project, which has a clean and a leaking test, with
seep installed, through Meson, CTest and GoogleTest.
"""
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree

import junitparser

import tap
from seep_test import BUILD, PRELOAD, SOURCE, SeepTest, clean_environment, needs

SAMPLE = SOURCE / "tests/sample_project"
LEAKS = 23


class ProjectTest(SeepTest):
    def setUp(self):
        super().setUp()
        image = self.directory / "image"
        self.succeed(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", image], env=os.environ)
        (prefix,) = {path.parents[1] for path in image.rglob("bin/seep")}
        self.project = self.directory / "project"
        shutil.copytree(SAMPLE, self.project)
        self.environment = clean_environment(PATH=f"{prefix / 'bin'}:/usr/bin:/bin",
                                             CPLUS_INCLUDE_PATH=prefix / "include")

    def command(self, *words, **more):
        return self.run_command(words, env={**self.environment, **more}, cwd=self.project)

    def succeed(self, words, **how):
        result = self.run_command(words, **how)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def in_project(self, *words):
        return self.succeed(words, env=self.environment, cwd=self.project)

    def left_recordings(self):
        return sorted(path.name.rsplit(".", 1)[0] for path in self.project.rglob("seep.*.*") if path.is_dir())


class MesonAndGoogleTest(ProjectTest):
    def setUp(self):
        super().setUp()
        self.in_project("meson", "setup", "build")
        self.in_project("ninja", "-C", "build")

    def results(self, result):
        return dict(re.findall(r"^ *\d+/\d+ (\w+) +(OK|FAIL)\b", result.stdout, re.MULTILINE))

    def test_all(self):
        """One build for all of them: compiling takes longest."""
        self.check_meson()
        self.check_each_test_is_judged_for_itself()
        self.check_without_seep_it_does_nothing()
        self.check_warm_up()

    def check_meson(self):
        plain = self.command("meson", "test", "-C", "build")
        self.assertEqual(self.results(plain), {"clean": "OK", "leaking": "OK", "inventory": "OK"})
        for _ in range(2):  # Again in the workspace that the first left, with its reports and recordings.
            checked = self.command("meson", "test", "-C", "build", "--setup", "leaks")
            self.assertEqual(self.results(checked), {"clean": "OK", "leaking": "FAIL", "inventory": "FAIL"},
                             checked.stdout)
            self.assertIn(f"exit status {LEAKS}", checked.stdout)
        self.assertEqual(set(self.left_recordings()), {"seep.leaking_test", "seep.inventory_gtest"})
        self.check_reports()

    def check_reports(self):
        """One report for each test, though they ran beside each other."""
        reports = sorted(path.name for path in (self.project / "build").glob("leaks.*.xml"))
        self.assertEqual(reports, ["leaks.clean_test.xml", "leaks.inventory_gtest.xml", "leaks.leaking_test.xml"])
        leaking = junitparser.JUnitXml.fromfile(str(self.project / "build/leaks.leaking_test.xml"))
        (failed,) = [case for suite in leaking for case in suite if case.result]
        self.assertEqual(failed.name, "leak: inventory::(anonymous namespace)::lower_case")
        self.assertIn("leaking_test.cpp:10", failed.result[0].text)

    def gtest(self, *options, wrapper=("seep", "run", "--gate", "--"), **environment):
        """{test: whether it passed}, and the output."""
        xml = self.directory / "gtest.xml"
        result = self.command(*wrapper, "build/inventory_gtest", f"--gtest_output=xml:{xml}", *options, **environment)
        cases = ElementTree.parse(xml).getroot().iter("testcase")
        outcome = {f"{case.get('classname')}.{case.get('name')}": case.find("failure") is None for case in cases}
        return outcome, result

    def check_each_test_is_judged_for_itself(self):
        outcome, result = self.gtest(SAMPLE_FAILS="1")
        failed = {name for name, passed in outcome.items() if not passed}
        self.assertEqual(failed, {"Inventory.FindsAndLeaks", "Inventory.ConnectsOnce", "All/Sized.LeaksWhereItIsOdd/1",
                                  "All/Sized.LeaksWhereItIsOdd/3", "Failing.IsNotToldOfTwice"}, result.stdout)
        self.assertEqual(result.returncode, 1, "the program's own")
        self.assertIn("seep: this test leaks 2001 bytes in 1 block", result.stdout)
        self.assertIn("--gtest_filter=Inventory.FindsAndLeaks", result.stdout)
        self.assertEqual(result.stdout.count("seep: this test leaks"), 4, "a test that failed by itself is not told of twice")
        outcome, _ = self.gtest("--gtest_shuffle", "--gtest_random_seed=3")
        self.assertEqual({name for name, passed in outcome.items() if not passed}, failed, "in any order")

    def check_without_seep_it_does_nothing(self):
        outcome, result = self.gtest(wrapper=())
        self.assertEqual((result.returncode, set(outcome.values())), (0, {True}), result.stdout)
        self.assertNotIn("seep", result.stdout)
        outcome, _ = self.gtest(wrapper=("env", f"LD_PRELOAD={PRELOAD}", "SEEP_OPTIONS=sample=1:scan=off"))
        self.assertEqual(set(outcome.values()), {True}, "where scans are turned off")

    def check_warm_up(self):
        """What leaks once is for the warm-up; what leaks each time is not."""
        outcome, result = self.gtest("--gtest_repeat=2", "--gtest_filter=Inventory.*", SEEP_GTEST_WARM_UP="1")
        first, second = result.stdout.split("Repeating all tests (iteration 2)")
        self.assertNotIn("seep: this test leaks", first)
        self.assertEqual(second.count("seep: this test leaks"), 1, second)
        self.assertIn("--gtest_filter=Inventory.FindsAndLeaks", second)
        outcome, _ = self.gtest("--gtest_filter=Inventory.*", SAMPLE_WARMS_UP="1")
        self.assertEqual([name for name, passed in outcome.items() if not passed], ["Inventory.FindsAndLeaks"])


@needs("cmake")
class CTest(ProjectTest):
    def test_all(self):
        self.in_project("cmake", "-S", ".", "-B", "build")
        self.in_project("cmake", "--build", "build")
        self.in_project("ctest", "--test-dir", "build", "-j4")
        for _ in range(2):
            result = self.command("ctest", "--test-dir", "build", "-j4", "-T", "memcheck")
            self.assertNotEqual(result.returncode, 0)
            self.assertRegex(result.stdout, r"MemCheck #\d+: clean \.+ +Passed")
            self.assertRegex(result.stdout, r"MemCheck: #\d+: leaking \.+ +Defects: 1")
            self.assertIn("Memory Leak - 1", result.stdout)
        (analysis, *_) = sorted(self.project.glob("build/Testing/*/DynamicAnalysis.xml"), reverse=True)
        defects = {test.findtext("Name"): [defect.get("type") for defect in test.iter("Defect")]
                   for test in ElementTree.parse(analysis).getroot().iter("Test") if test.find("Name") is not None}
        self.assertEqual(defects, {"leaking": ["Memory Leak"]}, "of one without a defect CTest says nothing")
        self.check_as_a_wrapper()

    def check_as_a_wrapper(self):
        """The same tests, each run by seep."""
        self.in_project("cmake", "-S", ".", "-B", "build", "-DCMAKE_CROSSCOMPILING_EMULATOR=seep;run;--gate;--")
        result = self.command("ctest", "--test-dir", "build", "-j4", "--output-on-failure")
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"Test #\d+: clean \.+ +Passed")
        self.assertRegex(result.stdout, r"Test #\d+: leaking \.+\*\*\*Failed")
        self.assertIn("seep gate FAILED: 1 leak: 72 bytes in 3 blocks", result.stdout)


if __name__ == "__main__":
    tap.main()
