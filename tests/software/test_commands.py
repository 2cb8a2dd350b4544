# SPDX-License-Identifier: Apache-2.0
"""Commands of every day, alone and with many children: what they say, write and return is the same with seep."""
from software import EXACT, LONG, SoftwareTest, installed, main

GDB_PROGRAM = """
#include <stdlib.h>
#include <string.h>
static char* leaf(int size) { return memset(malloc(size), 'a' + size, size); }
static int middle(int size) { char* text = leaf(size); int first = text[0]; free(text); return first; }
int main(void) { return middle(3) + middle(4) - 'd' - 'e'; }
"""

# Written out twice, so that the archive of the one is compared with that of the other.
ARCHIVES = """
mkdir tree; i=0
while [ $i -lt 150 ]; do seq $i $((i * 7)) >tree/file$i; i=$((i + 1)); done
ln -s file1 tree/link
tar -c --sort=name --mtime=@1700000000 -f one.tar tree
gzip -n -k one.tar
rsync -a tree/ copy/
rsync -a --checksum --itemize-changes tree/ copy/
mkdir unpacked; tar -xzf one.tar.gz -C unpacked
diff -r tree copy; diff -r tree unpacked/tree
sha256sum one.tar one.tar.gz | tr -d '\\n'
"""

KEYS = """
ssh-keygen -q -t ed25519 -N '' -C nobody -f key
ssh-keygen -y -f key >derived.pub
cmp derived.pub key.pub
seq 100000 >text
openssl enc -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:word -in text -out secret
openssl enc -d -aes-256-cbc -pbkdf2 -iter 1000 -S 0011223344556677 -pass pass:word -in secret | cmp - text
openssl dgst -sha512 secret
openssl genrsa -out rsa.pem 2048
openssl dgst -sha256 -sign rsa.pem -out signature text
openssl rsa -in rsa.pem -pubout -out rsa.pub
openssl dgst -sha256 -verify rsa.pub -signature signature text
"""

MAKEFILE = """
OBJECTS = $(patsubst %.cpp,%.o,$(sort $(wildcard *.cpp)))
program: $(OBJECTS)
\tg++ -o $@ $(OBJECTS)
%.o: %.cpp
\t@g++ -O1 -c $< -o $@
"""

UNIT = """
#include <map>
#include <string>
#include <vector>
std::map<std::string, std::vector<int>> table_NUMBER(int n) {
  std::map<std::string, std::vector<int>> table;
  for (int i = 0; i < n; ++i) table[std::to_string(i % NUMBER)].push_back(i);
  return table;
}
"""

MAIN = """
#include <cstdio>
#include <map>
#include <string>
#include <vector>
DECLARATIONS
int main() { std::printf("%zu\\n", SUM); }
"""


class Commands(SoftwareTest):
    def check_script(self, script, executables, files=(), **how):
        """A shell script in each way; the shell and all that it starts are observed."""
        def write(run):
            (run.directory / "script").write_text(script)

        reports = self.check_commands([["sh", "-eu", "script"]], files=files, prepare=write, **how)
        self.assertLessEqual(set(executables), self.executables(reports[EXACT]))
        return reports

    @installed("tar", "gzip", "rsync")
    def test_tar_gzip_and_rsync(self):
        self.check_script(ARCHIVES, ["dash", "seq", "tar", "gzip", "rsync", "diff"], files=["one.tar.gz"])

    @installed("ssh-keygen", "openssl")
    def test_ssh_keygen_and_openssl(self):
        self.check_script(KEYS, ["ssh-keygen", "openssl", "cmp"], files=["secret"])

    @installed("make", "g++")
    def test_make_with_two_jobs(self):
        names = range(1, 9 if LONG else 3)

        def write(run):
            (run.directory / "Makefile").write_text(MAKEFILE)
            for name in names:
                (run.directory / f"unit{name}.cpp").write_text(UNIT.replace("NUMBER", str(name)))
            declare = "".join(f"std::map<std::string, std::vector<int>> table_{name}(int);\n" for name in names)
            total = " + ".join(f"table_{name}(100).size()" for name in names)
            (run.directory / "main.cpp").write_text(MAIN.replace("DECLARATIONS", declare).replace("SUM", total))

        reports = self.check_commands([["make", "-s", "-j2"], ["./program"]], prepare=write,
                                      files=["program", *(f"unit{name}.o" for name in names)])
        compilers = [process for process in reports[EXACT]["processes"] if process["executable"].endswith("/cc1plus")]
        self.assertEqual(len(compilers), len(names) + 1)

    @installed("vim.tiny")
    def test_vim_in_batch(self):
        def write(run):
            (run.directory / "text").write_text("".join(f"{i * 7919 % 5000} line {i}\n" for i in range(5000)))

        edit = ["vim.tiny", "-u", "NONE", "-n", "-es", "text", "-c", "%s/line/LINE/g", "-c", "g/7/move 0", "-c",
                "%!sort -n", "-c", "1,100d", "-c", "undo", "-c", "wq"]
        self.check_commands([edit], files=["text"], prepare=write)

    @installed("gdb", "gcc")
    def test_gdb_in_batch(self):
        def build(run):
            (run.directory / "program.c").write_text(GDB_PROGRAM)
            self.assertEqual(run.command(["gcc", "-g", "-O0", "program.c", "-o", "program"])[0], 0)

        settings = ["set debuginfod enabled off", "set print inferior-events off", "break leaf"]
        steps = ["run", "backtrace", "info locals", "continue", "finish", "print $rip != 0", "delete", "continue",
                 "print $_exitcode", "whatis leaf", "python print(gdb.lookup_global_symbol('main').type)"]
        words = [word for step in settings + steps for word in ("-ex", step)]
        without_pid = ["sh", "-c", '"$@" | sed -E "s/process [0-9]+/process/"', "sh"]
        reports = self.check_commands([[*without_pid, "gdb", "-nx", "-batch", *words, "./program"]], prepare=build)
        self.assertLessEqual({"gdb", "program"}, self.executables(reports[EXACT]))

    @installed("convert", "compare", "identify")
    def test_imagemagick(self):
        make = ["convert", "-size", "400x300", "gradient:red-blue", "-swirl", "180", "-blur", "0x3", "-rotate", "30",
                "-resize", "50%", "-strip", "made.png"]
        facts = "%i %m %wx%h %g %z-bit %r %b\\n"  # What identify says by itself, but for the time that it took.
        self.check_commands([make, ["convert", "made.png", "-quality", "80", "made.jpg"],
                             ["identify", "-format", facts, "made.jpg"],
                             ["convert", "made.png", "made.gif"],
                             ["compare", "-metric", "AE", "made.png", "made.png", "difference.png"]],
                            files=["made.jpg", "made.gif"], MAGICK_THREAD_LIMIT="2", OMP_NUM_THREADS="2")

    @installed("stress-ng")
    def test_stress_ng_malloc_and_fork(self):
        rounds = 20 if LONG else 1
        for stressors in (["--malloc", "2", "--malloc-ops", str(20_000 * rounds), "--malloc-pthreads", "2"],
                          ["--fork", "2", "--fork-ops", str(300 * rounds)],
                          ["--vfork", "1", "--vfork-ops", "100", "--exec", "1", "--exec-ops", "50"]):
            with self.subTest(stressors=stressors):
                self.check_commands([["stress-ng", "--quiet", "--verify", *stressors]], ends=("exit", "exec"))


if __name__ == "__main__":
    main()
