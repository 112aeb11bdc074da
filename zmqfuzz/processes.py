"""Process trees as the kernel shows them in /proc: who descends from whom, who listens where, what they use.

Contract: a process may vanish between any two reads; it then counts as not there, and nothing is raised. Linux
only: elsewhere every answer is empty.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from zmqfuzz.procfs import (
    Stat,
    parse_high_water,
    parse_open_files,
    parse_stat,
    parse_statm,
    parse_switches,
)

__all__ = [
    "Usage",
    "Watch",
    "descendants",
    "descriptors_left",
    "entries",
    "high_water",
    "runnable",
    "stat",
    "switches",
    "tree",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall() or b""
    except OSError:
        return b""


def entries(path: str) -> list[str]:
    """The names in a folder of /proc; none when it is gone or not ours to read."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def stat(pid: int) -> Stat | None:
    """The process's record, or None when there is no such process."""
    try:
        return parse_stat(_read(f"/proc/{pid}/stat"))
    except ValueError:
        return None


_CHILDREN_LISTED = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # kernel built with CONFIG_PROC_CHILDREN


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in entries(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _children_by_scan() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for name in entries("/proc"):
        if name.isdecimal() and (record := stat(int(name))) is not None:
            found.setdefault(record.ppid, []).append(record.pid)
    return found


def descendants(pid: int) -> tuple[int, ...]:
    """Living processes below ``pid``, without it, parents before children. Zombies are not listed.

    Costs a few microseconds a thread; where the kernel lists no children, one pass over all processes.
    """
    known = None if _CHILDREN_LISTED else _children_by_scan()
    found: dict[int, None] = {}
    ahead = deque([pid])
    while ahead:
        parent = ahead.popleft()
        for child in _children(parent) if known is None else known.get(parent, []):
            if child not in found and child != pid:
                found[child] = None
                ahead.append(child)
    return tuple(child for child in found if (record := stat(child)) is not None and record.alive)


def tree(pid: int) -> tuple[int, ...]:
    """``pid`` and its descendants; empty when it has ended."""
    record = stat(pid)
    return (pid, *descendants(pid)) if record is not None and record.alive else ()


def runnable(pids: Iterable[int]) -> int:
    """How many threads of these processes run or wait for a processor: work that is not done, on a busy machine too."""
    threads = (f"/proc/{pid}/task/{thread}/stat" for pid in pids for thread in entries(f"/proc/{pid}/task"))
    return sum(b") R " in _read(path) for path in threads)


def switches(pids: Iterable[int]) -> int:
    """How often threads of these processes have gone to sleep, or were put there by the kernel, since their start."""
    threads = (f"/proc/{pid}/task/{thread}/status" for pid in pids for thread in entries(f"/proc/{pid}/task"))
    return sum(map(parse_switches, map(_read, threads)))


def high_water(pids: Iterable[int]) -> dict[int, int]:
    """The largest resident set, in octets, that each of these processes ever had: the kernel misses no peak."""
    return {pid: parse_high_water(_read(f"/proc/{pid}/status")) for pid in pids}


def descriptors_left(pids: Iterable[int]) -> int | None:
    """How many more descriptors these processes may open until the first of them has none left (RLIMIT_NOFILE).

    None where no limit can be read. A process whose descriptors we may not see counts as having none.
    """
    limits = {pid: parse_open_files(_read(f"/proc/{pid}/limits")) for pid in pids}
    left = [limit - len(entries(f"/proc/{pid}/fd")) for pid, limit in limits.items() if limit is not None]
    return min(left, default=None)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree uses now. ``rss`` and ``virtual`` in octets, summed: shared pages count once a process.

    ``cpu`` in seconds, with that of watched processes that have ended. ``descriptors`` leaves out processes whose
    descriptors we may not see.
    """

    rss: int
    virtual: int
    descriptors: int
    threads: int
    cpu: float
    processes: int


_KEPT_OPEN = 64  # processes whose files stay open; the rest of a larger tree is opened at each sample
_FD_COUNT_IN_SIZE = os.path.isdir("/proc/self/fd") and os.stat("/proc/self/fd").st_size > 0  # Linux 6.2


class _Member:
    """One watched process: its statm and stat, kept open where that is allowed."""

    __slots__ = ("_files", "cpu", "pid")

    def __init__(self, pid: int, *, keep_open: bool) -> None:
        self.pid = pid
        self.cpu = 0.0
        self._files: tuple[int, int] | None = None
        if keep_open:
            statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._files = (statm, os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                os.close(statm)
                raise

    def sample(self) -> Usage | None:
        """None when the process has ended."""
        try:
            if self._files is None:
                sizes, record = _read(f"/proc/{self.pid}/statm"), _read(f"/proc/{self.pid}/stat")
            else:
                sizes, record = os.pread(self._files[0], 256, 0), os.pread(self._files[1], 1024, 0)
            memory, process = parse_statm(sizes), parse_stat(record)
        except (OSError, ValueError):
            return None
        if not process.alive:
            return None
        self.cpu = (process.utime + process.stime) / _TICKS
        return Usage(memory.resident * _PAGE, memory.virtual * _PAGE, self._descriptors(), process.threads, self.cpu, 1)

    def _descriptors(self) -> int:
        folder = f"/proc/{self.pid}/fd"
        if not _FD_COUNT_IN_SIZE:
            return len(entries(folder))
        try:
            return os.stat(folder).st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Close what is kept open."""
        for file in self._files or ():
            os.close(file)
        self._files = None


class Watch:
    """Samples processes and their descendants, in some ten microseconds each.

    New descendants are looked for at most every ``rescan`` seconds; one that was seen is watched until it ends,
    wherever it moves. Use it in a ``with`` block, or close it.
    """

    def __init__(self, pids: Iterable[int], *, rescan: float = 0.5) -> None:
        roots = tuple(pids)
        self._find: Callable[[], Iterable[int]] = lambda: (pid for root in roots for pid in tree(root))
        self._rescan = rescan
        self._next_scan = float("-inf")
        self._members: dict[int, _Member] = {}
        self._spent = 0.0

    @classmethod
    def asking(cls, find: Callable[[], Iterable[int]], *, rescan: float = 0.5) -> Watch:
        """Watch whatever ``find`` says at each look: ``running.pids`` also knows orphans that went elsewhere."""
        watch = cls((), rescan=rescan)
        watch._find = find
        return watch

    def sample(self) -> Usage | None:
        """What the processes use now; None when none of them is left."""
        now = time.monotonic()
        if now >= self._next_scan:
            self._scan()
            self._next_scan = now + self._rescan
        parts: list[Usage] = []
        for member in list(self._members.values()):
            part = member.sample()
            if part is None:
                self._drop(member)
            else:
                parts.append(part)
        if not parts:
            return None
        return Usage(
            rss=sum(part.rss for part in parts),
            virtual=sum(part.virtual for part in parts),
            descriptors=sum(part.descriptors for part in parts),
            threads=sum(part.threads for part in parts),
            cpu=self._spent + sum(part.cpu for part in parts),
            processes=len(parts),
        )

    def _scan(self) -> None:
        for pid in set(self._find()) - self._members.keys():
            try:
                self._members[pid] = _Member(pid, keep_open=len(self._members) < _KEPT_OPEN)
            except OSError:
                continue

    def _drop(self, member: _Member) -> None:
        self._spent += member.cpu
        member.close()
        self._members.pop(member.pid, None)

    def close(self) -> None:
        """Close every file."""
        for member in list(self._members.values()):
            self._drop(member)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
