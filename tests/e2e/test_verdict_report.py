# SPDX-License-Identifier: Apache-2.0
"""What `seep report` says of leaks: is there one, how much, where, how sure.

The program under test (cases/leaks) says in its first comment what it loses, so each figure is known.
"""
import tap
from seep_test import CASES, SeepTest, clean_environment, own_frame
from told_events import preloaded

MESSAGES = (10, 10_000)  # Blocks and bytes that are lost,
LIST = (1, 64)           # and here those of which
NODES = (50, 2_400)      # these hang;
VIEW = (1, 700)          # possibly lost;
TABLE = (1, 5_000)       # not lost.
FIRST_SCREEN = 25        # Lines.


def of(row, name):
    """(blocks, bytes) of a verdict, or of what else is counted so."""
    return row[f"{name}_blocks"], row[f"{name}_bytes"]


def added(*sums):
    return tuple(map(sum, zip(*sums)))


def sites_by_function(report):
    return {own_frame(site)["function"]: site for site in report["sites"]}


def first_screen(text):
    return "\n".join(text.splitlines()[:FIRST_SCREEN])


class VerdictReportTest(SeepTest):
    def recorded(self, *acts, program="leaks", options=("--exact",), **environment):
        """Records what the program does: (path, JSON report, text report)."""
        path, result = self.record([CASES / program, *acts], options, env=clean_environment(**environment))
        self.assertNotIn("seep:", result.stderr)
        return path, self.report(path), self.text(path)

    def text(self, path, *options):
        result = self.seep("report", *options, path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_every_class_is_summed_and_every_leak_is_named(self):
        _, report, text = self.recorded("leak", "maybe", "keep")
        totals, sites = report["totals"], sites_by_function(report)
        self.assertEqual(of(totals, "definite"), added(MESSAGES, LIST))
        self.assertEqual(of(totals, "indirect"), NODES)
        self.assertEqual(of(totals, "possible"), VIEW)
        self.assertEqual(of(totals, "reachable"), TABLE)
        self.assertEqual(of(totals, "leaked"), added(MESSAGES, LIST, NODES))
        self.assertEqual(of(sites["make_message"], "definite"), MESSAGES)
        self.assertEqual(of(sites["open_list"], "held"), NODES)
        self.assertEqual([own_frame(site)["function"] for site in report["sites"]],
                         ["make_message", "open_list", "make_view", "make_table", "add_node"])
        self.assertEqual([site["verdict"] for site in report["sites"]],
                         ["definite", "definite", "possible", "reachable", "indirect"])
        self.assertEqual(report["coverage"]["unjudged_processes"], 0)
        self.assertIn("Leaked at exit: 12,464 bytes (12.2 KiB) in 61 blocks, from 2 sites", first_screen(text))
        self.assertIn("#1  definite: 10,000 bytes", first_screen(text))
        self.assertIn("make_message", first_screen(text))
        self.assertIn("Exact", first_screen(text))
        self.assertIn("64 bytes in 1 block, and holds 2,400 bytes (2.34 KiB) in 50 blocks more", text)

    def test_the_four_classes_of_each_site_are_all_that_is_live(self):
        _, report, _ = self.recorded("leak", "maybe", "keep")
        for row in [report["totals"], *report["sites"]]:
            classes = [of(row, name) for name in ("definite", "indirect", "possible", "reachable")]
            self.assertEqual(added(*classes), of(row, "live"), row.get("frames"))

    def test_the_missing_free_is_named(self):
        _, report, text = self.recorded("leak")
        freed = sites_by_function(report)["make_message"]["freed_by"]
        self.assertEqual(freed["frames"][0]["function"], "send_message")
        self.assertLessEqual(freed["frees_seen"], freed["frees_looked_at"])
        self.assertGreater(freed["frees_seen"], 0)
        self.assertLessEqual(freed["frees_looked_at"], 90)
        self.assertIsNone(sites_by_function(report)["open_list"]["freed_by"])
        self.assertNotIn("send_message", sites_by_function(report))
        after = text[text.index("blocks of this site are usually freed from"):]
        self.assertEqual(after.splitlines()[1].split()[0], "send_message")

    def test_no_leak_is_said_as_that(self):
        path, result = self.record([CASES / "leaks", "keep"])
        for text in (first_screen(self.text(path)), result.stderr):
            self.assertIn("No leak at exit: the program can still get at all that is live, 5,000 bytes", text)
            self.assertNotIn("Leaked", text)
        self.assertNotIn("#1", result.stderr)
        self.assertEqual(of(self.report(path)["totals"], "leaked"), (0, 0))

    def test_the_report_after_the_run_shows_leaks_alone(self):
        _, result = self.record([CASES / "leaks", "leak", "keep"])
        self.assertIn("Leaked at exit", result.stderr)
        self.assertIn("make_message", result.stderr)
        self.assertIn("and 2 more sites", result.stderr)
        self.assertNotIn("make_table", result.stderr)

    def test_what_the_program_suppresses_is_no_leak_and_stays_definite(self):
        _, report, text = self.recorded("leak", "keep", program="suppresses_leaks")
        self.assertEqual(of(report["totals"], "definite"), added(MESSAGES, LIST))
        self.assertEqual(of(report["totals"], "suppressed"), MESSAGES)
        self.assertEqual(of(report["totals"], "leaked"), added(LIST, NODES))
        self.assertEqual(sites_by_function(report)["make_message"]["suppressed"], "^make_message$")
        self.assertIn("Leaked at exit: 2,464 bytes", text)
        self.assertIn("Not counted as leaked: 10,000 bytes", text)

    def test_a_scan_on_request_is_as_of_then(self):
        _, report, text = self.recorded("leak", "ask", "drop", "keep", SEEP_OPTIONS="scan=request")
        self.assertEqual(of(report["totals"], "definite"), added(MESSAGES, LIST))
        self.assertEqual(of(report["totals"], "live"), added(LIST, NODES, TABLE))
        scan = report["processes"][0]["scan"]
        self.assertEqual((scan["number"], scan["trigger"], scan["failure"]), (1, "request", None))
        self.assertEqual(report["coverage"]["unjudged_processes"], 1)
        self.assertIn("Leaked at the leak scan, ", first_screen(text))
        self.assertIn("after a scan is not in its verdicts", first_screen(text))

    def test_a_killed_program_has_no_verdict(self):
        path, result = self.record([CASES / "leaks", "leak", "kill"])
        self.assertEqual(result.returncode, 128 + 9)
        report = self.report(path)
        self.assertIsNone(report["totals"]["definite_bytes"])
        self.assertIsNone(report["processes"][0]["scan"])
        self.assertEqual(report["coverage"]["unjudged_processes"], 1)
        self.assertEqual({site["verdict"] for site in report["sites"]}, {"live"})
        self.assertIn("No leak scan ran: live is not yet leaked.", first_screen(self.text(path)))

    def test_a_killed_program_has_the_verdicts_of_the_scan_before(self):
        path, result = self.record([CASES / "leaks", "leak", "ask", "kill"], env=clean_environment())
        self.assertEqual(result.returncode, 128 + 9)
        report = self.report(path)
        self.assertEqual(of(report["totals"], "definite"), added(MESSAGES, LIST))
        self.assertEqual(report["coverage"]["unjudged_processes"], 1)
        self.assertIn("Leaked at the leak scan, ", first_screen(self.text(path)))

    def test_an_image_that_execs_is_not_unjudged(self):
        _, report, _ = self.recorded("leak", "exec")
        self.assertEqual(report["processes"][0]["ended"], "exec")
        self.assertEqual(report["coverage"]["unjudged_processes"], 0)

    def test_a_scan_that_is_switched_off_is_no_verdict(self):
        _, report, text = self.recorded("leak", SEEP_OPTIONS="scan=off")
        self.assertIsNone(report["totals"]["leaked_bytes"])
        self.assertEqual(report["coverage"]["unjudged_processes"], 1)
        self.assertIn("No leak scan ran", text)

    def test_sampled_only_what_is_proved_is_leaked(self):
        out = self.directory / "sampled.seep"
        command = preloaded(out, [CASES / "leaks", "leak", "maybe", "keep"], sample=64, seed=1, scan="exit")
        self.assertEqual(self.run_command(command).returncode, 0)
        report, text = self.report(out), self.text(out)
        # All are sampled, but for a chance of 1 in 50,000. To some of them points what malloc left in freed memory: a lower bound.
        messages = sites_by_function(report)["make_message"]
        low, high = messages["definite_bytes_interval"]
        self.assertEqual(messages["verdict"], "definite")
        self.assertLessEqual(low, messages["definite_bytes"])
        self.assertLessEqual(messages["definite_bytes"], high)
        self.assertLessEqual(low, MESSAGES[1])
        self.assertIsNone(report["totals"]["indirect_bytes"])
        self.assertEqual(sites_by_function(report)["make_table"]["verdict"], "live")
        self.assertEqual(sites_by_function(report)["make_view"]["verdict"], "live")
        self.assertIn("Leaked at exit: at least about ", first_screen(text))
        self.assertIn("apart from encoded, unaligned or kernel-held pointers", first_screen(text))
        self.assertNotIn("reachable", text)

    def test_sampled_a_scan_comes_on_request_alone(self):
        out = self.directory / "sampled.seep"
        command = preloaded(out, [CASES / "leaks", "leak", "keep"], sample=256, seed=1)
        self.assertEqual(self.run_command(command).returncode, 0)
        self.assertIsNone(self.report(out)["processes"][0]["scan"])
        self.assertIn("No leak scan ran: live is not yet leaked.", self.text(out))


if __name__ == "__main__":
    tap.main()
