# SPDX-License-Identifier: Apache-2.0
"""From a recording to a report: how long it takes, and how large the file is, beside heaptrack's of the same program.

Compared is `heaptrack_print` of the file that heaptrack writes, with the text report of an exact recording: without the
cache of symbols, and with it, filled. heaptrack looks functions up in its interpreter, beside the program, seep when it
reports.

heaptrack's interpreter (1.4.0), which stands between the program and the file, keeps (size, stack) in a hash table whose
hash spreads too little: of a program with many sizes at many stacks, such as a compiler that optimizes, neighbours run
into each other, the table doubles until there is no memory left, and the file is cut. Where that happens the raw
recording is interpreted here, in the same way with a table that works, and heaptrack_print reads what would have been
written.
"""
import dataclasses
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

import figures
import measuring
import real_programs
import tools

INTERPRETER = "/usr/lib/heaptrack/libexec/heaptrack_interpret"
INTERPRETER_BYTES = 4 << 30  # Of address space: then it fails at once, and not after a minute and 20 GB.
# Python's own, of its language and library: none starts a process.
PYTHON_TESTS = ("test_re", "test_dict", "test_datetime", "test_enum", "test_dataclasses", "test_deque", "test_heapq",
                "test_copy", "test_pprint", "test_csv", "test_configparser")


def compiler(optimization):
    def command():
        found = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True)
        return [found.stdout.strip(), "-quiet", optimization, "source.cpp", "-o", "source.s", "-D_GNU_SOURCE"]
    return command


PROGRAMS = {"cc1plus -O0": compiler("-O0"), "cc1plus -O2": compiler("-O2"),
            "python3's tests": lambda: ["/usr/bin/python3", "-m", "test", *PYTHON_TESTS]}


@dataclasses.dataclass
class Recorded:
    """What both tools have of one program."""
    stream: pathlib.Path
    heaptrack: pathlib.Path = None
    by_interpreter: bool = True  # heaptrack's own.
    seconds: dict = dataclasses.field(default_factory=dict)  # {row: [of each run]}

    def median(self, row):
        values = self.seconds.get(row)
        return statistics.median(values) if values else None


# ---- Recording.

def run(command, place, **environment):
    subprocess.run([str(word) for word in command], cwd=place, env={**measuring.ENVIRONMENT, **environment}, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def record(command, place):
    """The program's own process under each: what it starts is none of heaptrack's."""
    run(command, place, LD_PRELOAD=str(tools.LIBSEEP),
        SEEP_OPTIONS=f"sample=1:out={place}/seep/%p.seep")
    stream = max((place / "seep").glob("*.seep"), key=lambda file: file.stat().st_size)
    recorded = Recorded(stream)
    if not tools.installed(tools.HEAPTRACK):
        return recorded
    run(["heaptrack", "--raw", "-o", place / "heaptrack", *command], place)
    raw = place / "raw"
    with raw.open("wb") as lines:
        subprocess.run(["zstd", "-dc", place / "heaptrack.raw.zst"], stdout=lines, check=True)
    text = place / "text"
    started = time.perf_counter()
    recorded.by_interpreter = interpret(raw, text)
    if recorded.by_interpreter:
        recorded.seconds["heaptrack's interpreter"] = [time.perf_counter() - started]
    else:
        interpret_here(raw, text)
    recorded.heaptrack = place / "heaptrack.zst"
    subprocess.run(["zstd", "-q", text, "-o", recorded.heaptrack], check=True)  # As its script does.
    return recorded


def interpret(raw, text):
    """By heaptrack's own interpreter; False where it has no memory."""
    limits = (INTERPRETER_BYTES, INTERPRETER_BYTES)
    with raw.open("rb") as lines, text.open("wb") as out:
        result = subprocess.run([INTERPRETER], stdin=lines, stdout=out, stderr=subprocess.PIPE, check=False,
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits))
    if result.returncode != 0 and b"bad_alloc" not in result.stderr:
        sys.exit(f"bench: {INTERPRETER} ended with {result.returncode}:\n{result.stderr.decode(errors='replace')}")
    return result.returncode == 0


