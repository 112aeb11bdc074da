"""The supervisor that stands between zmqfuzz and a target, so that nothing of the target outlives zmqfuzz.

Run as ``python -I -S warden.py LINE CAP``, where LINE is the number of an inherited stream socket to zmqfuzz and
CAP a number of octets. Standard library only, and of that little: every start of a target pays for it (no json,
no signal: enum alone costs 3 ms). Linux only. Contract:

- The order comes first over LINE: its length in eight octets, then zero-separated fields: the working folder (empty:
  ours), the number of arguments, the arguments, ``NAME=value`` pairs. Nothing else is ever read from LINE: its
  end is the order to stop, and it ends for any death of zmqfuzz.
- The target runs in its own session; it is killed if we die (PR_SET_PDEATHSIG). Its orphans come to us
  (PR_SET_CHILD_SUBREAPER), whatever session they moved to; stopping kills every descendant and returns when none
  is left.
- Reports go over LINE as JSON lines: ``started`` (pid), ``failed`` (errno, stage: folder or exec), ``exit``
  (pid, code or signal) of the target's main process and of adopted orphans, ``cap`` (rss): all were killed because
  their resident sets summed up to more than CAP.
- Standard output and error, ours and the target's, are the log: a regular file open for reading and appending. It
  is cut back to its end when it grows past 16 MiB.
- SIGINT, SIGTERM, SIGHUP and SIGQUIT are ignored here: a Ctrl-C in the terminal is for zmqfuzz.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import time

TYPE_CHECKING = False  # the real one costs the import of typing: 5 ms
if TYPE_CHECKING:
    import ctypes
    from typing import Any, NoReturn

_SIGHUP, _SIGINT, _SIGQUIT, _SIGKILL, _SIGPIPE, _SIGTERM, _SIGXFSZ = 1, 2, 3, 9, 13, 15, 25
_IGNORED = (_SIGHUP, _SIGINT, _SIGQUIT, _SIGTERM)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_CHILD_SUBREAPER = 36

_TICK_MS = 100  # between two looks at the memory
_HURRIED_TICK_MS = 20  # when more than half of the cap is used: a C program fills a GiB in half a second
_RESCAN = 0.5  # seconds between two looks for new descendants
_LOG_MAX = 16 << 20
_LOG_KEPT = 64 << 10
_PUNCH_HOLE = 3  # linux/falloc.h: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_ORPHANS_REPORTED = 1000  # zmqfuzz may be too busy to read
_KILL_WITHIN = 10.0  # a process stuck in the kernel must not keep us for ever
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _read(path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 65536)
    except OSError:
        return b""
    finally:
        os.close(file)


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _descendants() -> list[int]:
    """Every process below us, zombies too; by the kernel's lists of children, else by a look at all processes."""
    found: list[int] = []
    me = os.getpid()
    if os.path.exists(f"/proc/{me}/task/{me}/children"):
        ahead = [me]
        while ahead:
            parent = ahead.pop()
            for thread in _entries(f"/proc/{parent}/task"):
                ahead += [int(pid) for pid in _read(f"/proc/{parent}/task/{thread}/children").split()]
            if parent != me and parent not in found:
                found.append(parent)
        return found
    parents = {int(name): _parent(name) for name in _entries("/proc") if name.isdecimal()}
    below = {me}
    while new := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= new
        found += new
    return found


def _parent(pid: str) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _resident(pids: list[int]) -> int:
    pages = 0
    for pid in pids:
        fields = _read(f"/proc/{pid}/statm").split()
        pages += int(fields[1]) if len(fields) > 1 else 0
    return pages * _PAGE


