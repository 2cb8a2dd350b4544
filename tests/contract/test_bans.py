# SPDX-License-Identifier: Apache-2.0
"""What libseep.so may not have or do: each ban of src/README.md, read from the file as it was built, or seen at run time."""
import os
import pathlib
import re
import subprocess
import sys

from seep_test import BUILD, PRELOAD, SOURCE, SeepTest, clean_environment
import tap

COUNTING_ALLOCATOR = BUILD / "tests/contract/libcounting_allocator.so"
LOOK_AT_ME = BUILD / "tests/contract/look_at_me"

# All of libc that libseep.so may call, by what for. Anything else is a decision to make here.
# No string function: any of them may be bound to a sanitizer's, which is not to be called before that has begun.
ALLOWED_IMPORTS = {
    "looking up what is behind us": "dlsym dlvsym dlerror dladdr dladdr1 dlopen _dl_find_object",
    "being told of the end and of forks, in the constructor": "on_exit __cxa_at_quick_exit __register_atfork",
    "the environment as it is": "environ __environ getauxval",
    "errno": "__errno_location",
    "whether a sanitizer is here; weak": "__asan_init __hwasan_init __lsan_init __memprof_init __msan_init __tsan_init",
    "what the program says about leak checks; weak": "__lsan_default_suppressions __lsan_is_turned_off",
    "whether it has one thread": "__libc_single_threaded",
    "what the compiler adds": "__stack_chk_fail __cxa_finalize __gmon_start__ _ITM_deregisterTMCloneTable "
                              "_ITM_registerTMCloneTable",
}