def interpret_here(raw, text):
    """The same. Functions and stacks are looked up by heaptrack's own, from the lines that say nothing of blocks: each
    of these begins one of its, behind such as it adds."""
    rest, looked_up = raw.with_name("rest"), raw.with_name("looked_up")
    with raw.open() as lines, rest.open("w") as out:
        out.writelines(line for line in lines if line[0] not in "+-")
    if not interpret(rest, looked_up):
        sys.exit("bench: heaptrack_interpret has no memory for functions and stacks")
    kinds, live = {}, {}
    with raw.open() as lines, looked_up.open() as others, text.open("w") as out:
        for line in lines:
            what = line[0]
            if what == "+":
                _, size, stack, address = line.split()
                if (size, stack) not in kinds:
                    kinds[size, stack] = len(kinds)
                    out.write(f"a {size} {stack}\n")
                live[address] = kinds[size, stack]
                out.write(f"+ {live[address]:x}\n")
            elif what == "-":
                kind = live.pop(line[2:-1], None)
                if kind is not None:
                    out.write(f"- {kind:x}\n")
            elif what not in "xm":
                for other in others:
                    out.write(other)
                    if other[0] == what:
                        break
        out.writelines(others)


# ---- Reporting.

def time_report(recorded, row, command, **environment):
    started = time.perf_counter()
    subprocess.run([str(word) for word in command], env={**measuring.ENVIRONMENT, **environment}, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)
    recorded.seconds.setdefault(row, []).append(time.perf_counter() - started)


def report(recorded, cache):
    if recorded.heaptrack:
        time_report(recorded, "heaptrack_print", ["heaptrack_print", recorded.heaptrack])
    command = [tools.SEEP, "report", recorded.stream]
    time_report(recorded, "seep", [*command, "--no-symbol-cache"])
    time_report(recorded, "seep, cached", command, XDG_CACHE_HOME=str(cache))


def reports(bench):
    """The table, as Markdown."""
    recordings = {}
    for name, command in PROGRAMS.items():
        place = pathlib.Path(bench.scratch) / name.split()[0] / name.split()[1].strip("-")
        place.mkdir(parents=True)
        real_programs.PROGRAMS["g++"](place)
        recordings[name] = record(command(), place)
    cache = pathlib.Path(bench.scratch) / "cache"
    for recorded in recordings.values():
        run([tools.SEEP, "report", recorded.stream], bench.scratch, XDG_CACHE_HOME=str(cache))
    for _ in range(bench.runs):
        for recorded in recordings.values():
            report(recorded, cache)
    return table(recordings)


def compressed_bytes(stream):
    """As `seep compress` makes it."""
    copy = stream.with_name("copy.seep")
    shutil.copy(stream, copy)
    subprocess.run([tools.SEEP, "compress", copy], capture_output=True, check=True)
    made = copy.with_name("copy.seep.zst")
    size = made.stat().st_size
    made.unlink()
    return size


def table(recordings):
    def mebibytes(value, than):
        return f"{value / 2**20:.1f} MiB" + (f" ({value / than:.2f})" if than else "")

    def seconds(recorded, name):
        value, peer = recorded.median(name), recorded.median("heaptrack_print")
        faster = f" ({peer / value:.1f} times faster)" if peer and name.startswith("seep") else ""
        return "" if value is None else f"{value:.3f} s{faster}"

    all_of = recordings.values()
    peers = [recorded.heaptrack.stat().st_size if recorded.heaptrack else None for recorded in all_of]
    sizes = [recorded.stream.stat().st_size for recorded in all_of]
    rows = []
    if any(peers):
        rows.append(["heaptrack's file, compressed", *(mebibytes(peer, None) for peer in peers)])
    rows.append(["seep's file", *(mebibytes(size, peer) for size, peer in zip(sizes, peers))])
    rows.append(["seep's file, by seep compress",
                 *(mebibytes(compressed_bytes(recorded.stream), peer) for recorded, peer in zip(all_of, peers))])
    for name, key in (("heaptrack's interpreter, beside the program", "heaptrack's interpreter"),
                      ("heaptrack_print", "heaptrack_print"), ("seep report, without its cache", "seep"),
                      ("seep report", "seep, cached")):
        if any(recorded.median(key) is not None for recorded in all_of):
            rows.append([name, *(seconds(recorded, key) for recorded in all_of)])
    text = figures.table(["reports of exact recordings (ratio to heaptrack)", *recordings], rows)
    mended = [name for name, recorded in recordings.items() if not recorded.by_interpreter]
    if mended:
        text += (f"\n\nOf {' and '.join(mended)} heaptrack's interpreter runs out of memory; its file was made as it "
                 "would have been (see tests/bench/reports.py).")
    return text