def _receive(line: int, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = os.read(line, size - len(received))
        if not chunk:
            os._exit(0)  # zmqfuzz is gone before it said what to start
        received += chunk
    return received


class _Order:
    """What to start."""

    def __init__(self, text: bytes) -> None:
        self.folder, count, *fields = text.split(b"\0")
        self.arguments = fields[: int(count)]
        self.environment = dict(pair.split(b"=", 1) for pair in fields[int(count) :] if b"=" in pair)


class _Warden:
    def __init__(self, line: int, cap: int, libc: ctypes.CDLL) -> None:
        self.line = line
        self.cap = cap
        self.libc: Any = libc
        self.main = 0
        self.orphans = 0
        self.known: list[int] = []
        self.next_scan = 0.0

    def report(self, text: str) -> None:
        try:
            os.write(self.line, text.encode("ascii") + b"\n")
        except OSError:
            pass  # zmqfuzz is gone, or does not read: the loop will see which

    def start(self, order: _Order) -> bool:
        """Fork and exec. True when the target runs."""
        told, tell = os.pipe()
        me = os.getpid()
        self.main = os.fork()
        if self.main == 0:
            self.become(order, tell, me)
        os.close(tell)
        failure = os.read(told, 64).decode("ascii")
        os.close(told)
        if failure:
            stage, number = failure.split()
            self.report(f'{{"event": "failed", "stage": "{stage}", "errno": {number}}}')
            return False
        self.report(f'{{"event": "started", "pid": {self.main}}}')
        return True

    def become(self, order: _Order, tell: int, warden: int) -> NoReturn:
        """In the child: turn into the target, or say why not."""
        stage = "folder"
        try:
            os.setsid()
            self.libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
            if os.getppid() != warden:
                os._exit(127)
            for number in (*_IGNORED, _SIGPIPE, _SIGXFSZ):  # Python ignores the last two, and exec keeps that
                self.libc.signal(number, None)
            if order.folder:
                os.chdir(order.folder)
            stage = "exec"
            os.execvpe(order.arguments[0], order.arguments, order.environment)
        except OSError as error:
            os.write(tell, f"{stage} {error.errno}".encode("ascii"))
        finally:
            os._exit(127)

    def reap(self) -> bool:
        """Collect what has ended. False when no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid != self.main:
                self.orphans += 1
                if self.orphans > _ORPHANS_REPORTED:
                    continue
            how = f'"signal": {os.WTERMSIG(status)}' if os.WIFSIGNALED(status) else f'"code": {os.WEXITSTATUS(status)}'
            self.report(f'{{"event": "exit", "pid": {pid}, {how}}}')

    def guard(self) -> int:
        """Kill everything above the cap. Returns how many milliseconds to wait until the next look."""
        now = time.monotonic()
        if now >= self.next_scan:
            self.known = _descendants()
            self.next_scan = now + _RESCAN
        resident = _resident(self.known)
        if resident > self.cap:
            self.report(f'{{"event": "cap", "rss": {resident}}}')
            self.kill_all()
            self.known = []
        return _HURRIED_TICK_MS if resident > self.cap // 2 else _TICK_MS

    def kill_all(self) -> None:
        """Kill every descendant, again and again until none is left: they may be forking."""
        deadline = time.monotonic() + _KILL_WITHIN
        while self.reap() and time.monotonic() < deadline:
            for pid in _descendants():
                try:
                    os.kill(pid, _SIGKILL)
                except OSError:
                    continue
            time.sleep(0.001)

    def watch(self) -> None:
        """Until zmqfuzz lets go of the line, or dies."""
        poller = select.poll()
        poller.register(self.line, select.POLLIN)
        zmqfuzz, main = _handle(os.getppid()), _handle(self.main)
        for handle in (zmqfuzz, main):
            if handle >= 0:
                poller.register(handle, select.POLLIN)
        tick = _TICK_MS
        while True:
            ready = {number for number, _ in poller.poll(tick)}
            if self.line in ready or zmqfuzz in ready:
                return
            if main in ready:
                poller.unregister(main)
            if self.reap():
                tick = self.guard() if main >= 0 else min(self.guard(), _HURRIED_TICK_MS)
            else:
                tick = 10 * _TICK_MS
            _trim_log()


def _handle(pid: int) -> int:
    """A descriptor that becomes readable when the process ends; -1 before Linux 5.3 or when it is gone."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1


def _trim_log() -> None:
    """Free the head of a long log: a hole is punched, so that a line written meanwhile is not lost."""
    status = os.fstat(1)
    if status.st_blocks * 512 <= _LOG_MAX:
        return
    import ctypes

    length = ctypes.c_longlong((status.st_size - _LOG_KEPT) // 4096 * 4096)
    if ctypes.CDLL(None).fallocate(1, _PUNCH_HOLE, ctypes.c_longlong(0), length):
        os.ftruncate(1, 0)  # a file system without holes


def main() -> NoReturn:
    """Obey one order."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal.restype = ctypes.c_void_p
    for number in _IGNORED:
        libc.signal(number, 1)  # SIG_IGN
    line, cap = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(line, False)
    warden = _Warden(line, cap, libc)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        warden.report(f'{{"event": "failed", "stage": "warden", "errno": {ctypes.get_errno() or errno.ENOSYS}}}')
        os._exit(1)
    order = _Order(_receive(line, int.from_bytes(_receive(line, 8), "big")))
    os.set_blocking(line, False)
    try:
        if warden.start(order):
            warden.watch()
    except BaseException:
        sys.excepthook(*sys.exc_info())  # into the log: os._exit would lose it
    finally:
        warden.kill_all()
        os._exit(0)


if __name__ == "__main__":
    main()