def lines_of(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout.splitlines()


class Bans(SeepTest):
    def test_needs_libc_and_nothing_else(self):
        needed = [re.search(r"\[(.*)\]", line).group(1) for line in lines_of("readelf", "-dW", PRELOAD)
                  if "(NEEDED)" in line]
        self.assertEqual(needed, ["libc.so.6"])

    def test_exports_are_those_of_the_map_each_with_a_reason(self):
        text = (SOURCE / "src/preload/exports.map").read_text()
        body = text[text.index("global:"):text.index("local:")].replace("global:", "")
        groups = re.findall(r"/\*(.*?)\*/\s*([^/]*)", body, re.S)
        listed = {name.strip() for _, names in groups for name in names.split(";") if name.strip()}
        exported = {line.split()[-1].split("@")[0] for line in lines_of("nm", "-D", "--defined-only", PRELOAD)}
        self.assertEqual(exported, listed)
        without_reason = re.sub(r"/\*.*?\*/\s*[^/]*", "", body, flags=re.S).strip()
        self.assertEqual(without_reason, "", "exports without a comment before them")

    def test_imports_only_what_it_may(self):
        allowed = set(" ".join(ALLOWED_IMPORTS.values()).split())
        imported = {line.split()[-1].split("@")[0] for line in lines_of("nm", "-D", "--undefined-only", PRELOAD)}
        self.assertEqual(imported - allowed, set())
        self.assertFalse([name for name in imported if name.startswith("_Z")], "a C++ runtime symbol")

    def test_has_one_constructor_and_no_static_initializer(self):
        sizes = {match.group(1): int(match.group(2)) for match in
                 (re.search(r"\((INIT_ARRAYSZ|FINI_ARRAYSZ)\)\s+(\d+)", line)
                  for line in lines_of("readelf", "-dW", PRELOAD)) if match}
        # The C run time's frame_dummy and __do_global_dtors_aux, and seep_start and seep_finish.
        self.assertEqual(sizes, {"INIT_ARRAYSZ": 16, "FINI_ARRAYSZ": 16})
        self.assertFalse([line for line in lines_of("nm", PRELOAD) if "_GLOBAL__sub_I" in line])

    def test_thread_local_storage_is_initial_exec_and_small(self):
        relocations = "\n".join(lines_of("readelf", "-rW", PRELOAD))
        self.assertNotRegex(relocations, "DTPMOD|DTPOFF|TLSDESC")
        self.assertIn("TPOFF", relocations, "no thread-local storage at all? then this test proves nothing")
        segments = [line.split() for line in lines_of("readelf", "-lW", PRELOAD) if line.split()[:1] == ["TLS"]]
        self.assertEqual(len(segments), 1)
        self.assertLessEqual(int(segments[0][5], 16), 128)

    def test_has_no_exception_tables(self):
        sections = "\n".join(lines_of("readelf", "-SW", PRELOAD))
        self.assertIn(".eh_frame", sections)
        self.assertNotIn(".gcc_except_table", sections)

    def test_is_bound_at_load_so_that_no_hook_enters_the_loader(self):
        self.assertIn("BIND_NOW", "\n".join(lines_of("readelf", "-dW", PRELOAD)))

    def test_fast_paths_have_no_locked_instruction_before_the_jump(self):
        for hook in ("malloc", "free", "calloc", "realloc", "dlopen"):
            code = lines_of("objdump", "-d", "--no-show-raw-insn", f"--disassemble={hook}", PRELOAD)
            instructions = [line.split("\t", 1)[1] for line in code if re.match(r"\s+[0-9a-f]+:\t", line)]
            self.assertGreater(len(instructions), 3, hook)
            self.assertFalse([text for text in instructions if text.startswith(("lock", "xchg"))], hook)
            self.assertTrue([text for text in instructions if re.match(r"jmp\s+\*", text)], f"{hook} does not tail-jump")

    def test_fast_paths_of_exact_mode_have_no_locked_instruction(self):
        """What the compiler thinks unlikely, as the slow path, it has put elsewhere (.cold), or it is called."""
        for hook in ("seep_malloc_from", "seep_calloc_from", "seep_free_from"):
            code = lines_of("objdump", "-d", "--no-show-raw-insn", f"--disassemble={hook}", PRELOAD)
            instructions = [line.split("\t", 1)[1] for line in code if re.match(r"\s+[0-9a-f]+:\t", line)]
            self.assertGreater(len(instructions), 50, hook)
            # xchg with memory is locked without saying so; between registers it is not.
            locked = [text for text in instructions if text.startswith("lock") or re.match(r"xchg\s.*\(", text)]
            self.assertFalse(locked, hook)


class AtRunTime(SeepTest):
    """What the observed process must not notice."""

    def allocator_calls(self, preload, options):
        counts = self.directory / "counts"
        counts.unlink(missing_ok=True)
        environment = clean_environment(LD_PRELOAD=f"{preload}:{COUNTING_ALLOCATOR}", COUNTS=counts,
                                        SEEP_OPTIONS=f"{options}:out={self.directory}/%p.seep:interval=1ms")
        result = self.run_command([LOOK_AT_ME, "work"], env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return counts.read_text()

    def test_never_calls_malloc_itself(self):
        bare = self.allocator_calls("", "")
        self.assertRegex(bare, r"malloc [1-9]\d{3,}")
        self.assertEqual(self.allocator_calls(PRELOAD, "sample=1"), bare)
        self.assertEqual(self.allocator_calls(PRELOAD, "sample=4k"), bare)

    def look(self, options=None):
        environment = clean_environment()
        if options is not None:
            environment.update(LD_PRELOAD=str(PRELOAD),
                               SEEP_OPTIONS=f"{options}:out={self.directory}/%p.seep:interval=1ms")
        result = self.run_command([LOOK_AT_ME, "look"], env=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_adds_no_thread_descriptor_or_signal_disposition(self):
        bare = self.look()
        self.assertIn("threads: 1", bare)
        self.assertEqual(self.look("sample=1"), bare)
        self.assertEqual(self.look("sample=4k"), bare)
        self.assertTrue(list(self.directory.glob("*.seep")), "nothing was recorded, so this proves nothing")


if __name__ == "__main__":
    tap.main()
