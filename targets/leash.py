"""Our end of the line to the warden: starts a command through it, reads its reports, lets go.

Contract: what was started is gone when ``close`` returns, and also when this process dies in whatever way. Reading
reports never blocks unless its name says ``wait``. Linux only (see :mod:`zmqfuzz.warden`).
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from zmqfuzz import warden
from zmqfuzz.errors import TargetDidNotStart, UsageError
from zmqfuzz.trial import Exit

__all__ = ["Leash", "NotStarted"]

_TAIL = 4096
_WHOLE = 15 << 20
_START_WITHIN = 30.0  # seconds from the order to the exec: a loaded machine, never more
_END_WITHIN = 15.0  # above the warden's own patience with processes stuck in the kernel


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Why the command could not be run: ``stage`` is ``folder``, ``exec`` or ``warden``."""

    stage: str
    errno: int


class Leash:
    """One started command. ``pid`` is its main process, ``warden_pid`` the root of all its processes."""

    def __init__(self, command: Sequence[str], *, cwd: str | None, env: Mapping[str, str], hard_cap: int) -> None:
        """Give the order; returns before it is carried out. Raises UsageError for what no process can be given."""
        order = _order(command, cwd, env)
        self._line, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        try:
            self._warden = subprocess.Popen(
                [sys.executable, "-I", "-S", warden.__file__, str(theirs.fileno()), str(hard_cap)],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self._line.close()
            self._log.close()
            raise
        finally:
            theirs.close()
        self.warden_pid = self._warden.pid
        self.pid = 0
        self.not_started: NotStarted | None = None
        self.cap_passed_at = 0
        self.exits: dict[int, Exit] = {}
        self._unread = b""
        self._closed = False
        self._last_words = b""
        self._line.settimeout(_START_WITHIN)
        try:
            self._line.sendall(len(order).to_bytes(8, "big") + order)
        except OSError:
            pass  # the warden is gone: the first read says so
        self._line.setblocking(False)
        self._ended = False

    def read(self) -> None:
        """Take in what has been reported."""
        while not self._ended:
            try:
                chunk = self._line.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            self._ended = not chunk
            *lines, self._unread = (self._unread + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, report: dict[str, int | str]) -> None:
        match report:
            case {"event": "started", "pid": int(pid)}:
                self.pid = pid
            case {"event": "failed", "stage": str(stage), "errno": int(number)}:
                self.not_started = NotStarted(stage, number)
            case {"event": "exit", "pid": int(pid), **how}:
                code, signal = how.get("code"), how.get("signal")
                self.exits[pid] = Exit(
                    code if isinstance(code, int) else None, signal if isinstance(signal, int) else None
                )
            case {"event": "cap", "rss": int(rss)}:
                self.cap_passed_at = rss

    async def started(self) -> None:
        """Wait until the command runs or could not be run. Raises TargetDidNotStart when the warden is gone."""
        with trio.move_on_after(_START_WITHIN):
            while True:
                self.read()
                if self.pid or self.not_started:
                    return
                if self._ended:
                    break
                await trio.lowlevel.wait_readable(self._line)
        raise TargetDidNotStart(f"zmqfuzz's supervisor did not start; please report this: {self.log_tail()}")

    def wait_exit(self, pid: int, seconds: float) -> Exit | None:
        """How ``pid`` ended, waiting for the report for up to ``seconds``, blocking."""
        deadline = time.monotonic() + seconds
        self.read()
        while pid not in self.exits and not self._ended and (left := deadline - time.monotonic()) > 0:
            self._wait(left)
        return self.exits.get(pid)

    def _wait(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.poll(seconds * 1000)
        self.read()

    def kill(self, within: float) -> None:
        """Have every process killed, waiting, blocking, until that is done or ``within`` seconds are over."""
        self._let_go()
        deadline = time.monotonic() + within
        while not self._ended and (left := deadline - time.monotonic()) > 0:
            self._wait(left)

    def _let_go(self) -> None:
        try:
            self._line.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is closed already, from either end

    async def close(self) -> None:
        """Have every process killed and wait for it, whatever is being cancelled around us."""
        if self._closed:
            return
        try:
            with trio.CancelScope(shield=True), trio.move_on_after(_END_WITHIN):
                self._let_go()
                self.read()
                while not self._ended:
                    await trio.lowlevel.wait_readable(self._line)
                    self.read()
        finally:
            # Never killed: it goes on killing what it started when we have let go of the line.
            if self._ended:
                self._warden.wait()
            self._last_words = self._tail()
            self._closed = True
            self._line.close()
            self._log.close()

    def _tail(self) -> bytes:
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _TAIL, max(0, size - _TAIL))

    def whole_log(self) -> bytes:
        """Everything it wrote, as far as the warden kept it (16 MiB)."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _WHOLE, max(0, size - _WHOLE)).lstrip(b"\0")

    def wrote(self, since: int) -> tuple[bytes, int]:
        """What it wrote behind the first ``since`` octets, as far as it was kept, and how many there are in all."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _WHOLE, max(since, size - _WHOLE)), size

    def log_tail(self) -> str:
        """The end of stdout and stderr, at most 4096 characters, unprintable ones as ``\\x..``; kept after close."""
        octets = self._last_words if self._closed else self._tail()
        text = octets.decode("utf-8", "backslashreplace")
        return "".join(_shown(character) for character in text)[-_TAIL:]


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return character.encode("unicode_escape").decode("ascii") if ord(character) > 0xFF else f"\\x{ord(character):02x}"


def _order(command: Sequence[str], cwd: str | None, env: Mapping[str, str]) -> bytes:
    fields = [cwd or "", str(len(command)), *command, *(f"{name}={value}" for name, value in env.items())]
    if not command or not command[0]:
        raise UsageError("The target's command is empty; give it after --, for example: -- python server.py.")
    if any("\0" in field for field in fields):
        raise UsageError("The target's command, folder or environment holds a zero octet; remove it.")
    return b"\0".join(os.fsencode(field) for field in fields)
