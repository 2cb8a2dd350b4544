# SPDX-License-Identifier: Apache-2.0
"""`seep gate` and `seep run --gate` as a CI job meets them: exit codes, what is said first, what is left behind, and
that nothing is passed which was not judged. The programs under test say themselves what they lose (cases/).
"""
import json
import os
import random
import signal
import subprocess

import tap
from gate_test import FAILED, LEAKS, NOT_JUDGED, PASSED, WRONG_USAGE, GateTest
from seep_test import CASES, LONG, clean_environment, only_stream

RUNS = 1000 if LONG else 12
FIRST_SCREEN = 25  # Lines.


class Verdicts(GateTest):
    def test_a_leak_fails_and_the_first_screen_says_what_to_do(self):
        path = self.recorded("leak", "keep")
        result = self.gate(path)
        self.assertEqual((result.returncode, result.stderr), (FAILED, ""))
        screen = result.stdout.splitlines()[:FIRST_SCREEN]
        self.assertIn("seep gate FAILED: 2 leaks: 12,464 bytes (12.2 KiB) in 61 blocks", screen[0])
        text = "\n".join(screen)
        for words in ("leaks: 2 sites", "allowed: none", "#1  definite: 10,000 bytes", "make_message", "open_list",
                      f"seep report --full {path}"):
            self.assertIn(words, text)
        self.assertNotIn("make_table", result.stdout)

    def test_what_is_in_reach_passes(self):
        result = self.gate(self.recorded("keep", "maybe"))
        self.assertEqual((result.returncode, result.stderr), (PASSED, ""))
        self.assertIn("seep gate PASSED: no leak\n", result.stdout)
        self.assertLessEqual(len(result.stdout.splitlines()), 3)

    def test_one_verdict_over_several_recordings(self):
        clean, leaking = self.recorded("keep"), self.recorded("leak")
        self.assertEqual(self.gate(clean).returncode, PASSED)
        self.assertEqual(self.gate(clean, leaking).returncode, FAILED)
        twice = self.verdict(leaking, only_stream(self.recorded("leak")))
        self.assertEqual((twice["leaks"]["sites"], twice["leaks"]["blocks"]), (2, 2 * 61))

    def test_the_newest_recording_here_without_a_path(self):
        self.assertEqual(self.run_gate([CASES / "leaks", "leak"]).returncode, LEAKS)
        self.assertEqual(self.gate().returncode, FAILED)

    def test_each_verdict_may_fail(self):
        path = self.recorded("maybe", "keep")
        for fail, code in (("possible", FAILED), ("definite,possible", FAILED), ("reachable", FAILED),
                           ("live", FAILED), ("definite,indirect", PASSED), ("none", PASSED)):
            self.assertEqual(self.gate("--fail", fail, path).returncode, code, fail)

    def test_limits_and_budgets(self):
        path = self.recorded("leak")
        for options, code in ((["--max-bytes", "12464"], PASSED), (["--max-bytes", "12463"], FAILED),
                              (["--max-blocks", "61"], PASSED), (["--max-blocks", "60"], FAILED),
                              (["--site-budget", "make_message=10000/10", "--site-budget", "open_list=/51"], PASSED),
                              (["--site-budget", "make_message=9999", "--site-budget", "open_list=/51"], FAILED),
                              (["--suppress", "^make_message$", "--suppress", "open_list"], PASSED),
                              (["--suppress", "^make_message$"], FAILED)):
            self.assertEqual(self.gate(*options, path).returncode, code, options)

    def test_allocation_budgets_stand_in_a_table(self):
        path = self.recorded("leak")
        result = self.gate("--fail", "none", "--allocation-budget", "make_message=1000/1@100",
                           "--allocation-budget", "^lose_messages$=/99", path)
        self.assertEqual(result.returncode, FAILED)
        rows = [line.split() for line in result.stdout.splitlines()]
        self.assertIn("make_message (a call of 100) 1,000 1,000 1 1 ok".split(), rows)
        self.assertIn("^lose_messages$ 100,000 100 99 FAILED".split(), rows)

    def test_a_policy_file_says_the_same_as_options(self):
        path = self.recorded("leak", "maybe")
        policy = self.directory / "seep.toml"
        policy.write_text('fail = ["definite", "possible"]\nmax_bytes = 700\nsuppressions = "known.supp"\n'
                          '[[site_budget]]\nstack = ["open_list", "lose_list"]\nmax_bytes = 2464\n'
                          '[[allocation_budget]]\nfunction = "^lose_messages$"\nmax_bytes = 100000\n')
        (self.directory / "known.supp").write_text("leak:make_message\n")
        self.assertEqual(self.gate("--policy", policy, path).returncode, PASSED)
        self.assertEqual(self.gate("--policy", policy, "--max-bytes", "699", path).returncode, FAILED)

    def test_the_order_of_rules_leaves_each_block_to_one(self):
        path = self.recorded("leak")
        verdict = self.verdict("--suppress", "make_message", "--site-budget", "main=3000", path)
        self.assertEqual(verdict["outcome"], "passed")
        self.assertEqual(verdict["suppressions"][0]["suppressed_bytes"], 10_000)
        self.assertEqual(verdict["site_budgets"][0]["bytes"], 2_464)

    def test_unused_rules_are_reported_and_fail_where_it_is_strict(self):
        path = self.recorded("keep")
        result = self.gate("--suppress", "no_such_function", path)
        self.assertEqual(result.returncode, PASSED)
        self.assertIn("no_such_function: matched nothing", result.stdout)
        self.assertEqual(self.gate("--strict", "--suppress", "no_such_function", path).returncode, FAILED)

    def test_suggestions_let_the_leaks_pass_and_no_more(self):
        path = self.recorded("leak")
        suggested = self.gate("--suggest", path)
        self.assertEqual(suggested.returncode, FAILED)
        rules = self.directory / "suggested.toml"
        rules.write_text(suggested.stdout)
        self.assertEqual(self.gate("--suppressions", rules, path).returncode, PASSED)
        self.assertEqual(self.gate("--suppressions", rules, self.recorded("leak", "leak")).returncode, FAILED)
        self.assertEqual(self.gate("--suppressions", rules, self.recorded("leak", program="suppresses_leaks")).returncode,
                         PASSED)

    def test_suppressions_of_lsan_and_valgrind(self):
        path = self.recorded("leak")
        lsan, valgrind = self.directory / "lsan.supp", self.directory / "valgrind.supp"
        lsan.write_text("# Known.\nleak:^make_message$\n")
        valgrind.write_text("{\n  list\n  Memcheck:Leak\n  match-leak-kinds: definite\n  fun:calloc\n"
                            "  fun:open_list\n  fun:lose_list\n  ...\n  fun:main\n}\n")
        result = self.gate("--suppressions", lsan, "--suppressions", valgrind, path)
        self.assertEqual(result.returncode, PASSED, result.stdout)
        self.assertIn(f"{lsan}:2", result.stdout)
        self.assertEqual(self.gate("--suppressions", valgrind, path).returncode, FAILED)

    @staticmethod
    def valgrinds_own(program, *arguments):
        """The suppressions that Valgrind itself makes of what a program leaks."""
        result = subprocess.run(["valgrind", "--leak-check=full", "--gen-suppressions=all", program, *arguments],
                                capture_output=True, text=True, check=False)
        lines, inside = [], False
        for line in result.stderr.splitlines():
            inside |= line == "{"
            if inside:
                lines.append("   what" if "insert_a_suppression_name_here" in line else line)
            inside &= line != "}"
        return "\n".join(lines) + "\n"

    def test_suppressions_that_valgrind_makes(self):
        suppressions = self.directory / "made.supp"
        for command in (["leaks", "leak"], ["word_index"]):
            suppressions.write_text(self.valgrinds_own(CASES / command[0], *command[1:]))
            self.assertGreaterEqual(suppressions.read_text().count("Memcheck:Leak"), 2)
            path = self.recorded(*command[1:], program=command[0])
            result = self.gate("--suppressions", suppressions, path)
            self.assertEqual(result.returncode, PASSED, f"{suppressions.read_text()}\n{result.stdout}")


