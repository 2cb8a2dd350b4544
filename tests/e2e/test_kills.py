# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random instants: whatever four threads were about, the recording reads, and its numbers are the program's.

40 kills, with SEEP_LONG=1 1,000. The seeds are fixed; where exactly a kill meets the threads is the machine's choice.
"""
import os
import random
import signal
import sys
import time

import tap
from seep_test import LONG
from told_events import ToldTest, left_regions

KILLS = 1000 if LONG else 40
LONGEST_LIFE_S = 0.030
OFTEN = "1ms"


class Kills(ToldTest):
    def kill(self, number, generator):
        """One life and death: (events, numbers that show part of an event)."""
        recording = self.new_recording_path()
        interval = OFTEN if generator.random() < 0.5 else None
        life_s = generator.random() * LONGEST_LIFE_S
        under_run = number % 2 == 0
        (self.start_under_run if under_run else self.start_alone)(recording, interval, number)
        self.pipe.read_until(time.monotonic() + life_s)
        os.kill(self.pid, signal.SIGKILL)
        status, stderr = self.wait_for_end()
        where = f"kill {number}, {'seep run' if under_run else 'alone'}, interval {interval}, {life_s * 1000:.2f} ms"
        self.assertEqual(status, 128 + signal.SIGKILL if under_run else -signal.SIGKILL, f"{where}: {stderr}")
        truth, partly = self.check(recording, "signal" if under_run else "unknown", where)
        self.assertEqual(left_regions(self.pid), [], f"{where}: what is folded is removed")
        return truth.events, partly

    def test_whatever_the_threads_were_about(self):
        generator = random.Random(3)
        start = time.monotonic()
        results = [self.kill(number, generator) for number in range(KILLS)]
        took_s = time.monotonic() - start
        events = sum(count for count, _ in results)
        partly = sum(count > 0 for _, count in results)
        self.assertGreater(events, KILLS * 100, "the program hardly ran: these kills prove little")
        print(f"{KILLS} kills in {took_s:.1f} s, {KILLS / took_s:.1f} a second; {events} events told, "
              f"{partly} kills met an event that was partly or wholly counted", file=sys.stderr)

    def test_killed_at_rest(self):
        """No event is under way, so every number is exact."""
        for start in (self.start_under_run, self.start_alone):
            recording = self.new_recording_path()
            start(recording, OFTEN, 1, 1000)
            self.read_until_rest()
            os.kill(self.pid, signal.SIGKILL)
            self.wait_for_end()
            truth, partly = self.check(recording, "signal" if start == self.start_under_run else "unknown", start)
            self.assertTrue(truth.is_at_rest())
            self.assertEqual(partly, 0)


class ObserverKilled(ToldTest):
    """`seep run` dies, too or alone, also in the middle of a snapshot that it takes from outside."""

    def kill_observer(self, number, generator):
        self.pipe.read_until(time.monotonic() + generator.random() * LONGEST_LIFE_S)
        self.process.kill()
        return f"observer killed {number}"

    def test_with_the_program(self):
        generator = random.Random(4)
        for number in range(KILLS // 4):
            recording = self.new_recording_path()
            self.start_under_run(recording, OFTEN, number)
            where = self.kill_observer(number, generator)
            os.kill(self.pid, signal.SIGKILL)
            self.wait_for_end()
            self.check(recording, "unknown", where)
            self.assertEqual(left_regions(self.pid), [], f"{where}: what is folded is removed")

    def test_and_the_program_goes_on(self):
        generator = random.Random(5)
        for number in range(KILLS // 4):
            recording = self.new_recording_path()
            self.start_under_run(recording, OFTEN, number, 4000)
            where = self.kill_observer(number, generator)
            self.wait_for_end(b"x")
            truth, partly = self.check(recording, "exit", where)
            self.assertTrue(truth.is_at_rest(), where)
            self.assertEqual(partly, 0, where)
            self.assertEqual(left_regions(self.pid), [], f"{where}: what ended is removed")


if __name__ == "__main__":
    tap.main()
