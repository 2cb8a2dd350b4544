# SPDX-License-Identifier: Apache-2.0
"""What a tool takes of resident memory: beside heaps of 0.1 and 1 GB, for each live block, for each thread.

All blocks of heap.c come from one place, so there is one trace, and the same with few blocks has it, too: what many
blocks take more than few, over the heap itself, is what the blocks take. Each is measured once: memory has little
noise.
"""
import figures
import measuring
import tools
from tools import EXACT, HEAPTRACK_ALONE, LSAN_PRELOADED, NOTHING, SAMPLED

HEAPS = {"0.1 GB": 100_000_000, "1 GB": 1_000_000_000}
FEW, MANY = 1_000, 10_000_000
BLOCKS = {"16 to 256 B": (16, 256), "64 B": (64, 64)}
THREADS = 10_000
HEAP_TOOLS = (NOTHING, SAMPLED, tools.JEMALLOC, tools.JEMALLOC_SAMPLED)
INTERPRETER = tools.Tool("heaptrack, its interpreter beside it", peer=True)  # It keeps what heaptrack knows of blocks.
INTERPRETER_PROGRAM = "/usr/lib/heaptrack/libexec/heaptrack_interpret"
BLOCK_TOOLS = (NOTHING, EXACT, LSAN_PRELOADED, HEAPTRACK_ALONE, INTERPRETER)
THREAD_TOOLS = (NOTHING, SAMPLED, EXACT, HEAPTRACK_ALONE, LSAN_PRELOADED)
MOST_BYTES = 4_000_000_000  # That a run may take.


def measure(bench):
    if tools.available_bytes() < 1.5 * MOST_BYTES:
        raise SystemExit("bench: too little memory is free to measure memory")
    for tool in tools.installed(*HEAP_TOOLS):
        for heap, size in HEAPS.items():
            measure_once(bench, f"heap {heap}", tool, ["bytes", size, 16, 1024])
    for tool in tools.installed(*BLOCK_TOOLS[:-1]):
        for blocks, sizes in BLOCKS.items():
            for count in (FEW, MANY):
                measure_once(bench, f"{count} blocks, {blocks}", tool, ["blocks", count, *sizes])
    for tool in tools.installed(*THREAD_TOOLS):
        for count in (1, THREADS):
            measure_once(bench, f"{count} threads", tool, ["threads", count])


def measure_once(bench, row, tool, arguments):
    out = bench.out()
    measured = measuring.run(bench, row, tool, [tool.program("heap"), *arguments], out, keeps_output=True)
    if measured:
        bench.add(row, tool, int(measured.output))
    if measured and tool is HEAPTRACK_ALONE and arguments[0] == "blocks":
        command = ["sh", "-c", f"exec {INTERPRETER_PROGRAM} <{out}/heaptrack.raw >{out}/heaptrack.out"]
        measured = measuring.run(bench, row, INTERPRETER, command, bench.out())
        if measured:
            bench.add(row, INTERPRETER, measured.peak_kib * 1024)


def of_each(bench, tool, few, many, name):
    """Bytes that a tool adds for each of `many`, over what it adds to `few`. Of the interpreter: that it takes."""
    value = bench.median if tool is INTERPRETER else bench.added
    at_few, at_many = (value(name.format(count), tool) for count in (few, many))
    return None if at_few is None or at_many is None else round((at_many - at_few) / (many - few), 1) + 0


def most_bytes(heap_bytes):
    """That seep, sampled, is to take beside a heap."""
    return (2 << 20) + heap_bytes / 100


def mebibytes(value):
    return None if value is None else value / (1 << 20)


# ---- Showing.

def tables(bench):
    return "\n\n".join([heap_table(bench), block_table(bench), thread_table(bench)])


def heap_table(bench):
    rows = []
    for tool in HEAP_TOOLS:
        cells = []
        for heap in HEAPS:
            value = bench.median(f"heap {heap}", tool) if tool is NOTHING else bench.added(f"heap {heap}", tool)
            form = "{:,.1f} MiB" if tool is NOTHING else "{:+,.1f} MiB"
            cells.append(bench.cell(f"heap {heap}", tool, mebibytes(value), form))
        note = f", over {tool.base.name}" if tool.base not in (None, NOTHING) else ""
        rows.append([tool.name + note, *cells])
    return figures.table(["resident, a heap of (16 to 1,024 B each)", *HEAPS], rows)


def block_table(bench):
    rows = []
    for tool in BLOCK_TOOLS:
        cells = []
        for blocks in BLOCKS:
            name = f"{{}} blocks, {blocks}"
            value = bench.median(name.format(MANY), tool)
            if tool is NOTHING:
                cells.append(figures.number(value and value / MANY, "{:.1f} B"))
            else:
                cells.append(bench.cell(name.format(MANY), tool, of_each(bench, tool, FEW, MANY, name), "{:+.1f} B"))
        rows.append([tool.name, *cells])
    return figures.table([f"resident for each of {MANY:,} live blocks of", *BLOCKS], rows)


def thread_table(bench):
    rows = []
    for tool in THREAD_TOOLS:
        if tool is not NOTHING:
            value = of_each(bench, tool, 1, THREADS, "{} threads")
            rows.append([tool.name, bench.cell(f"{THREADS} threads", tool, value, "{:+,.0f} B")])
    return figures.table([f"resident for each of {THREADS:,} threads, with one block each", ""], rows)


def aims(bench):
    for heap, size in HEAPS.items():
        yield figures.Aim(f"resident, beside a heap of {heap}: {SAMPLED.name}", most_bytes(size) / (1 << 20),
                          mebibytes(bench.added(f"heap {heap}", SAMPLED)), "{:.1f} MiB")
    yield figures.Aim(f"resident for each of {MANY:,} live blocks: {EXACT.name}", 48, figures.worst(
        of_each(bench, EXACT, FEW, MANY, f"{{}} blocks, {blocks}") for blocks in BLOCKS), "{:.1f} B")
    yield figures.Aim(f"resident for each of {THREADS:,} threads: {SAMPLED.name}", 4096,
                      of_each(bench, SAMPLED, 1, THREADS, "{} threads"), "{:,.0f} B")
