# SPDX-License-Identifier: Apache-2.0
"""The tools that are compared: how a command runs under each, and where each leaves its recording."""
import dataclasses
import os
import pathlib
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SEEP_BUILD", SOURCE / "build-bench")).resolve()
SEEP = BUILD / "tools/seep"
HEAPTRACK_PRELOAD = pathlib.Path("/usr/lib/heaptrack/libheaptrack_preload.so")


@dataclasses.dataclass(eq=False)
class Tool:
    """A way to run a command: a prefix, and more environment; `{out}` stands for the recording's path."""
    name: str
    prefix: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)

    def command(self, command, out):
        return [word.replace("{out}", str(out)) for word in self.prefix] + [str(word) for word in command]

    def with_environment(self, environment, out):
        more = {name: str(value).replace("{out}", str(out)) for name, value in self.environment.items()}
        return {**environment, **more}


def preloaded(name, library, **environment):
    return Tool(name, environment={"LD_PRELOAD": str(library), **environment})


NOTHING = Tool("nothing")
EMPTY = preloaded("empty preload", BUILD / "tests/bench/empty.so")
FORWARD = preloaded("bare forwarding", BUILD / "tests/bench/forward.so")
SAMPLED = preloaded("seep, sampled (512 KiB)", BUILD / "src/preload/libseep.so",
                    SEEP_OPTIONS="sample=512k:out={out}/%e.%p.seep")
EXACT = preloaded("seep, exact", BUILD / "src/preload/libseep.so", SEEP_OPTIONS="sample=1:out={out}/%e.%p.seep")
EXACT_ON_REQUEST = preloaded("seep, exact", BUILD / "src/preload/libseep.so",
                             SEEP_OPTIONS="sample=1:scan=request:out={out}/%e.%p.seep")
LEAK_SANITIZER = Tool("LeakSanitizer")  # It is linked with.
# As a user runs it; and its preload alone, where only the process itself is to be measured.
HEAPTRACK = Tool("heaptrack (exact)", prefix=("heaptrack", "-o", "{out}/heaptrack"))
HEAPTRACK_ALONE = preloaded("heaptrack (exact)", HEAPTRACK_PRELOAD, DUMP_HEAPTRACK_OUTPUT="{out}/heaptrack.raw")


def has_heaptrack():
    return shutil.which("heaptrack") is not None and HEAPTRACK_PRELOAD.exists()


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
