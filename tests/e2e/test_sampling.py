# SPDX-License-Identifier: Apache-2.0
"""The sampler's statistics on fixed seeds: intervals hold what they promise, and nothing is biased.

A test of a random thing fails now and then although all is well. The seeds here are fixed, so a version either passes
always or never; the rates below say how likely a correct sampler would have failed with other seeds.

Coverage. For each site and each of four quantities, the interval misses the truth in at most 5 % of the runs, so the
misses of N runs are at most Binomial(N, 0.05). A test fails above the smallest m with P(misses > m) < 1e-5: m = 7 of 20
runs, 25 of 200. With 9 sites and 4 quantities the false-alarm rate of the whole is below 3.6e-4. Intervals that held
only 80 % of the time would be found by the long run in 996 of 1000 cases; ones of 50 % by the short run in 87 of 100.

Bias. The relative error of a site's estimate has variance (1-p)/(p N) for N blocks of sampling probability p. N is
chosen so that the bound of 0.5 % is 4.5 standard deviations; P(|Z| > 4.5) = 6.8e-6, and for 9 sites and 2 quantities,
which rise and fall together, the false-alarm rate is below 1.3e-4.
"""
import collections
import math
import re

import tap
from seep_test import CASES, LONG, PRELOAD, SeepTest, clean_environment

DEFAULT_SAMPLE_BYTES = 512 << 10
# Sizes, and how many blocks of each: some 64 expected samples, except for 1 KiB, which has 4.
MIXED = {16: 2 << 20, 64: 512 << 10, 256: 128 << 10, 1024: 2 << 10, 4096: 8 << 10, 32768: 1 << 10, 262144: 256,
         1 << 20: 64, 8 << 20: 8}
FALSE_ALARM = 1e-5


def sampling_probability(size_bytes, sample_bytes):
    return -math.expm1(-(size_bytes + 1) / sample_bytes)


def most_misses(runs, rate=0.05, alarm=FALSE_ALARM):
    """The smallest m with P(Binomial(runs, rate) > m) < alarm, exactly."""
    above = 1.0
    for misses in range(runs + 1):
        above -= math.comb(runs, misses) * rate**misses * (1 - rate)**(runs - misses)
        if above < alarm:
            return misses
    return runs


class Sampling(SeepTest):
    def estimates(self, what, blocks_by_size, seed, sample_bytes=DEFAULT_SAMPLE_BYTES):
        """{size: site} of one run of cases/sampled_sites."""
        self.recordings += 1
        out = self.directory / f"{self.recordings}.seep"
        words = [word for size, blocks in blocks_by_size.items() for word in (size, blocks)]
        result = self.run_command([CASES / "sampled_sites", what, *words], env=clean_environment(
            LD_PRELOAD=PRELOAD, SEEP_OPTIONS=f"sample={sample_bytes}:seed={seed}:out={out}"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        report = self.report(out)
        self.assert_whole(report, exact=False)
        sites = {}
        for size in blocks_by_size:
            pattern = re.compile(rf"\ballocate<{size}(ul)?>")
            of_size = [site for site in report["sites"] if pattern.search(site["frames"][0]["function"])]
            self.assertLessEqual(len(of_size), 1, f"several sites for {size}")
            sites[size] = of_size[0] if of_size else None
        return sites

    def test_the_bounds_are_what_the_comment_says(self):
        self.assertEqual((most_misses(20), most_misses(200)), (7, 25))

    def test_intervals_hold_the_truth(self):
        runs = 200 if LONG else 20
        misses = collections.Counter()
        for seed in range(1, runs + 1):
            for size, site in self.estimates("keep", MIXED, seed).items():
                for name, truth in self.truth_of(size).items():
                    # A site without a sample is not in the report: its interval is not given, so it counts as missed.
                    low, high = site[f"{name}_interval"] if site else (0, 0)
                    misses[size, name] += not low <= truth <= high
        too_many = {key: count for key, count in misses.items() if count > most_misses(runs)}
        self.assertEqual(too_many, {}, f"of {runs} runs; all misses: {dict(misses)}")

    @staticmethod
    def truth_of(size):
        blocks = MIXED[size]
        return {"alloc_blocks": blocks, "alloc_bytes": blocks * size,
                "live_blocks": blocks // 2, "live_bytes": blocks // 2 * size}

    def test_the_same_seed_gives_the_same_samples(self):
        small = {256: 40_000, 32768: 500}
        first, second = (self.estimates("keep", small, 7) for _ in range(2))
        other = self.estimates("keep", small, 8)
        for size in small:
            self.assertEqual(first[size]["alloc_bytes"], second[size]["alloc_bytes"])
        self.assertNotEqual([first[size]["alloc_bytes"] for size in small],
                            [other[size]["alloc_bytes"] for size in small])

    def test_no_bias_above_half_a_percent(self):
        for size in MIXED:
            # Small blocks with a smaller mean, or there would be hours of them: what counts is the ratio of the two,
            # and 16 bytes to 4 KiB is still below 1/200.
            sample_bytes = 4 << 10 if size <= 256 else 64 << 10 if size <= 4096 else DEFAULT_SAMPLE_BYTES
            probability = sampling_probability(size, sample_bytes)
            blocks = max(64, math.ceil((1 - probability) / probability / (0.005 / 4.5) ** 2))
            with self.subTest(size=size, blocks=blocks):
                site = self.estimates("free", {size: blocks}, 1, sample_bytes)[size]
                for name, truth in (("alloc_blocks", blocks), ("alloc_bytes", blocks * size)):
                    self.assertLess(abs(site[name] / truth - 1), 0.005, f"{name}: {site[name]}, not {truth}")


if __name__ == "__main__":
    tap.main()