class Running(GateTest):
    def test_exit_codes_of_run(self):
        for command, options, code in (([CASES / "leaks", "leak"], [], LEAKS),
                                       ([CASES / "leaks", "leak"], ["--leak-exitcode", "9"], 9),
                                       ([CASES / "leaks", "keep"], [], PASSED),
                                       ([CASES / "ends", "return"], [], 4),
                                       (["sh", "-c", f"{CASES}/leaks leak; exit 7"], [], 7),
                                       ([CASES / "leaks", "leak", "kill"], [], 128 + signal.SIGKILL),
                                       ([CASES / "leaks", "leak", "_exit"], [], LEAKS),
                                       ([CASES / "leaks", "leak", "quick_exit"], [], LEAKS),
                                       ([CASES / "static_program"], [], NOT_JUDGED),
                                       (["no-such-program"], [], 127)):
            self.assertEqual(self.run_gate(command, options).returncode, code, command)

    def test_the_programs_output_is_untouched_and_first(self):
        script = f"cat; echo out; echo err >&2; {CASES}/leaks leak"
        result = self.run_gate(["sh", "-c", script], stdin=b"in\n")
        self.assertEqual((result.returncode, result.stdout), (LEAKS, "in\nout\n"))
        self.assertTrue(result.stderr.startswith("err\n\nseep gate FAILED"), result.stderr)

    def test_a_gate_that_passes_leaves_nothing(self):
        self.assertEqual(self.run_gate([CASES / "leaks", "keep"]).returncode, PASSED)
        self.assertEqual(self.run_gate(["sh", "-c", f"{CASES}/leaks keep & {CASES}/noisy; wait"]).returncode, PASSED)
        self.assertEqual(self.left_here(), [])
        self.assertEqual(self.run_gate([CASES / "leaks", "keep"], ["-o", "kept"]).returncode, PASSED)
        self.assertEqual(self.left_here(), ["kept"])

    def test_one_that_fails_leaves_the_recording_that_it_names(self):
        result = self.run_gate([CASES / "leaks", "leak"])
        (name,) = self.left_here()
        self.assertIn(f"seep report --full {name}", result.stderr)
        self.assertEqual(self.gate(name).returncode, FAILED)

    def test_a_bad_policy_is_said_before_the_program_starts(self):
        policy = self.directory / "seep.toml"
        policy.write_text("fail = [\"definite\"]\nmax_byte = 3\n")
        marker = self.directory / "ran"
        result = self.run_gate(["touch", marker], ["--policy", policy])
        self.assertEqual(result.returncode, WRONG_USAGE)
        self.assert_one_line(result.stderr, f"{policy}:2:", "max_byte")
        self.assertFalse(marker.exists())
        result = self.run_gate(["touch", marker], ["--json", self.directory / "no/such/place.json"])
        self.assertEqual(result.returncode, WRONG_USAGE)
        self.assertFalse(marker.exists())

    def test_options_of_the_gate_need_it(self):
        result = self.seep("run", "--strict", "--", "true")
        self.assertEqual(result.returncode, WRONG_USAGE)
        self.assert_one_line(result.stderr, "--gate")

    def test_sampled_scans_at_the_end(self):
        result = self.run_gate([CASES / "leaks", "leak"], ["--sample", "64"], env=clean_environment(SEEP_OPTIONS="seed=1"))
        self.assertEqual(result.returncode, LEAKS, result.stderr)
        self.assertIn("95 % confidence", result.stderr)
        self.assertEqual(self.run_gate([CASES / "leaks", "keep"], ["--sample", "64"]).returncode, PASSED)
        self.assertEqual(self.run_gate([CASES / "ends", "exit"], ["--sample", "1g"]).returncode, 5)
        self.assertEqual(self.run_gate(["true"], ["--sample", "1g"]).returncode, PASSED)

    def test_a_scan_that_was_switched_off_is_asked_for_all_the_same(self):
        result = self.run_gate([CASES / "leaks", "leak"], env=clean_environment(SEEP_OPTIONS="scan=off"))
        self.assertEqual(result.returncode, LEAKS, result.stderr)

    def test_files_named_by_program_and_pid(self):
        self.run_gate([CASES / "leaks", "leak"], ["--json", "leaks.%e.%p.json"])
        (report,) = self.directory.glob("leaks.leaks.*.json")
        self.assertEqual(json.loads(report.read_text())["outcome"], "failed")

    def test_clean_and_leaking_runs_are_told_apart_each_time(self):
        """Threads, caches, exceptions, a thread that still runs: no run without a leak fails, none with one passes."""
        codes = {"clean": [], "leak": []}
        for _ in range(RUNS):
            for act, results in codes.items():
                results.append(self.run_gate([CASES / "noisy", act]).returncode)
        self.assertEqual(codes, {"clean": [PASSED] * RUNS, "leak": [LEAKS] * RUNS})


