# SPDX-License-Identifier: Apache-2.0
"""How often real programs allocate, against glibc's own counter (libmemusage.so, a preload as we are, at full speed).

Both see the same calls if the program does the same each time: hash seeds are fixed, and the environment has the same
variables, for programs copy it to the heap. Bytes are not compared, since of a realloc it counts only the growth, and
not free(NULL) apart; valgrind does that, on less (tests/e2e/test_against_valgrind.py). Threads: none.
"""
import glob
import re

from software import BARE, EXACT, LONG, SoftwareTest, installed, main
from real_programs import PROGRAMS, REPRODUCIBLE

MEMUSAGE = (glob.glob("/lib/*/libmemusage.so") or ["libmemusage.so"])[0]
MEGABYTE = 1 << 20


class Counts(SoftwareTest):
    def memusages_count(self, run, command, stdin):
        """(status and output, blocks) of a command that is counted by libmemusage, which reports on stderr at the end."""
        run.environment.update(LD_PRELOAD=MEMUSAGE, SEEP_OPTIONS="")
        status, stdout, stderr = run.command(command, stdin)
        rows = dict(re.findall(r"(malloc|realloc|calloc)\|\s*(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", stderr.decode())))
        self.assertEqual(len(rows), 3, stderr)
        return (status, stdout), sum(map(int, rows.values()))

    def check(self, command, stdin=b"", files=None, at_least=1000):
        """`files`: what is in the working directory before, by name."""
        runs = [self.begin(BARE, **REPRODUCIBLE), self.begin(EXACT, bare_preload=True, **REPRODUCIBLE)]
        for run in runs:
            for name, content in (files or {}).items():
                (run.directory / name).write_bytes(content)
        said, blocks = self.memusages_count(runs[0], command, stdin)
        self.assertGreater(blocks, at_least)
        *found, stderr = runs[1].command(command, stdin)
        self.assertEqual((tuple(found), stderr), (said, b""))
        self.assertEqual(self.whole_report(runs[1])["totals"]["alloc_blocks"], blocks)

    def check_program(self, name, size):
        program = PROGRAMS[name](self.directory, size)
        scripts = {path.name: path.read_bytes() for path in self.directory.glob("script.*")}
        self.check(program.command, program.stdin, scripts, at_least=100_000)

    @installed(MEMUSAGE, "sqlite3")
    def test_sqlite3(self):
        self.check_program("sqlite3", 300_000 if LONG else 50_000)

    @installed(MEMUSAGE, "perl")
    def test_perl(self):
        self.check_program("perl", 500_000 if LONG else 50_000)

    @installed(MEMUSAGE, "vim.tiny")
    def test_vim(self):
        text = "".join(f"line {i}\n" for i in range(20_000)).encode()
        self.check(["vim.tiny", "-u", "NONE", "-n", "-es", "text", "-c", "%s/1/2/g", "-c", "g/7/move 0", "-c", "wq"],
                   files={"text": text}, at_least=50_000)

    @installed(MEMUSAGE, "openssl")
    def test_openssl(self):
        self.check(["openssl", "dgst", "-sha256", "text"], files={"text": bytes(MEGABYTE)})


if __name__ == "__main__":
    main()
