# SPDX-License-Identifier: Apache-2.0
"""nginx on a loopback port: how it is configured, by the tests too; and for tests/bench one of a single process, as redis.py
has it for redis-server, with ab's load for it."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import redis

CONFIGURATION = """
daemon off;
{processes};
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
  access_log off;
  keepalive_requests {keepalive_requests};
  client_body_temp_path {directory}/temp1;
  proxy_temp_path {directory}/temp2;
  fastcgi_temp_path {directory}/temp3;
  uwsgi_temp_path {directory}/temp4;
  scgi_temp_path {directory}/temp5;
  gzip on;
  gzip_types text/plain;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    default_type text/plain;
    {locations}
  }}
}}
"""
HEADERS = ([], ["-H", "Accept-Encoding: gzip"])


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def server_under(prefix, directory, env):
    """Runs nginx behind a prefix command: yields (port, process)."""
    directory = pathlib.Path(directory)
    port = redis.free_port()
    (directory / "text").write_text("".join(f"line {i}\n" for i in range(300)))
    (directory / "nginx.conf").write_text(CONFIGURATION.format(
        directory=directory, root=directory, port=port, processes="master_process off", keepalive_requests=1_000_000,
        locations=""))
    server = subprocess.Popen([*map(str, prefix), "nginx", "-p", str(directory), "-e", "stderr", "-c",
                               str(directory / "nginx.conf")], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start, status {server.poll()}")
            time.sleep(0.02)
        yield port, server
        os.kill(int((directory / "nginx.pid").read_text()), signal.SIGQUIT)  # The prefix may hand no signal on.
        server.communicate(timeout=120)
    finally:
        if server.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((directory / "nginx.pid").read_text()), signal.SIGKILL)
            server.kill()
            server.communicate()


def benchmark(port, env, requests, clients=20):
    """Requests that are answered in a second: kept connections, half of the answers compressed."""
    rates = []
    for header in HEADERS:
        said = subprocess.run(["ab", "-q", "-k", "-n", str(requests), "-c", str(clients), *header,
                               f"http://127.0.0.1:{port}/text"], env=env, capture_output=True, timeout=300, check=True,
                              text=True).stdout
        if f"Complete requests:      {requests}" not in said or "Failed requests:        0" not in said:
            raise RuntimeError(f"ab was not answered as it should be:\n{said}")
        rates.append(float(re.search(r"^Requests per second: +([\d.]+)", said, re.MULTILINE)[1]))
    return rates
