# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL from nothing: initdb, a server of its own user on a socket, pgbench; ended as an administrator would."""
import contextlib
import pathlib
import re
import signal

from software import EXACT, IS_ROOT, LONG, SoftwareTest, installed, main, wait_until

BINARIES = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
PROGRAMS = [str(BINARIES[-1] / name) if BINARIES else name for name in ("initdb", "postgres", "pgbench", "psql")]
INITDB, POSTGRES, PGBENCH, PSQL = PROGRAMS
CLIENTS = 4
TRANSACTIONS = 5_000 if LONG else 250
CONFIGURATION = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_connections=20", "log_line_prefix=",
                 "max_parallel_workers_per_gather=2", "min_parallel_table_scan_size=0", "parallel_setup_cost=0",
                 "parallel_tuple_cost=0"]
QUESTIONS = ["SELECT count(*) FROM pgbench_history", "SELECT count(*), sum(bid) FROM pgbench_accounts",
             "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)",
             "SELECT sum(length(md5(i::text))), count(DISTINCT i % 977) FROM generate_series(1, 20000) i",
             "SET work_mem = '64kB'; SELECT sum(x) FROM (SELECT aid * 7 % 1000 x FROM pgbench_accounts ORDER BY 1 LIMIT 5000) t",
             "DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$", "VACUUM ANALYZE", "CHECKPOINT"]


class PostgreSQL(SoftwareTest):
    """The server must not be root, so as root it is the user that Debian's package makes."""

    def client(self, run, *command):
        status, stdout, stderr = run.unobserved().command(command)
        self.assertEqual(status, 0, (str(run), command, stderr))
        return stdout.decode()

    def serve(self, run, work, end_signal):
        options = [word for option in CONFIGURATION for word in ("-c", option)]
        server = run.popen([POSTGRES, "-D", "data", "-k", run.directory, *options])
        try:
            wait_until(lambda: server.poll() is not None or self.is_ready(run), "PostgreSQL answers", 120)
            self.assertIsNone(server.poll(), f"PostgreSQL did not start {run}")
            result = work()
            server.send_signal(end_signal)
            stdout, stderr = server.communicate(timeout=120)
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGQUIT)
                server.communicate(timeout=60)
        # A worker that is at it when the server is told to end says so, and whether one is depends on the time.
        complaints = [line for line in stderr.splitlines() if not line.startswith((b"LOG:  ", b"FATAL:  terminating "))]
        return result, server.returncode, stdout, complaints

    @staticmethod
    def is_ready(run):
        """As pg_ctl sees it: whoever connects too early adds a complaint to the log."""
        with contextlib.suppress(OSError):
            return "ready" in (run.directory / "data/postmaster.pid").read_text().split()
        return False

    def load(self, run):
        """pgbench's transactions, all of which must have been done, and what the database says of them."""
        where = ["-h", run.directory]
        self.client(run, PGBENCH, *where, "-i", "-q", "-s", "1", "postgres")
        said = self.client(run, PGBENCH, *where, "-n", "-c", CLIENTS, "-j", "2", "-t", TRANSACTIONS, "postgres")
        done, wanted = re.search(r"number of transactions actually processed: (\d+)/(\d+)", said).groups()
        self.assertEqual((int(done), int(wanted)), (CLIENTS * TRANSACTIONS,) * 2)
        self.assertIn("number of failed transactions: 0 ", said)
        connecting = self.client(run, PGBENCH, *where, "-n", "-S", "-C", "-c", "2", "-t", "20", "postgres")
        self.assertIn("actually processed: 40/40", connecting)
        return [self.client(run, PSQL, *where, "-d", "postgres", "-AtXq", "-c", question) for question in QUESTIONS]

    @installed(*PROGRAMS)
    def test_initdb_and_pgbench(self):
        def action(run):
            made = run.command([INITDB, "-D", "data", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"])
            self.assertEqual(made[0], 0, (str(run), made))
            return made, self.serve(run, lambda: self.load(run), signal.SIGINT)

        reports = self.each_way(action, bare_preload=True, user="postgres" if IS_ROOT else None)
        for report in reports.values():
            self.assertEqual(self.ends(report), {"exit"})
            # Workers that are told to end return 1, as they do without seep.
            failures = [process["exit_status"] for process in report["processes"] if process["exit_status"] != 0]
            self.assertLessEqual(set(failures), {1})
        self.assertLessEqual({"initdb", "postgres"}, self.executables(reports[EXACT]))


if __name__ == "__main__":
    main()
