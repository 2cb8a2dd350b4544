# SPDX-License-Identifier: Apache-2.0
"""The programs that nobody here wrote whose verdicts are compared: how each is prepared and run, one process each, with
the same input every time."""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import real_programs  # noqa: E402

CXX_SOURCE = "#include <map>\nint main() { return static_cast<int>(std::map<int, int>{{1, 2}}.size()); }\n"
PYTHON_LINE = "import json, re; print(len(json.dumps({str(i): [i] * 3 for i in range(%d)})), re.sub('1', '2', '121'))"
BASH_LINE = "declare -A a; for i in {1..500}; do a[k$i]=$i; done; f() { local x=$1; echo ${x%%1*}; }; f ${a[k71]}"
VIM_LINES = ["-c", "%s/line/LINE/g", "-c", "normal Gdd", "-c", "wq! changed.txt"]


def prepare(directory, env):
    """Puts what the commands read into a directory."""
    directory = pathlib.Path(directory)
    (directory / "text.txt").write_text("".join(f"line {i} of a text, {i * 7919 % 1000}\n" for i in range(2000)))
    tree = directory / "tree"
    for i in range(20):
        (tree / f"d{i % 5}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{i % 5}" / f"f{i}").write_text(f"{i}\n" * 100)
    (directory / "source.cpp").write_text(CXX_SOURCE)
    subprocess.run(["g++", "-O2", "-S", "source.cpp"], cwd=directory, check=True)
    subprocess.run(["g++", "-E", "source.cpp", "-o", "source.ii"], cwd=directory, check=True)
    git = real_programs.git(directory, commits=3)
    subprocess.run(git.command, cwd=directory, env=env, check=True, capture_output=True)


NAMES = ("ls", "bash", "awk", "sed", "find", "grep", "sort", "tar", "gzip", "xz", "openssl", "curl", "git",
         "git status", "vim", "python3", "as", "cc1plus", "sqlite3", "perl", "python3 script")


def commands(directory, large):
    """{name: Program}, for all NAMES. `large`: as much as is worth waiting for under Valgrind."""
    cc1plus = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, check=True, text=True).stdout
    plain = {
        "ls": ["ls", "-laR", "tree"],
        "bash": ["bash", "--norc", "-c", BASH_LINE],
        "awk": ["mawk", "{ s[$2 % 10] += length($0) } END { for (k in s) n += s[k]; print n }", "text.txt"],
        "sed": ["sed", "-n", "-E", "s/^line ([0-9]+) (.*)$/\\2 \\1/; 1~7{h;G;p}", "text.txt"],
        "find": ["find", "tree", "-type", "f", "-name", "f1*", "-size", "-10k", "-printf", "%p %s\\n"],
        "grep": ["grep", "-nE", "(1|2)+7.*[0-9]{3}$", "text.txt"],
        "sort": ["sort", "-k5", "-n", "text.txt"],
        "tar": ["tar", "-cf", "tree.tar", "--sort=name", "tree"],
        "gzip": ["gzip", "-kf", "text.txt"],
        "xz": ["xz", "-kf", "-0", "text.txt"],
        "openssl": ["openssl", "dgst", "-sha256", "text.txt"],
        "curl": ["curl", "-s", f"file://{directory}/text.txt"],
        "git": ["git", "-C", "repository", "log", "--stat", "-p"],
        "git status": ["git", "-C", "repository", "status"],
        "vim": ["vim.tiny", "-u", "NONE", "-i", "NONE", "-n", "-es", *VIM_LINES, "text.txt"],
        "python3": ["/usr/bin/python3", "-c", PYTHON_LINE % (20_000 if large else 500)],
        "as": ["as", "source.s", "-o", "source.o"],
        "cc1plus": [cc1plus.strip(), "-quiet", "-O1", "source.ii", "-o", "again.s"],
    }
    found = {name: real_programs.Program(command) for name, command in plain.items()}
    found["sqlite3"] = real_programs.sqlite(directory, rows=20_000 if large else 1_000)
    found["perl"] = real_programs.perl(directory, items=10_000 if large else 1_000)
    found["python3 script"] = real_programs.python(directory, items=3_000 if large else 300)
    return found
