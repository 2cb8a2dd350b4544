# SPDX-License-Identifier: Apache-2.0
"""Signals: handlers that allocate, leave by siglongjmp, run on small stacks; no hang, nothing goes blind. The programs
run over an allocator that may be left at any instruction (interruptible_malloc), so that they are defined without seep.
"""
import math

import matrix
from seep_test import LONG


class Storms(matrix.MatrixTest):
    """Programs that tell, of functions whose calls were jumped out of, between what bounds the truth lies."""

    group = "signals"

    def check_storm(self, program, *arguments, ways=matrix.EVERY_WAY, **how):
        reports = self.check(program, *arguments, ways=ways, same_truth=False, **how)
        self.assertEqual(set(reports), set(ways))
        for number, way in enumerate(ways, self.recordings - len(ways) + 1):
            with self.subTest(program=program, way=way):
                lines = (self.directory / f"recording.{number}.truth.storm").read_text().splitlines()
                self.assertNotEqual(lines, [])
                for line in lines:
                    self.check_bounds(reports[way], line, way)

    def check_bounds(self, report, line, way):
        """A sample that is jumped out of costs all that it stands for."""
        _, function, *numbers = line.split()
        least, most, least_live, most_live, bytes_each, jumps = map(int, numbers)
        in_sample = 1 / -math.expm1(-(bytes_each + 1) / matrix.SAMPLE_BYTES[way])
        lost_in_samples = 0 if way == matrix.EXACT else jumps * (in_sample - 1)
        found = self.sums_by_function(report)[function]
        for field, low, high in (("alloc_blocks", least, most), ("live_blocks", least_live, most_live)):
            for unit, name in ((1, field), (bytes_each, field.replace("blocks", "bytes"))):
                slack = unit * lost_in_samples
                down = matrix.STRETCH * (found[f"{name}_high"] - found[name]) + slack
                up = matrix.STRETCH * (found[name] - found[f"{name}_low"]) + slack
                self.assertTrue(unit * low - down <= found[name] <= unit * high + up,
                                f"{function}, {way}: {name} is {found[name]}, not in [{unit * low}, {unit * high}]")

    JUMPS = 50_000 if LONG else 4_000
    STEPS = 10_000_000 if LONG else 20_000

    def test_jumps_out_of_malloc(self):
        self.check_storm("jumps_out_of_malloc", self.JUMPS)

    def test_jumps_out_of_malloc_while_snapshots_are_made(self):
        self.check_storm("jumps_out_of_malloc", self.JUMPS, ways=(matrix.OFTEN_SAMPLED, matrix.EXACT),
                         options="interval=1ms")

    def test_steps_out_of_malloc(self):
        """At every instruction that may be interrupted, or every few."""
        if self.run_command([self.program("steps_out_of_malloc"), 1000]).returncode == 77:
            self.skipTest("not run: ptrace is not allowed here, or this is no x86-64")
        self.check_storm("steps_out_of_malloc", self.STEPS, ways=(matrix.SAMPLED, matrix.EXACT))


class Signals(matrix.MatrixTest):
    group = "signals"

    def test_allocators_that_leave(self):
        self.check("allocators_that_leave")

    def test_small_alternate_stack(self):
        """Two kilobytes are what the handler and all below it may need; the loader's lazy binding would need more."""
        self.check("small_alternate_stack", 2048, LD_BIND_NOW=1)
        self.check("small_alternate_stack", 2048, "thread", LD_BIND_NOW=1)

    def test_timers_that_allocate(self):
        self.check("timers_that_allocate", same_truth=False)

    def test_timers_that_allocate_while_snapshots_are_made(self):
        self.check("timers_that_allocate", same_truth=False, options="interval=1ms")

    def test_signals_unseen(self):
        self.check("signals_unseen", same_truth=False, options="interval=1ms")


if __name__ == "__main__":
    matrix.main()
