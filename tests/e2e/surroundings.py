# SPDX-License-Identifier: Apache-2.0
"""Surroundings of their own for programs under test: memory cgroups, mount and pid namespaces, small file systems.

All need privileges that a test may not have: then it is skipped, and says why. Nothing of them outlives the test, and
what is mounted is seen by the test's own process and those that it starts.
"""
import contextlib
import ctypes
import functools
import os
import pathlib
import subprocess

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
IS_ROOT = os.getuid() == 0  # In truth, and not in a user namespace of our own.
MIB = 1 << 20


def quietly(*command):
    """Whether a command succeeds."""
    with contextlib.suppress(OSError):
        return subprocess.run([str(word) for word in command], capture_output=True, check=False).returncode == 0
    return False


@functools.cache
def unshare(*options):
    """The command that begins namespaces, also for who is not root, where the kernel lets him; None where it does not."""
    for user in ([], ["--user", "--map-root-user"]):
        if quietly("unshare", *user, *options, "true"):
            return ["unshare", *user, *options]
    return None


def why_no_unshare(*options):
    """Why namespaces cannot be had, or None."""
    return None if unshare(*options) else f"unshare {' '.join(options)} is refused"


def in_shell(script, *command, prefix=()):
    """A command that runs a line of shell first, and then becomes `command`."""
    return [*prefix, "/bin/sh", "-c", f'{script} && exec "$@"', "sh", *command]


def in_mount_namespace(script, *command):
    """Runs a command in a mount namespace of its own, after a line of shell that mounts."""
    return in_shell(script, *command, prefix=[*unshare("--mount"), "--propagation", "private"])


def become_root_of_own_namespaces(libc):
    """What root can do with mounts, anybody can in a user namespace, where the kernel lets him."""
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        pathlib.Path(f"/proc/self/{name}").write_text(text)
    return True


@functools.cache
def why_no_own_mounts():
    """Moves this process into a mount namespace of its own: why it cannot, or None. For good, so mounts end with it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 and not become_root_of_own_namespaces(libc):
        return f"no mount namespace of one's own: {os.strerror(ctypes.get_errno())}"
    return None if quietly("mount", "--make-rprivate", "/") else "mount is refused"


def need(test, why_not):
    """Skips a test for a reason, if there is one."""
    if why_not:
        test.skipTest(f"not run: {why_not}")


def mount_tmpfs(test, where, size_bytes, options=""):
    """A tmpfs of so many bytes at `where`, for as long as the test runs."""
    need(test, why_no_own_mounts())
    where = pathlib.Path(where)
    where.mkdir(parents=True, exist_ok=True)
    if not quietly("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=1777{options}", "seep-test", where):
        test.skipTest("not run: a tmpfs cannot be mounted")
    test.addCleanup(quietly, "umount", "--lazy", where)
    return where


class MemoryCgroup:
    """A memory cgroup with a limit, of version 1 or 2, as the machine has it."""

    def __init__(self, test, limit_bytes):
        self.path = None
        for root, limit_file in ((pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
                                 (pathlib.Path("/sys/fs/cgroup"), "memory.max")):
            if self.make(root / f"seep-test.{os.getpid()}.{id(self):x}", limit_file, limit_bytes):
                break
        else:
            test.skipTest("not run: no memory cgroup can be made")
        test.addCleanup(self.remove)

    def make(self, path, limit_file, limit_bytes):
        with contextlib.suppress(OSError):
            path.mkdir()
            try:
                (path / limit_file).write_text(str(limit_bytes))
            except OSError:
                path.rmdir()
                return False
            self.path = path
            for name, value in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit_bytes)):
                with contextlib.suppress(OSError):  # Without swap or its accounting there is no such file.
                    (path / name).write_text(str(value))
            return True
        return False

    def running(self, *command):
        """A command that joins this group and then becomes `command`."""
        return in_shell(f"echo $$ > {self.path}/cgroup.procs", *command)

    def peak_bytes(self):
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with contextlib.suppress(OSError):
                return int((self.path / name).read_text())
        return None

    def remove(self):
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), 9)
        for name in ("memory.force_empty",):  # Version 1: pages of files that outlive their writers.
            with contextlib.suppress(OSError):
                (self.path / name).write_text("0")
        with contextlib.suppress(OSError):
            self.path.rmdir()
