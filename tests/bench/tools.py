# SPDX-License-Identifier: Apache-2.0
"""The tools that are compared: how a command runs under each, and where each leaves its recording."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import typing

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEEP_BUILD", SOURCE / "build-bench")).resolve()
SEEP = BUILD / "tools/seep"
LIBSEEP = BUILD / "src/preload/libseep.so"
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")
HEAPTRACK_PRELOAD = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")


@dataclasses.dataclass(eq=False)
class Tool:
    """A way to run a command: a prefix, and more environment; `{out}` stands for the recording's path.

    `base` is the tool that it is compared with: what replaces the allocator, with the same allocator alone. `slow` ones
    are run once, and where that makes a difference with less to do. `linked` ones are programs of their own, whose
    names end like that. A `peer` may fail, which is said, and seep may not.
    """
    name: str
    prefix: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)
    base: typing.Optional["Tool"] = None
    slow: bool = False
    linked: str = ""
    peer: bool = False

    def command(self, command, out):
        return [word.replace("{out}", str(out)) for word in self.prefix] + [str(word) for word in command]

    def with_environment(self, environment, out):
        more = {name: str(value).replace("{out}", str(out)) for name, value in self.environment.items()}
        return {**environment, **more}

    def program(self, name):
        """A program of tests/bench."""
        return BUILD / "tests/bench" / (name + self.linked)

    def is_installed(self):
        library = self.environment.get("LD_PRELOAD")
        return ((library is None or pathlib.Path(library).exists())
                and (not self.prefix or shutil.which(self.prefix[0]) is not None))


def preloaded(name, library, *, base=None, slow=False, peer=False, **environment):
    return Tool(name, environment={"LD_PRELOAD": str(library), **environment}, base=base, slow=slow, peer=peer)


def seep(name, options, base):
    return preloaded(name, LIBSEEP, base=base, SEEP_OPTIONS=f"{options}:out={{out}}/%e.%p.seep")


NOTHING = Tool("nothing")
NOTHING_AGAIN = Tool("nothing, again", base=NOTHING)  # How much of a difference is noise.
EMPTY = preloaded("empty preload", BUILD / "tests/bench/empty.so")
FORWARD = preloaded("bare forwarding", BUILD / "tests/bench/forward.so", base=NOTHING)
SAMPLED = seep("seep, sampled (512 KiB)", "sample=512k", NOTHING)
EXACT = seep("seep, exact", "sample=1", NOTHING)
EXACT_ON_REQUEST = seep("seep, exact", "sample=1:scan=request", NOTHING)

# As a user runs it; and its preload alone, where only the process itself is to be measured.
HEAPTRACK = Tool("heaptrack", prefix=("heaptrack", "-o", "{out}/heaptrack"), base=NOTHING, peer=True)
HEAPTRACK_ALONE = preloaded("heaptrack, its preload alone", HEAPTRACK_PRELOAD, base=NOTHING, peer=True,
                            DUMP_HEAPTRACK_OUTPUT="{out}/heaptrack.raw")

LSAN_LIBRARY = LIBRARIES / "liblsan.so.0"
LSAN_OPTIONS = {"LSAN_OPTIONS": "exitcode=0"}  # It finds leaks in some programs, which is not asked here.
LSAN_PRELOADED = preloaded("LeakSanitizer, preloaded", LSAN_LIBRARY, base=NOTHING, peer=True, **LSAN_OPTIONS)
LSAN_LINKED = Tool("LeakSanitizer", environment=LSAN_OPTIONS, base=NOTHING, linked="_lsan", peer=True)
LSAN_FRAME_POINTERS = Tool("LeakSanitizer, with frame pointers", environment=LSAN_OPTIONS, base=NOTHING,
                           linked="_lsan_frame_pointers", peer=True)

JEMALLOC_LIBRARY = LIBRARIES / "libjemalloc.so.2"
JEMALLOC = preloaded("jemalloc alone", JEMALLOC_LIBRARY, base=NOTHING, peer=True)
JEMALLOC_SAMPLED = preloaded("jemalloc's profiler (512 KiB)", JEMALLOC_LIBRARY, base=JEMALLOC, peer=True,
                             MALLOC_CONF="prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:{out}/jemalloc")
JEMALLOC_EXACT = preloaded("jemalloc's profiler (each allocation)", JEMALLOC_LIBRARY, base=JEMALLOC, slow=True,
                           peer=True,
                           MALLOC_CONF="prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:{out}/jemalloc")

TCMALLOC_LIBRARY = LIBRARIES / "libtcmalloc.so.4"
TCMALLOC = preloaded("tcmalloc alone", TCMALLOC_LIBRARY, base=NOTHING, peer=True)
TCMALLOC_SAMPLED = preloaded("tcmalloc's sampler (512 KiB)", TCMALLOC_LIBRARY, base=TCMALLOC, peer=True,
                             TCMALLOC_SAMPLE_PARAMETER=512 << 10)
TCMALLOC_PROFILER = preloaded("tcmalloc's heap profiler", TCMALLOC_LIBRARY, base=TCMALLOC, slow=True, peer=True,
                              HEAPPROFILE="{out}/tcmalloc")

VALGRIND = Tool("Valgrind memcheck", prefix=("valgrind", "-q", "--leak-check=full", "--log-file={out}/valgrind"),
                base=NOTHING, slow=True, peer=True)


def callgrind(tool, out):
    """A tool whose program runs under callgrind; seep records all the same."""
    environment = dict(tool.environment)
    if "SEEP_OPTIONS" in environment:
        environment["SEEP_OPTIONS"] += ":valgrind=record:seed=1"
    prefix = ("valgrind", "-q", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no",
              f"--callgrind-out-file={out}/callgrind")
    return dataclasses.replace(tool, prefix=prefix, environment=environment)


def installed(*wanted):
    """Those of the tools that are there. What is missing was named when the run began."""
    return [tool for tool in wanted if tool.is_installed()]


def missing():
    return [tool.name for tool in globals().values() if isinstance(tool, Tool) and not tool.is_installed()]


def recording_bytes(out):
    return sum(file.stat().st_size for file in pathlib.Path(out).rglob("*") if file.is_file())


def report_command(tool, out):
    """The command that makes a tool's report of its recording, or None."""
    if tool in (SAMPLED, EXACT):
        return [str(SEEP), "report", str(out)]
    if tool is HEAPTRACK:
        return ["heaptrack_print", *map(str, pathlib.Path(out).glob("heaptrack*"))]
    return None


def machine():
    """One line on where the figures come from."""
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout.strip()
    return f"{os.cpu_count()} × {model}, Linux {kernel}"


def available_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
