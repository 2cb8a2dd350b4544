# SPDX-License-Identifier: Apache-2.0
"""A baseline holds from build to build, and a sampled gate fails for nothing but a difference.

The rate. At a confidence of 95 % a gate without anything to find fails at most 5 times in 100. Of 200 pairs more than 20
failures have a chance of 1 in 1,000 at that rate, of the 8 of a normal run more than 3 one of 4 in 1,000. Seeds are fixed,
so a version either passes always or never.
"""
import json
import subprocess

import tap
from seep_test import CASES, LONG, SeepTest, clean_environment, own_frame

PASSED, FAILED = 0, 1
PAIRS, MOST_FAILURES = (200, 20) if LONG else (8, 3)
SAMPLE = "256k"
C = ("gcc", "-x", "c")

HEAD = """
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>
namespace app {
void* volatile keep;
struct Node { char text[40]; };
"""
# In any order; each calls what is declared here.
DECLARED = "void* lose(size_t); void lose_string(); void with_callbacks(); void recurse(int);\n"
FUNCTIONS = [
    "static inline Node* make_node(int n) { Node* node = new Node; std::memset(node, n, sizeof *node); return node; }\n"
    "template <typename T> struct Pool { T* take(int n) { last = make_node(n); last = nullptr; return nullptr; }"
    " T* volatile last; };\n"
    "struct Session { virtual ~Session() = default; virtual void open() { for (int i = 0; i < 3; ++i) pool.take(i); }"
    " Pool<Node> pool; };\n",
    "void* lose(size_t n) { keep = std::calloc(1, n); keep = nullptr; return nullptr; }\n",
    "void lose_string() { keep = new std::string(100, 'x'); keep = nullptr; }\n",
    "void with_callbacks() {\n  std::vector<std::function<void(int)>> calls;\n"
    "  calls.push_back([](int i) { lose(50 + i); keep = nullptr; });\n"
    "  std::for_each(calls.begin(), calls.end(), [](auto& call) { call(1); });\n}\n",
    "void recurse(int depth) {\n  if (depth == 0) { lose(70); return; }\n  recurse(depth - 1);\n  keep = nullptr;\n}\n",
]
MAIN = "}\nint main() {\n  app::Session s;\n  s.open();\n  app::lose_string();\n  app::with_callbacks();\n" \
       "  app::recurse(5);\n  app::keep = nullptr;\n  return 0;\n}\n"
PLAIN = HEAD + DECLARED + "".join(FUNCTIONS) + MAIN
EDITED = HEAD + "// " + "Another line.\n// " * 40 + "\n" + DECLARED + "".join(FUNCTIONS[:1] + FUNCTIONS[:0:-1]) + MAIN


