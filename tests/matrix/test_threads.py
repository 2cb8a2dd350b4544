# SPDX-License-Identifier: Apache-2.0
"""Threads: many, short, small, cancelled, freeing each other's blocks; and what seep adds to the process they are of."""
import collections
import sys

import matrix
from seep_test import LONG

# What seep may take in a process of so many threads, however many there were: there is nothing of it in a thread but 128
# bytes of thread-local storage, and a scratch block for each that is inside seep at one moment.
SAMPLED_BUDGET_KIB, EXACT_BUDGET_KIB = 2 << 10, 8 << 10
THREADS, AT_ONCE = (10_000, 100) if LONG else (2_000, 100)
ALIVE = 10_000 if LONG else 2_000


def tell(figure):
    print(figure, file=sys.stderr, flush=True)


class Threads(matrix.MatrixTest):
    group = "threads"
    limit_seconds = 240 if LONG else 60

    def test_exchange(self):
        """The order in which threads run decides what is left, so each run has a truth of its own."""
        report = self.check("exchange", same_truth=False)[matrix.EXACT]
        self.assertEqual((report["coverage"]["missed_frees"], report["coverage"]["unknown_frees"]), (0, 0))

    def test_many_threads(self):
        report = self.check("many_threads", same_truth=False)[matrix.EXACT]
        self.assertEqual((report["coverage"]["missed_frees"], report["coverage"]["unknown_frees"]), (0, 0))

    def test_cancelled(self):
        self.check("cancelled")

    def test_little_stack(self):
        """Two KiB are enough for malloc in every way, also where it is the first, or a table grows."""
        for left_bytes in (4096, 2048):
            self.check("little_stack", left_bytes, 10_000, LD_BIND_NOW=1)


class Figures(matrix.MatrixTest):
    group = "threads"
    limit_seconds = 240 if LONG else 60

    def figures(self, name, *arguments, ways=matrix.EVERY_WAY):
        """The lines that the program told in FIGURES, first without seep, then in each way; and the reports."""
        path = self.directory / "figures"
        reports = self.check(name, *arguments, ways=ways, FIGURES=path)
        return path.read_text().splitlines(), reports

    def memory(self, threads, at_once):
        lines, _ = self.figures("short_threads", threads, at_once)
        self.assertEqual(len(lines), 1 + len(matrix.EVERY_WAY), lines)
        fields = [dict(zip(words[1::2], map(int, words[2::2]))) for words in map(str.split, lines)]
        return dict(zip((None, *matrix.EVERY_WAY), fields))

    def check_memory(self, threads, at_once):
        found = self.memory(threads, at_once)
        for way in matrix.EVERY_WAY:
            added = {field: found[way][field] - found[None][field] for field in found[None]}
            tell(f"{threads} threads, {at_once} at once, {way}: added {added}")
            budget = EXACT_BUDGET_KIB if way == matrix.EXACT else SAMPLED_BUDGET_KIB
            self.assertLess(added["rss_kib"], budget, way)
            self.assertLess(added["peak_kib"], budget, way)

    def test_memory_of_short_threads(self):
        self.check_memory(THREADS, AT_ONCE)

    def test_memory_of_threads_at_once(self):
        self.check_memory(ALIVE, ALIVE)

    def test_added(self):
        """Descriptors, threads and the like are compared by `check`. Of mappings there is nothing new but libseep.so, the
        region, and private memory that is no code."""
        lines, _ = self.figures("added")
        runs = "\n".join(lines).split("begin\n")[1:]
        mappings = [collections.Counter(line.removeprefix("mapping ") for line in run.splitlines()) for run in runs]
        self.assertEqual(len(mappings), 1 + len(matrix.EVERY_WAY))
        for way, found in zip(matrix.EVERY_WAY, mappings[1:]):
            added = found - mappings[0]
            tell(f"mappings added, {way}: {dict(added)}")
            for mapping in added:
                self.assertRegex(mapping, r"^(r--p|r-xp|rw-p) .*/libseep\.so$|^(rw|--)-s /dev/shm/seep\.[^/]*\.region$|"
                                          r"^(rw|--)-p (anonymous|\[anon:seep\])$", way)
            self.assertEqual(sorted(mapping for mapping in mappings[0] - found if "anonymous" not in mapping), [], way)


if __name__ == "__main__":
    matrix.main()
