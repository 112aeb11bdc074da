"""Asks Java virtual machines to collect their garbage, so that what is resident afterwards is what is still in use.

Contract: for processes that we started, and for HotSpot only (OpenJDK ``jdk.attach/linux/VirtualMachineImpl.java``,
``hotspot/os/posix/attachListener_posix.cpp``): nothing but ``GC.run`` is asked for. Such a machine fills its heap, a
64th of the memory of the computer at first, before it collects anything: resident memory grows with each message,
and no series of rounds tells that from a leak. The collectors of other runtimes come soon by themselves.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from zmqfuzz.mapped import libraries

__all__ = ["Collector"]

LIBRARY = "libjvm.so"

LISTENS_WITHIN = 3.0
"""Seconds for the machine to open its socket, the first time."""

COLLECTS_WITHIN = 20.0

_REQUEST = b"1\0jcmd\0GC.run\0\0\0"
"""Version, command, three arguments, each ended by a zero."""


class Collector:
    """The virtual machines among the processes of one target. Each keeps a thread and a socket for being asked, and
    gives memory back some time after it has collected."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._is_machine: dict[int, bool] = {}
        self._doors: dict[int, Path] = {}
        self.failed = False

    @property
    def machines(self) -> bool:
        """Whether there was one to be asked."""
        return any(self._is_machine.values())

    def collect(self) -> None:
        """Let each collect all its garbage; ``failed``: one could not be asked. Blocking."""
        for pid in self._pids():
            if pid not in self._is_machine:
                self._is_machine[pid] = bool(libraries((pid,), LIBRARY))
            if self._is_machine[pid] and not self._collect(pid):
                self.failed = self.failed or os.path.exists(f"/proc/{pid}/maps")

    def close(self) -> None:
        """Remove the sockets that the machines left behind; to be called when they have ended."""
        for door in self._doors.values():
            door.unlink(missing_ok=True)
        self._doors.clear()

    def _collect(self, pid: int) -> bool:
        try:
            inner = _inner_pid(pid)
            door = _folder(pid) / f".java_pid{inner}"
            if not door.is_socket():
                if not _opens(pid, inner, door):
                    return False
                outer = Path("/tmp", door.name)
                if outer.exists() and outer.samefile(door):  # else it ends with the file system of its container
                    self._doors[pid] = outer
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(COLLECTS_WITHIN)
                sock.connect(str(door))
                sock.sendall(_REQUEST)
                return sock.recv(64).startswith(b"0\n")
        except (OSError, ValueError):
            return False


def _folder(pid: int) -> Path:
    """``/tmp`` as the process sees it: the machine's place for both files."""
    return Path("/proc", str(pid), "root", "tmp")


def _inner_pid(pid: int) -> int:
    """Its number as it sees itself (proc(5): NSpid). Raises OSError, ValueError."""
    return int(_status(pid, "NSpid")[-1])


def _status(pid: int, name: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    raise ValueError(f"no {name} in the status of {pid}")


def _opens(pid: int, inner: int, door: Path) -> bool:
    """Have it open its socket: a file beside it, then SIGQUIT, which would kill a process that does not catch it."""
    if not int(_status(pid, "SigCgt")[0], 16) >> (signal.SIGQUIT - 1) & 1:
        return False
    wish = _folder(pid) / f".attach_pid{inner}"
    wish.touch()
    try:
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + LISTENS_WITHIN
        while time.monotonic() < deadline:
            if door.is_socket():
                return True
            time.sleep(0.02)
        return False
    finally:
        wish.unlink(missing_ok=True)
