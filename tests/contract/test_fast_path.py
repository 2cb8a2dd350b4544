#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an allocation costs that is not sampled: the instructions of each hook's fast path, as callgrind counts them,
are those of fast_path.golden.

They do not depend on the machine, only on the compiler, so that a change of one instruction is seen. Where it is meant:

  SEEP_BUILD=build ./tests/contract/test_fast_path.py --accept       writes what is counted now into fast_path.golden
"""
import configparser
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import callgrind  # noqa: E402
from seep_test import BUILD, PRELOAD, SeepTest, clean_environment, needs  # noqa: E402
import tap  # noqa: E402

GOLDEN = HERE / "fast_path.golden"
PROGRAM = BUILD / "tests/contract/fast_path"
TCMALLOC = pathlib.Path("/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4")
SAMPLE = "sample=1m:seed=1:valgrind=record"  # Of what is called in between, nothing is sampled.

HEADER = """\
# Instructions of each hook's fast path in libseep.so, by compiler; behind tcmalloc, whose operators do not call
# malloc, those of the operators. Compared and written by test_fast_path.py.
"""


def output_of(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def compiler():
    """That libseep.so was compiled with: clang adds its name to that of gcc, whose start files it links."""
    said = output_of("readelf", "-p", ".comment", PRELOAD)
    clang, gcc = re.search(r"clang version (\d+)", said), re.search(r"GCC: .* (\d+)[.]\d+[.]\d+$", said, re.MULTILINE)
    return f"clang {clang[1]}" if clang else f"gcc {gcc[1]}"


def hooks():
    return {line.split()[-1] for line in output_of("nm", "-D", "--defined-only", PRELOAD).splitlines()}


def hook_of(function, known_hooks):
    """Whose fast path that is: a hook's own, or of what an operator's jumps to (operators.cpp)."""
    for hook in known_hooks:
        name = f"Of{hook}"
        if function == hook or f"{len(name)}{name}E" in function and "8recorded" in function:
            return hook
    return None


def count(directory, behind=None):
    """{hook of libseep.so: instructions of its fast path}, where no call was sampled."""
    preload = os.pathsep.join(map(str, filter(None, (PRELOAD, behind))))
    file = pathlib.Path(directory) / "callgrind"
    subprocess.run(["valgrind", "-q", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no", "--demangle=no",
                    "--dump-before=count_each", "--dump-after=count_each", f"--callgrind-out-file={file}",
                    str(PROGRAM)],
                   env=clean_environment(LD_PRELOAD=preload, SEEP_OPTIONS=f"{SAMPLE}:out={directory}/%p.seep"),
                   check=True, timeout=120)
    counts = callgrind.counts_of(f"{file}.2")  # The first ends where count_each begins.
    found, known_hooks = {}, hooks()
    for function, instructions in counts.of(PRELOAD.name).items():
        calls = counts.calls[PRELOAD.name, function]
        hook = hook_of(function, known_hooks)
        if hook is None or not calls or instructions % calls:
            raise AssertionError(f"{function}: {instructions} instructions in {calls} calls: a fast path was left")
        if behind is None or hook.startswith("_Z"):
            found[hook] = found.get(hook, 0) + instructions // calls
    return found


def section(behind=None):
    return compiler() + (", tcmalloc behind" if behind else "")


def golden():
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str
    parser.read(GOLDEN)
    return parser


class FastPath(SeepTest):
    def check(self, behind=None):
        known = golden()
        if section(behind) not in known:
            self.skipTest(f"not run: {GOLDEN.name} has no counts for {section(behind)}")
        expected = {function: int(instructions) for function, instructions in known[section(behind)].items()}
        counted = count(self.directory, behind)
        report = self.report(self.directory)
        self.assertGreater(report["totals"]["alloc_blocks"], 0, "nothing was sampled: was it recorded at all?")
        different = [f"{function}: {counted.get(function)} instructions, {expected.get(function)} in {GOLDEN.name}"
                     for function in sorted({*counted, *expected}) if counted.get(function) != expected.get(function)]
        self.assertEqual(different, [], "fast paths have changed; if that is meant: SEEP_BUILD="
                         f"{BUILD} {pathlib.Path(__file__).relative_to(HERE.parents[1])} --accept")

    @needs("valgrind")
    def test_takes_as_many_instructions_as_it_did(self):
        self.check()

    @needs("valgrind")
    def test_takes_as_many_where_operators_do_not_call_malloc(self):
        if not TCMALLOC.exists():
            self.skipTest("not run: libtcmalloc is not installed")
        self.check(behind=TCMALLOC)


def accept():
    known = golden()
    if not TCMALLOC.exists():
        sys.exit("libtcmalloc is not installed, behind which the operators are counted")
    for behind in (None, TCMALLOC):
        with tempfile.TemporaryDirectory() as directory:
            known[section(behind)] = {name: str(number) for name, number in sorted(count(directory, behind).items())}
    with open(GOLDEN, "w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        known.write(file)


if __name__ == "__main__":
    if sys.argv[1:] == ["--accept"]:
        accept()
    else:
        tap.main()
