# SPDX-License-Identifier: Apache-2.0
"""The same verdicts where the program's allocator is another one than glibc's, preloaded behind seep."""
import subprocess

import verdicts

# Programs whose verdicts do not depend on where an allocator puts blocks: right behind each other, some do, and then the
# end of an empty array is the start of the next block.
PROGRAMS = ("structures/shapes", "structures/chains", "structures/old_strings", "roots/module_data", "roots/registers",
            "roots/stacks", "roots/fibers", "roots/thread_keys", "roots/mappings", "misses/stale_stacks",
            "misses/ended_threads", "misses/freed_memory", "misses/neighbours", "false_alarms/large_blocks",
            "false_alarms/copied_memory", "false_alarms/moves", "false_alarms/hands_over")

# While a thread is within realloc, what it has at hand may be the block's new place, and is searched for pointers. Of
# another allocator than glibc's it may be the allocator's own record of a slab, which leads to the slab's first block.
MAY_MISS = {"false_alarms/moves": 2}


def loads(library):
    """The loader says of one that is not there that it is ignored, and goes on."""
    result = subprocess.run(["/bin/true"], env=verdicts.clean_environment(LD_PRELOAD=library), capture_output=True,
                            check=True)
    return not result.stderr


class Allocators(verdicts.VerdictsTest):
    group = "."

    def check_all(self, library):
        if not loads(library):
            self.skipTest(f"not run: {library} is not installed")
        for program in PROGRAMS:
            self.check(program, ways=[verdicts.AT_EXIT], with_valgrind=False, preload=f"{verdicts.PRELOAD} {library}",
                       may_miss=MAY_MISS.get(program, 0))

    def test_jemalloc(self):
        self.check_all("libjemalloc.so.2")

    def test_tcmalloc(self):
        """Its first extension object is lost when it registers another: Register() asks for one, and overwrites it."""
        self.known_foreign = {"Register"}
        self.check_all("libtcmalloc_minimal.so.4")

    def test_mimalloc(self):
        self.check_all("libmimalloc.so.2")


if __name__ == "__main__":
    verdicts.main()
