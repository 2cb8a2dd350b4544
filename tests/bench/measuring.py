# SPDX-License-Identifier: Apache-2.0
"""Runs a command under a tool: how long it takes, of the clock and of the processor, and how much memory."""
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import real_programs
import tools

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
               **real_programs.REPRODUCIBLE}
LIMIT_SECONDS = 300


@dataclasses.dataclass
class Measured:
    seconds: float
    processor_seconds: float
    peak_kib: int
    output: str


def run(bench, row, tool, command, out, stdin=b"", cwd=None, keeps_output=False):
    """A Measured, or None where a peer failed, which is noted for the row and said."""
    said = tempfile.TemporaryFile()
    peak = pathlib.Path(f"{out}.peak")
    # The tool's environment is for the command, not for what measures it.
    environment = [f"{name}={value}" for name, value in tool.with_environment({}, out).items()]
    words = [tools.BUILD / "tests/bench/peak", peak, "env", *environment, *tool.command(command, out)]
    started = time.perf_counter()
    with subprocess.Popen([str(word) for word in words], env=ENVIRONMENT, cwd=cwd, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE if keeps_output else subprocess.DEVNULL, stderr=said,
                          start_new_session=True) as process:
        try:
            output = process.communicate(stdin, timeout=LIMIT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
    seconds = time.perf_counter() - started
    with said:
        said.seek(0)
        if process.returncode != 0 or not peak.exists():
            return give_up(bench, row, tool, f"{command[0]} ended with {process.returncode} after {seconds:.0f} s: "
                           + said.read().decode(errors="replace")[-1000:])
    peak_kib, processor_us = map(int, peak.read_text().split())
    return Measured(seconds, processor_us / 1e6, peak_kib, output.decode(errors="replace") if output else "")


def give_up(bench, row, tool, reason):
    """A peer that fails is a cell of the table; seep must not."""
    print(f"bench: {row} under {tool.name}: {reason}", file=sys.stderr)
    if not tool.peer:
        sys.exit(1)
    bench.fail(row, tool, reason)
