# SPDX-License-Identifier: Apache-2.0
"""The functions of the family in every unusual way: what they return, what is live afterwards, what errno says, and what
becomes of frees that should not be."""
import matrix

# Of program `fatal_frees`: what is done wrong.
FATAL = ["double", "double_large", "foreign", "within", "moved_foreign"]
# Of program `wrong_frees`: how often each of its functions frees (or moves) what is no block.
WRONG = {"free_again": 10, "free_foreign": 30, "move_foreign": 1}


class Realloc(matrix.MatrixTest):
    group = "realloc"

    def unknown_frees(self, report):
        """{own function: frees of blocks that are not known}."""
        found = {}
        for freed in report["unknown_frees"]:
            frame = next(frame for frame in freed["frames"] if not frame["runtime"])
            name = matrix.function_name(frame)
            found[name] = found.get(name, 0) + freed["frees"]
        return found

    def test_realloc_each_way(self):
        report = self.check("realloc_each_way")[matrix.EXACT]
        self.assertEqual(self.unknown_frees(report), {})

    def test_every_alignment(self):
        self.check("every_alignment")

    def test_nothing_and_too_much(self):
        self.check("nothing_and_too_much")

    def test_errno_kept(self):
        """Also by a snapshot each millisecond."""
        for report in self.check("errno_kept", options="interval=1ms").values():
            if report is not None:
                self.assertEqual(report["coverage"]["failed_writes"], 0)

    def test_allocator_state(self):
        self.check("allocator_state")

    def test_wrong_frees(self):
        report = self.check("wrong_frees")[matrix.EXACT]
        self.assertEqual(report["coverage"]["unknown_frees"], sum(WRONG.values()), report["coverage"])
        self.assertEqual(self.unknown_frees(report), WRONG)

    def test_fatal_frees(self):
        for how in FATAL:
            reports = self.check("fatal_frees", how)
            if matrix.EXACT not in reports:
                continue  # Said already.
            report = reports[matrix.EXACT]
            where = "main" if how == "moved_foreign" else "free_wrongly"
            self.assertEqual(self.unknown_frees(report), {where: 1}, how)
            self.assertEqual(report["processes"][0]["ended"], "unknown", how)


if __name__ == "__main__":
    matrix.main()
