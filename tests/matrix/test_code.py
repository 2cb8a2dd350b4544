# SPDX-License-Identifier: Apache-2.0
"""Code: libraries that come and go, fibers, code without unwind tables, exceptions, stack overflows."""
import json

import matrix
from matrix import EXACT


def function_names(site):
    return [matrix.function_name(frame) for frame in site["frames"]]


class Code(matrix.MatrixTest):
    group = "code"

    def check_uncut(self, *what, **how):
        """As check; and each exact trace is whole, down to where its thread begins."""
        reports = self.check(*what, **how)
        self.assertEqual(reports[EXACT]["coverage"]["cut_traces"], 0)
        return reports

    def sites_of(self, report, function):
        """Its sites, by the innermost frame that is not the runtime's."""
        sites = [site for site in report["sites"] if function in function_names(site)]
        self.assertNotEqual(sites, [], f"nothing of {function}")
        return sites

    def blocks_of(self, report, size):
        """Allocations of one size, wherever their traces end."""
        sites = [site for site in report["sites"] if site["alloc_bytes"] == size * site["alloc_blocks"]]
        return sum(site["alloc_blocks"] for site in sites)

    def plugins(self):
        return [self.program(f"{frame}_frame_plugin.so") for frame in ("small", "large")]

    def test_reused_base(self):
        """allocating_plugin.c, with a small frame and with a large one, in turns at one base."""
        report = self.check_uncut("reused_base", *self.plugins())[EXACT]
        bare = self.run_command([self.program("reused_base"), *self.plugins()])
        self.assertEqual(bare.stdout, "the base was reused\n", "nothing was tested")
        for frame in ("small", "large"):
            function = f"allocates_in_{frame}_frame"
            for site in self.sites_of(report, function):
                names = function_names(site)
                self.assertEqual(names[names.index(function):][:4], [function, "allocate", "use", "main"])
                self.assertIn(f"{frame}_frame_plugin.so", site["frames"][names.index(function)]["module"])

    def test_reused_base_and_path(self):
        """Of the file that is gone there is nothing to name its functions by: no name, and never the other's."""
        path = self.directory / "plugin.so"
        report = self.check("reused_base", *self.plugins(), path, ways=[EXACT])[EXACT]
        in_plugin = [site for site in report["sites"] if "plugin.so" in json.dumps(site["frames"])]
        live = {True: 0, False: 0}
        for site in in_plugin:
            names = function_names(site)
            self.assertNotIn("allocates_in_small_frame", names, "the name is of a file that was not there")
            self.assertIn("use", names)
            live["allocates_in_large_frame" in names] += site["live_blocks"]
        self.assertEqual(live, {True: 150, False: 150})

    def test_unloads_amid_walks(self):
        self.check("unloads_amid_walks", *self.plugins())

    def test_fibers(self):
        report = self.check_uncut("fibers")[EXACT]
        for site in self.sites_of(report, "allocates_on_fiber"):
            self.assertIn("body", function_names(site))

    def test_code_without_tables(self):
        report = self.check("code_without_tables")[EXACT]
        for site in self.sites_of(report, "with_frame_pointer"):
            self.assertIn("main", function_names(site))
        by_function = {name: sum(site["alloc_blocks"] for site in self.sites_of(report, name))
                       for name in ("with_frame_pointer", "assembler_with_frame_pointer")}
        self.assertEqual(by_function, {"with_frame_pointer": 400, "assembler_with_frame_pointer": 200})
        self.assertEqual(self.blocks_of(report, 5000), 2 * 200 + 2 * 13 * 200 + 2000 + 200, "each sample is kept")
        self.assertGreater(report["coverage"]["cut_traces"], 0)

    def check_tables(self, name, liars):
        report = self.check(name)[EXACT]
        self.assertEqual(self.blocks_of(report, 5000), liars * 2 * 20, "each sample is kept")
        self.assertGreater(report["coverage"]["cut_traces"], 0)

    def test_wrong_tables(self):
        self.check_tables("wrong_tables", 19)

    def test_unparsable_tables(self):
        self.check_tables("unparsable_tables", 22)

    def test_tail_calls(self):
        report = self.check_uncut("tail_calls")[EXACT]
        for site in self.sites_of(report, "calls_what_jumps"):
            self.assertEqual([name for name in function_names(site) if "jump" in name], ["calls_what_jumps"])
        for site in self.sites_of(report, "allocates_and_leaves"):
            names = function_names(site)
            at = names.index("allocates_and_leaves")
            self.assertEqual(names[at:at + 3], ["allocates_and_leaves", "ends_in_call", "main"])

    def test_signal_frames(self):
        report = self.check("signal_frames")[EXACT]
        for function, handler in (("traps_at_first_byte", "on_trap"), ("traps_in_prologue", "on_trap")):
            for site in self.sites_of(report, function):
                known = (function, handler, "calls", "main", "before_it")
                names = [name for name in function_names(site) if name in known]
                self.assertEqual(names, [handler, function, "calls", "main"])
        nested = [names for names in map(function_names, self.sites_of(report, "allocates_in_handler"))
                  if names.count("on_raise") == 2]
        self.assertNotEqual(nested, [])
        for names in map(function_names, self.sites_of(report, "on_raise")):
            self.assertEqual(names[-1] == "_start" or "main" in names, True, names)

    def test_own_stacks(self):
        self.check_uncut("own_stacks")

    def test_split_stack(self):
        if not self.program("split_stack").exists():
            self.skipTest("not run: the compiler has no -fsplit-stack")
        self.check("split_stack")

    def test_deep_recursion(self):
        for depth in (1, 2, 128, 1024, 100_000):
            report = self.check("deep_recursion", options=f"depth={depth}",
                                ways=matrix.EVERY_WAY if depth == 128 else [EXACT])[EXACT]
            frames = {len([frame for frame in site["frames"] if not frame["inlined"]])
                      for site in self.sites_of(report, "allocates_deep_down")}
            self.assertEqual(max(frames), min(depth, 1024))

    def test_stack_overflow(self):
        self.check("stack_overflow", "jumps")
        self.check("stack_overflow", "exits")

    def test_exceptions(self):
        report = self.check_uncut("exceptions")[EXACT]
        objects = [site for site in report["sites"]
                   if any("__cxa_allocate_exception" in frame["function"] for frame in site["frames"])]
        self.assertGreaterEqual(sum(site["alloc_blocks"] for site in objects), 50 * 8)
        self.assertEqual(sum(site["live_blocks"] for site in objects), 0, "exception objects are left")

    def test_protected_stack(self):
        self.check("protected_stack")


if __name__ == "__main__":
    matrix.main()
