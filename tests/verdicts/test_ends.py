# SPDX-License-Identifier: Apache-2.0
"""Every end of a process, what runs at it, and processes that come from others."""
import verdicts


class Ends(verdicts.VerdictsTest):
    group = "ends"
    valgrind_differs = {
        "children fork": "Valgrind counts a block in each process that has it",
        "children vfork": "for Valgrind a child of vfork has memory of its own",
        "children daemon": "Valgrind sees the end of the process that daemon() leaves, and counts blocks in each",
    }

    def check_end(self, how, ways=(verdicts.AT_EXIT, verdicts.SAMPLED), **more):
        return self.check("ends", how, ways=ways, **more)

    def test_return(self):
        self.check_end("return")

    def test_exit(self):
        self.check_end("exit")

    def test_exit_at_once(self):
        for how in ("_exit", "_Exit", "quick_exit"):
            self.check_end(how)

    def test_exit_in_thread(self):
        self.check_end("in_thread")

    def test_exit_in_handler(self):
        self.check_end("in_handler")

    def test_last_thread_returns(self):
        self.check_end("main_first")

    def test_functions_at_exit(self):
        self.check_end("handlers")

    def test_killed(self):
        """No verdict."""
        for how, status in (("abort", -6), ("kill", -9)):
            self.check_end(how, ways=[verdicts.AT_EXIT], with_valgrind=False, expected_status=status)

    def test_fork(self):
        self.check("children", "fork")

    def test_vfork(self):
        self.check("children", "vfork")

    def test_exec(self):
        self.check("children", "exec", with_valgrind=False)  # It would begin anew.

    def test_daemon(self):
        self.check("children", "daemon")

    def test_destructors(self):
        self.check("destructors", ways=[verdicts.AT_EXIT, verdicts.SAMPLED])


if __name__ == "__main__":
    verdicts.main()
