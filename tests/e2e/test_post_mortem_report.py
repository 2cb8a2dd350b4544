# SPDX-License-Identifier: Apache-2.0
"""The report of a death: what grew in the last ten seconds, how the process ended, and what of it is missing.

The program under test (cases/grows_last) does what it is told, letter by letter, so what it holds at each time is known.
"""
import os
import re
import select
import signal
import subprocess
import time

import tap
from plain_protobuf import messages
from seep_test import CASES, SEEP, SeepTest, clean_environment, own_frame
from told_events import left_regions, preloaded

INTERVAL = "100ms"
STEADY = (100, 100_000)  # Blocks and bytes of one `s`,
BURST = (7, 700_000)     # and of one `b`.
WINDOW_S = 10
# Between snapshots that are kept to measure growth from: a 64th of the window.
MOMENTS_S = WINDOW_S / 64
DEADLINE_S = 60


class Told:
    """A running cases/grows_last and the directory of its recording."""

    def __init__(self, test, recording, command):
        self.test = test
        self.recording = recording
        self.told = []
        # pylint: disable-next=consider-using-with  # Ended by the test's clean-up.
        self.process = subprocess.Popen([str(word) for word in command], cwd=test.directory, env=clean_environment(),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        test.addCleanup(self.close)

    def close(self):
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.process.wait()

    def tell(self, letters):
        """Has it do so; returns when all is done."""
        for letter in letters:
            os.write(self.process.stdin.fileno(), letter.encode())
            self.test.assertTrue(select.select([self.process.stdout], [], [], DEADLINE_S)[0], "it hangs")
            self.test.assertEqual(os.read(self.process.stdout.fileno(), 1), letter.encode())

    def end(self, letter="k"):
        """Tells it the last letter and waits for its end: the exit status."""
        os.write(self.process.stdin.fileno(), letter.encode())
        return self.process.wait(DEADLINE_S)

    def snapshot_times(self):
        """Of the newest image's stream, in seconds."""
        streams = sorted(self.recording.glob("*.seep"), key=lambda path: path.stat().st_ctime_ns)
        data = streams[-1].read_bytes() if streams else b""
        return [message.snapshot.time_ns * 1e-9 for _, message in messages(data) if message.HasField("snapshot")]

    def wait_for_snapshots(self, span_s=MOMENTS_S):
        """Waits until new snapshots span so much time, the first of them being wholly after what was told."""
        before = len(self.snapshot_times())
        end = time.monotonic() + DEADLINE_S
        # The one that is next may have begun before.
        while len(times := self.snapshot_times()[before + 1:]) < 2 or times[-1] - times[0] <= span_s:
            self.test.assertLess(time.monotonic(), end, "no snapshots are taken")
            time.sleep(0.02)


def growth_of(report, function):
    """(blocks, bytes) by which the sites whose own frame is `function` grew."""
    sites = [site for site in report["sites"] if own_frame(site)["function"] == function]
    return sum(site["growth_blocks"] for site in sites), sum(site["growth_bytes"] for site in sites)


def growth_section(text):
    """The line that names the span, and the lines of the sites."""
    found = re.search(r"^(In the last .*|Since the start, in .*)\n((?: {6}#.*\n)*)", text, re.MULTILINE)
    return (found[1], found[2].splitlines()) if found else (None, [])


class PostMortem(SeepTest):
    def alone(self, **options):
        """Started with the preload alone."""
        recording = self.new_recording_path()
        recording.mkdir()
        return Told(self, recording, preloaded(f"{recording}/%e.%p.seep", [CASES / "grows_last"], interval=INTERVAL,
                                               **options))

    def under_seep_run(self):
        recording = self.new_recording_path()
        return Told(self, recording, [SEEP, "run", "--exact", "--interval", INTERVAL, "-o", recording, "--",
                                      CASES / "grows_last"])

    def texts(self, told):
        """The JSON and the text report."""
        report = self.report(told.recording)
        for process in report["processes"]:
            for region in left_regions(process["pid"]):
                self.addCleanup(region.unlink, missing_ok=True)
        return report, self.seep("report", told.recording).stdout


class LastTenSeconds(PostMortem):
    def check(self, told, end):
        """3 `s` and 2 `b` were in the last 10 s, 30 `s` before."""
        report, text = self.texts(told)
        process = report["processes"][0]
        self.assertEqual((process["ended"], process["signal"]), end)
        self.assertGreaterEqual(process["growth_span_ns"], WINDOW_S * 10**9)
        self.assertEqual(growth_of(report, "burst"), (2 * BURST[0], 2 * BURST[1]))
        self.assertEqual(growth_of(report, "steady"), (3 * STEADY[0], 3 * STEADY[1]))
        # A snapshot may see the one block that lives in between().
        self.assertIn(growth_of(report, "between"), [(-1, -64), (0, 0), (1, 64)])
        for number, name in enumerate(("growth_blocks", "growth_bytes")):
            told_growth = 2 * BURST[number] + 3 * STEADY[number] + growth_of(report, "between")[number]
            self.assertEqual(report["totals"][name], told_growth, name)
        first = report["sites"][0]
        self.assertEqual((own_frame(first)["function"], first["live_bytes"]), ("steady", 33 * STEADY[1]))
        line, sites = growth_section(text)
        self.assertRegex(line, r"^In the last \d+ s.*: \+1\.62 MiB live, most of it at$", text)
        self.assertEqual([(site.split()[1], re.search(r"\(.*\)", site)[0]) for site in sites],
                         [("burst", "(+14 blocks)"), ("steady", "(+300 blocks)")], text)
        self.assert_whole(report)
        return line

    def test_name_first_what_grew_then_not_what_is_largest(self):
        """The three ways to see a process: dead alone, dead under `seep run`, and running."""
        alone, under_run, running = self.alone(), self.under_seep_run(), self.alone()
        for told in (alone, under_run, running):
            told.tell("s" * 30)
        for told in (alone, under_run, running):
            told.wait_for_snapshots()
        last_s = time.monotonic() + WINDOW_S
        while (rest_s := last_s - time.monotonic()) > 0:
            time.sleep(rest_s)
        for told in (alone, under_run, running):
            told.tell("sbsbs")
        self.assertNotIn("before the end", self.check(running, ("running", None)))
        self.assertEqual(alone.end(), -signal.SIGKILL)
        self.assertEqual(under_run.end(), 128 + signal.SIGKILL)
        self.check(alone, ("unknown", None))
        self.assertIn("before the end", self.check(under_run, ("signal", signal.SIGKILL)))


class Deaths(PostMortem):
    def test_of_the_young_is_all_growth_since_the_start(self):
        told = self.under_seep_run()
        told.tell("sbs")
        self.assertEqual(told.end(), 128 + signal.SIGKILL)
        report, text = self.texts(told)
        process = report["processes"][0]
        self.assertLess(process["growth_span_ns"], process["duration_ns"] + 1)
        self.assertEqual(growth_of(report, "burst"), BURST)
        self.assertEqual(growth_of(report, "steady"), (2 * STEADY[0], 2 * STEADY[1]))
        self.assertRegex(text, "grew since the start, in ")
        self.assertIn("killed by SIGKILL\n", text)

    def test_growth_is_not_told_of_who_ended_of_his_own_accord(self):
        told = self.under_seep_run()
        told.tell("sb")
        told.process.stdin.close()
        self.assertEqual(told.process.wait(DEADLINE_S), 0)
        told.process.stdin = open(os.devnull, "rb")  # pylint: disable=consider-using-with  # For close().
        report, text = self.texts(told)
        self.assertEqual(report["processes"][0]["ended"], "exit")
        self.assertIsNone(report["processes"][0]["growth_span_ns"])
        self.assertIsNone(report["sites"][0]["growth_bytes"])
        self.assertNotRegex(text, "In the last|grew since")

    def test_an_image_replaced_behind_the_hooks_ended_by_exec(self):
        told = self.under_seep_run()
        told.tell("s")
        os.write(told.process.stdin.fileno(), b"x")
        told.tell("b")
        self.assertEqual(told.end(), 128 + signal.SIGKILL)
        report, _ = self.texts(told)
        self.assertEqual([process["ended"] for process in report["processes"]], ["exec", "signal"])
        self.assertEqual(len({process["pid"] for process in report["processes"]}), 1)
        self.assertEqual(growth_of(report, "burst"), BURST)
        self.assertEqual(growth_of(report, "steady"), (0, 0))

    def test_what_is_lost_with_the_region_is_said(self):
        """Its region is removed by somebody: the last snapshot is all that is left, and the report says when that was."""
        told = self.alone()
        told.tell("s" * 5)
        told.wait_for_snapshots()
        for region in left_regions(told.process.pid):
            region.unlink()
        self.assertEqual(told.end(), -signal.SIGKILL)
        report, text = self.texts(told)
        process = report["processes"][0]
        self.assertEqual((process["ended"], process["tail_lost"]), ("unknown", True))
        self.assertEqual(report["coverage"]["lost_tails"], 1)
        self.assertEqual(report["sites"][0]["live_bytes"], 5 * STEADY[1])
        self.assertRegex(text, rf"process {process['pid']}, grows_last: what it did after its last snapshot, \S+ \w+ after "
                               r"its start, is lost \(one was due every 0\.1 s\)")
        self.assertIn("Still live at the last snapshot", text)
        self.assertNotIn("Nothing was missed", text)


if __name__ == "__main__":
    tap.main()