class Builds(SeepTest):
    def built(self, source, options, compiler=("g++", "-std=c++20")):
        """What a program of this source leaks: (the recording, {fingerprint: bytes})."""
        file, program = self.directory / "program.cpp", self.directory / "program"
        file.write_text(source)
        subprocess.run([*compiler, "-g", *options, "-o", program, file], check=True)
        path, result = self.record([program])
        self.assertEqual(result.returncode, 0, result.stderr)
        sites = self.report(path)["sites"]
        return path, {site["fingerprint"]: site["definite_bytes"] for site in sites if site["definite_bytes"]}

    def test_fingerprints_stay_when_lines_move_and_functions_are_inlined(self):
        builds = [(PLAIN, ["-O0"]), (EDITED, ["-O2"])]
        if LONG:
            builds += [(PLAIN, [level]) for level in ("-O1", "-O2", "-O3", "-Os")]
            builds += [(EDITED, ["-O0"]), (EDITED, ["-O2", "-flto"]), (EDITED, ["-O2", "-no-pie"])]
        path, first = self.built(*builds[0])
        self.assertEqual(sorted(first.values()), [32, 51, 70, 120])
        baseline = self.directory / "leaks.toml"
        self.assertEqual(self.seep("gate", "--baseline", baseline, "--update", path).returncode, PASSED)
        text = baseline.read_text()
        for source, options in builds[1:]:
            path, leaks = self.built(source, options)
            self.assertEqual(leaks, first, options)
            result = self.seep("gate", "--baseline", baseline, "--update", path)
            self.assertEqual((result.returncode, baseline.read_text()), (PASSED, text), options)

    def test_a_program_that_was_built_again_since_is_told(self):
        """Then its functions have no names, and no fingerprint is what it was."""
        path, _ = self.built(PLAIN, ["-O0"])
        (self.directory / "program").write_bytes((CASES / "no_leak").read_bytes())
        self.assertRegex(self.seep("gate", path).stdout, r"symbols: none for .*/program \(")

    def test_a_baseline_knows_leaks_whose_callers_became_jumps(self):
        """A last call that is a jump leaves no frame: fingerprints change, and the baseline knows them all the same."""
        source = ("#include <stdlib.h>\nvoid* volatile p;\n"
                  "#define SITE __attribute__((noinline))\n"
                  "SITE void* give(size_t n) { return calloc(1, n); }\n"      # Jumps to calloc.
                  "SITE void* pass(size_t n) { return give(n); }\n"           # Jumps to give.
                  "SITE void* make(size_t n) { p = calloc(1, n); return 0; }\n"
                  "SITE void* wrap(size_t n) { return make(n); }\n"           # Jumps to make.
                  "SITE void forget(void) { volatile char b[4096]; for (int i = 0; i < 4096; ++i) b[i] = 0; }\n"
                  "int main(void) { p = pass(33); p = wrap(44); p = 0; forget(); return 0; }\n")
        baseline = self.directory / "leaks.toml"
        plain, first = self.built(source, ["-O0"], C)
        self.assertEqual(self.seep("gate", "--baseline", baseline, "--update", plain).returncode, PASSED)
        optimized, second = self.built(source, ["-O2"], C)
        self.assertEqual([sorted(leaks.values()) for leaks in (first, second)], [[33, 44], [33, 44]])
        self.assertFalse(set(first) & set(second), "nothing became a jump: this proves nothing")
        result = self.seep("gate", "--baseline", baseline, optimized)
        self.assertEqual(result.returncode, PASSED, result.stdout)
        new, _ = self.built(source.replace("p = 0; forget", "p = make(5); p = 0; forget"), ["-O2"], C)
        self.assertEqual(self.seep("gate", "--baseline", baseline, new).returncode, FAILED)


class SampledPairs(SeepTest):
    def sampled(self, seed, *acts):
        path, result = self.record([CASES / "leaky_sites", *acts], ["--sample", SAMPLE],
                                   env=clean_environment(SEEP_OPTIONS=f"scan=exit:seed={seed}"))
        self.assertEqual(result.returncode, 0, result.stderr)
        return path

    def test_without_a_difference_they_fail_no_more_often_than_stated(self):
        """16 sites that leak 4 MiB each, of which 2 to 16 or so samples are seen: two runs each differ by chance alone."""
        failures, before = [], None
        for seed in range(1, PAIRS + 2):
            path = self.sampled(seed)
            if before is not None:
                result = self.seep("gate", "--baseline", before, path)
                self.assertIn(result.returncode, (PASSED, FAILED), result.stdout)
                if result.returncode == FAILED:
                    failures.append((seed, result.stdout.splitlines()[0]))
            before = self.directory / f"leaks.{seed}.toml"
            self.assertEqual(self.seep("gate", "--baseline", before, "--update", path).returncode, PASSED)
        self.assertLessEqual(len(failures), MOST_FAILURES, failures)

    def test_a_difference_is_found(self):
        """One site of them leaks 32 MiB instead of 4."""
        baseline = self.directory / "leaks.toml"
        self.assertEqual(self.seep("gate", "--baseline", baseline, "--update", self.sampled(1)).returncode, PASSED)
        for seed in range(2, 22 if LONG else 4):
            path = self.sampled(seed, "more")
            verdict = json.loads(self.seep("gate", "--baseline", baseline, "--format", "json", path).stdout)
            failing = [own_frame(site["site"])["function"] for site in verdict["sites"] if site["standing"] == "grown"]
            self.assertEqual((verdict["outcome"], len(failing)), ("failed", 1), failing)
            self.assertIn("lose<3>", failing[0])


if __name__ == "__main__":
    tap.main()