class NotJudged(GateTest):
    def assert_not_judged(self, result, *words):
        self.assertEqual(result.returncode, NOT_JUDGED, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stdout + result.stderr)

    def test_a_child_that_a_signal_killed(self):
        script = ["sh", "-c", f"{CASES}/ends kill; {CASES}/leaks keep"]
        result = self.run_gate(script)
        self.assert_not_judged(result, "NOT JUDGED", "ends died, unknown how")
        self.assertEqual(self.run_gate(script, ["--allow-unjudged", "end?"]).returncode, PASSED)
        self.assertEqual(self.run_gate(script, ["--allow-unjudged", "sh"]).returncode, NOT_JUDGED)

    def test_a_server_that_the_harness_ends(self):
        script = (f"mkfifo in out; {CASES}/obeys <in >out & exec 3>in 4<out; printf 'h\\np\\n' >&3; read a <&4; "
                  "read b <&4; kill $!; wait $!; exit 0")
        self.assert_not_judged(self.run_gate(["sh", "-c", script]), "obeys died, unknown how")
        allowed = self.run_gate(["sh", "-c", script], ["--allow-unjudged", "obeys"])
        self.assertEqual(allowed.returncode, PASSED, allowed.stderr)
        self.assertIn("allowed: process", allowed.stderr)

    def test_a_child_that_cannot_be_observed(self):
        script = ["sh", "-c", f"(exec {CASES}/static_program); {CASES}/leaks keep"]
        self.assert_not_judged(self.run_gate(script), "dash) could not be observed: libseep.so was not loaded into it")
        self.assert_not_judged(self.run_gate(["sh", "-c", f"env -i {CASES}/leaks keep"]), "could not be observed")
        self.assert_not_judged(self.run_gate([CASES / "own_malloc"]), "own_malloc could not be observed")

    def test_a_process_that_still_runs(self):
        script = "sleep 30 >/dev/null 2>&1 & until ls /dev/shm | grep -q ^seep.$!.; do :; done; echo $!"
        result = self.run_gate(["sh", "-c", script])
        self.assert_not_judged(result, "sleep is still running")
        os.kill(int(result.stdout), signal.SIGKILL)

    def test_an_image_that_ended_by_exec_is_listed(self):
        result = self.run_gate([CASES / "leaks", "leak", "exec"])
        self.assertEqual(result.returncode, PASSED, result.stderr)
        self.assertIn("1 image ended by exec, with whatever it held: leaks", result.stderr)

    def test_poor_coverage(self):
        path = self.recorded("keep")
        verdict = self.verdict("--min-coverage", "1", path)
        self.assertEqual((verdict["outcome"], verdict["min_coverage"]), ("passed", 1.0))
        result = self.record([CASES / "steps", "leak:10", "traces:6000"], env=clean_environment(SEEP_OPTIONS="max_memory=3m"))[0]
        fraction = self.report(result)["coverage"]["fraction"]
        self.assertLess(fraction, 1, "the bound was to be felt")
        self.assert_not_judged(self.gate(result), "of the allocations were recorded; wanted: 100 %")
        less = ["--min-coverage", str(fraction - 0.01)]
        self.assert_not_judged(self.gate(*less, result), "no verdict: there was no memory for it")
        self.assertEqual(self.gate(*less, "--fail", "none", result).returncode, PASSED)
        result = self.run_gate([CASES / "word_index"], env=clean_environment(SEEP_OPTIONS="max_memory=300k"))
        self.assert_not_judged(result, "it recorded nothing")

    def test_a_scan_that_found_nothing_out(self):
        path, result = self.record([CASES / "leaks", "keep"], env=clean_environment(SEEP_OPTIONS="scan=off"))
        self.assertEqual(result.returncode, 0)
        self.assert_not_judged(self.gate(path), "ended without a leak scan")
        self.assertEqual(self.gate("--fail", "none", path).returncode, PASSED)
        self.assertEqual(self.gate("--fail", "live", path).returncode, FAILED)

    def test_damaged_recordings_are_one_line_each(self):
        path = self.recorded("keep", "leak")
        stream = only_stream(path)
        data = stream.read_bytes()
        generator = random.Random(3)
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 4
        for way, bytes_ in (("empty", b""), ("another file", b"#!/bin/sh\nexit 0\n" * 40), ("zeros", bytes(1000)),
                            ("cut by a byte", data[:-1]), ("cut in the middle", data[:len(data) // 2]),
                            ("its beginning cut off", data[len(data) // 3:]), ("a bit flipped", bytes(flipped)),
                            ("garbage behind it", data + generator.randbytes(100)),
                            ("garbage in it", data[:len(data) // 2] + generator.randbytes(90) + data[len(data) // 2:]),
                            ("twice in one file", data + data[:len(data) - 7])):
            with self.subTest(way=way):
                stream.write_bytes(bytes_)
                result = self.gate(path)
                self.assertEqual(result.returncode, NOT_JUDGED, result.stdout + result.stderr)
                self.assertNotIn("PASSED", result.stdout)
                for line in result.stderr.splitlines():
                    self.assert_one_line(line, stream.name)
                self.assertTrue(result.stderr)
                self.assertEqual(stream.read_bytes(), bytes_)

    def test_no_recording(self):
        for arguments in ([], ["no/such/recording"], [self.directory]):
            result = self.gate(*arguments)
            self.assertEqual(result.returncode, NOT_JUDGED)
            self.assertNotIn("PASSED", result.stdout)
            self.assert_one_line(result.stderr)


if __name__ == "__main__":
    tap.main()
