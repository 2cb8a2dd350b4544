# SPDX-License-Identifier: Apache-2.0
"""The real programs that are recorded: how each is prepared and run, and what of its doing must be equal each time.

Used by the tests and by tests/bench, so that what is timed is what is tested.
"""
import dataclasses
import pathlib

PYTHON_SCRIPT = """
import json, re
words = {}
for i in range(%d):
    key = 'key-%%d' %% (i %% 5000)
    words.setdefault(key, []).append({'n': i, 't': (i, str(i))})
text = json.dumps(words)
again = json.loads(text)
kept = [re.sub('1', '2', str(i)) for i in range(3000)]
print(len(text), len(again), sum(len(word) for word in kept))
"""

PERL_SCRIPT = """
my %%words; my @lines;
for my $i (1 .. %d) {
  my $key = "key-" . ($i %% 5000);
  push @{$words{$key}}, {n => $i, t => "text $i"};
  push @lines, join(",", map { $_ * $i } 1 .. 5) if $i %% 10 == 0;
}
print scalar(keys %%words), " ", scalar(@lines), " ", length(join("", sort @lines)), "\\n";
"""

CXX_SOURCE = """
#include <iostream>
#include <map>
#include <regex>
int main(int argc, char** argv) {
  std::map<std::string, int> counts;
  std::regex word("[a-z]+");
  for (int i = 1; i < argc; ++i) counts[std::regex_replace(argv[i], word, "x")] += i;
  for (const auto& [text, count] : counts) std::cout << text << ' ' << count << '\\n';
}
"""

GIT_SCRIPT = """
set -e
git init -q -b main repository
cd repository
for i in $(seq %d); do
  seq $i $((i * 20)) > file$((i %% 7))
  git add .
  git commit -q -m "commit $i"
done
git gc -q
git fsck --full
git log --oneline | wc -l
git rev-parse HEAD
"""

REPRODUCIBLE = {
    "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
    "PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@localhost", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@localhost", "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


@dataclasses.dataclass
class Program:
    """A program to run in an empty directory."""
    command: list
    stdin: bytes = b""
    result_files: tuple = ()  # What it writes, and must write alike each time.


def sqlite(directory, rows=100_000):
    """An in-memory database filled by a script of so many rows, and asked."""
    del directory
    lines = ["CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL);", "BEGIN;"]
    lines += [f"INSERT INTO t VALUES ({i}, 'name-{i * 7919 % rows}', {i}.5);" for i in range(rows)]
    lines += ["COMMIT;", "CREATE INDEX byname ON t (name);",
              "SELECT count(*), sum(value), min(name), max(name) FROM t;",
              "SELECT substr(name, 1, 6), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5;"]
    return Program(["sqlite3", ":memory:"], ("\n".join(lines) + "\n").encode())


def python(directory, items=60_000):
    """Dictionaries, JSON and regular expressions, each object by malloc."""
    (pathlib.Path(directory) / "script.py").write_text(PYTHON_SCRIPT % items)
    return Program(["/usr/bin/python3", "script.py"])


def perl(directory, items=150_000):
    """Hashes of arrays of hashes."""
    (pathlib.Path(directory) / "script.pl").write_text(PERL_SCRIPT % items)
    return Program(["perl", "script.pl"])


def cxx(directory, source=CXX_SOURCE):
    """g++ -O2 -c: the driver, cc1plus and as, all observed."""
    (pathlib.Path(directory) / "source.cpp").write_text(source)
    return Program(["g++", "-O2", "-c", "source.cpp", "-o", "source.o"], result_files=("source.o",))


def git(directory, commits=15):
    """init, commit, gc and fsck: many short processes."""
    (pathlib.Path(directory) / "script.sh").write_text(GIT_SCRIPT % commits)
    return Program(["sh", "script.sh"])


PROGRAMS = {"sqlite3": sqlite, "python3": python, "perl": perl, "g++": cxx, "git": git}
