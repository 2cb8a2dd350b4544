# SPDX-License-Identifier: Apache-2.0
"""nginx and redis under load, preloaded bare as in production: every request is answered as without seep, the server
ends as it does without, and nothing is left of it."""
import hashlib
import re
import urllib.request

from software import EXACT, IS_ROOT, LONG, SoftwareTest, installed, main, wait_until
import nginx  # Beside tests/e2e/seep_test.py, which software finds.
import redis

LOCATIONS = """
    location /back/ {{ proxy_pass http://127.0.0.1:{port}/; }}
    location = /made {{ return 200 "made here\\n"; }}
"""


class Nginx(SoftwareTest):
    """A master and two workers, which as root become another user and so cannot open what the master made."""

    requests = 20_000 if LONG else 2_000

    def serve(self, run, action):
        """Calls action(url) while the server runs, and ends it: its status and what it said."""
        port = redis.free_port()
        www = run.directory / "www"
        www.mkdir()
        (www / "text").write_text("".join(f"line {i}\n" for i in range(3000)))
        run.directory.chmod(0o755)
        (run.directory / "nginx.conf").write_text(
            nginx.CONFIGURATION.format(directory=run.directory, root=www, port=port, processes="worker_processes 2",
                                       keepalive_requests=1000, locations=LOCATIONS.format(port=port)))
        server = run.popen(["nginx", "-p", run.directory, "-e", "stderr", "-c", run.directory / "nginx.conf"])
        try:
            wait_until(lambda: server.poll() is not None or nginx.answers(port), "nginx answers")
            if server.poll() is not None:
                raise AssertionError(f"nginx did not start {run}: {server.communicate()}")
            result = action(server, f"http://127.0.0.1:{port}")
            server.send_signal(3)  # SIGQUIT: answers what it has begun, and ends.
            stdout, stderr = server.communicate(timeout=120)
        finally:
            if server.poll() is None:
                server.kill()
                server.communicate()
        return result, server.returncode, stdout, stderr

    def load(self, run, url, *options):
        """ab's counts; it fails where an answer differs in length from the first."""
        status, stdout, stderr = run.unobserved().command(
            ["ab", "-q", "-n", self.requests, "-c", 50, *options, url])
        self.assertEqual(status, 0, (str(run), url, stderr))
        counts = dict(re.findall(rb"^(Complete requests|Failed requests|Non-2xx responses|HTML transferred): +(\d+)",
                                 stdout, re.MULTILINE))
        self.assertEqual((int(counts[b"Complete requests"]), int(counts[b"Failed requests"])), (self.requests, 0))
        return counts

    @installed("nginx", "ab")
    def test_nginx_under_load(self):
        def action(run):
            def work(server, url):
                counts = [self.load(run, f"{url}/text", "-k"), self.load(run, f"{url}/made"),
                          self.load(run, f"{url}/text", "-k", "-H", "Accept-Encoding: gzip"),
                          self.load(run, f"{url}/back/text")]
                before = self.workers(server.pid)
                server.send_signal(1)  # SIGHUP: new workers; the old ones end.
                wait_until(lambda: not before & self.workers(server.pid), "nginx changes its workers")
                counts.append(self.load(run, f"{url}/text", "-k"))
                with urllib.request.urlopen(f"{url}/text", timeout=60) as answer:
                    return counts, hashlib.sha256(answer.read()).hexdigest()

            return self.serve(run, work)

        reports = self.each_way(action, bare_preload=True, regions="may stay" if IS_ROOT else "none")
        self.assertEqual(len(reports[EXACT]["processes"]), 1 + 2 + 2)
        self.assertEqual(self.ends(reports[EXACT]), {"exit"})
        self.assertEqual({process["exit_status"] for process in reports[EXACT]["processes"]}, {0})

    @staticmethod
    def workers(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return set(file.read().split())


class Redis(SoftwareTest):
    """Debian's is linked with jemalloc. It counts its own memory, which is compared with what is live."""

    requests = 200_000 if LONG else 5_000

    @installed("redis-server", "redis-benchmark", "redis-cli")
    def test_redis_with_its_test_client(self):
        facts = {}

        def action(run):
            with redis.server_under(run.prefix, run.directory, run.environment) as (port, server):
                result = self.load(run, port)
                facts[run.way] = self.ask(run, port, "INFO", "memory")
            return result, server.returncode, server.stop_error

        reports = self.each_way(action, bare_preload=True)
        self.assertEqual(self.ends(reports[EXACT]), {"exit"})
        self.assertEqual(len(reports[EXACT]["processes"]), 2)  # The server, and the child that wrote the file.
        self.assert_agrees_with_redis(reports[EXACT], facts[EXACT])

    def ask(self, run, port, *words):
        status, stdout, stderr = run.unobserved().command(["redis-cli", "-p", port, *words])
        self.assertEqual((status, stderr), (0, b""), (str(run), words))
        return stdout.decode()

    def load(self, run, port):
        """Fifty connections; a value that all of them counted; a file that a forked child wrote and is read again."""
        tests = "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100,mset"
        status, stdout, stderr = run.unobserved().command(
            ["redis-benchmark", "-p", port, "-n", self.requests, "-c", 50, "-d", 500, "-q", "--csv", "-t", tests])
        self.assertEqual((status, stderr), (0, b""), str(run))
        self.assertGreaterEqual(len(stdout.splitlines()), 10)
        self.assertEqual(self.ask(run, port, "EVAL", "local s = 0 for i = 1, 50000 do s = s + #tostring(i) end return s",
                                  "0"), "238894\n")
        self.assertIn("Background saving started", self.ask(run, port, "BGSAVE"))
        wait_until(lambda: "rdb_bgsave_in_progress:0" in self.ask(run, port, "INFO", "persistence"), "redis saves")
        self.assertIn("rdb_last_bgsave_status:ok", self.ask(run, port, "INFO", "persistence"))
        return self.ask(run, port, "DBSIZE"), self.ask(run, port, "GET", "counter:__rand_int__")

    def assert_agrees_with_redis(self, report, info):
        """Redis sums up what jemalloc gave it, in size classes that are at most a quarter apart from 128 bytes on; all
        that it does not count is small (libraries, the client's connection that asked)."""
        used = int(re.search(r"used_memory:(\d+)", info)[1])
        live = report["totals"]["live_bytes"]
        self.assertTrue(0.8 * used <= live <= used + 256 * 1024, f"redis counts {used} bytes, seep {live}")



if __name__ == "__main__":
    main()
