# SPDX-License-Identifier: Apache-2.0
"""A redis-server on a loopback port of its own, started and stopped by its process; used by the tests and tests/bench.

Debian's redis-server is linked with jemalloc, so it also shows the chain to another allocator.
"""
import contextlib
import signal
import socket
import subprocess
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(port, server):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"redis-server ended with {server.returncode}: {server.stderr.read()!r}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(100).startswith(b"+PONG"):
                return
        time.sleep(0.02)
    raise RuntimeError("redis-server did not answer for a minute")


def shut_down(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        connection.recv(100)  # Its end.


@contextlib.contextmanager
def server_under(prefix, directory, env, stop_by_command=False):
    """Runs redis-server behind a prefix command such as `seep run --`: yields (port, process).

    At the end the process gets SIGTERM, or the server its own command, where the prefix hands no signal on.
    """
    port = free_port()
    server = subprocess.Popen([*map(str, prefix), "redis-server", "--port", str(port), "--bind", "127.0.0.1",
                               "--save", "", "--appendonly", "no", "--daemonize", "no"],
                              cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    try:
        wait_until_it_answers(port, server)
        yield port, server
        if stop_by_command:
            shut_down(port)
        else:
            server.send_signal(signal.SIGTERM)
        server.stop_error = server.communicate(timeout=120)[1]
    finally:
        if server.poll() is None:
            shut_down(port)
            server.kill()
            server.communicate()


def benchmark(port, env, requests=20_000):
    """redis-benchmark's CSV lines, or an exception with what it said."""
    result = subprocess.run(["redis-benchmark", "-p", str(port), "-n", str(requests), "-c", "20", "-d", "200", "-r",
                             "2000", "--csv", "-t", "set,get,lpush,hset,sadd"], env=env, capture_output=True,
                            timeout=300, check=True)
    return result.stdout.decode().splitlines()
