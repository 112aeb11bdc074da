"""The way out to one peer: writes in order, late or slowly or in small segments where a fault says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

__all__ = ["Outlet", "Pace"]

_MOST_WAITING = 1 << 20
"""Octets that wait for their time before no more is read."""
_FIRST = 16
_TURNS = 20
"""Writes a second of what is throttled."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How octets leave: ``delay`` seconds after they came, ``rate`` octets a second, ``size`` a write (0: as is).

    ``over``: whether all that does not hold any more, so that what is left goes at once.
    """

    delay: float = 0.0
    rate: int = 0
    size: int = 0
    over: Callable[[], bool] = lambda: False


class Outlet:
    """Octets to ``sock``. ``first`` are the first that were sent. After an error all is taken and thrown away."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self.first = b""
        self.error: OSError | None = None
        self._waiting: deque[tuple[float, bytes, Pace]] = deque()
        self._size = 0
        self._busy = False
        self._changed = trio.Event()

    async def send(self, octets: bytes, pace: Pace) -> None:
        """Take ``octets``; returns when they are on their way, or wait for their time."""
        if not octets or self.error is not None:
            return
        if not pace.delay and not self._waiting and not self._busy:
            await self._write(octets, pace)
            return
        while self._size > _MOST_WAITING:
            await self._changed.wait()
        self._waiting.append((trio.current_time() + pace.delay, octets, pace))
        self._size += len(octets)
        self._ring()

    async def drained(self) -> None:
        """Wait until nothing waits for its time."""
        while self._waiting or self._busy:
            await self._changed.wait()

    async def run(self) -> None:
        """Write what was delayed, for ever."""
        while True:
            while not self._waiting:
                await self._changed.wait()
            due, octets, pace = self._waiting[0]
            await self._until(due, pace)
            self._waiting.popleft()
            self._busy = True
            await self._write(octets, pace)
            self._size -= len(octets)
            self._busy = False
            self._ring()

    def hurry(self) -> None:
        """Look again whether a pace is over."""
        self._ring()

    async def _until(self, due: float, pace: Pace) -> None:
        while trio.current_time() < due and not pace.over():
            with trio.move_on_at(due):
                await self._changed.wait()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _write(self, octets: bytes, pace: Pace) -> None:
        step = pace.size or (max(1, pace.rate // _TURNS) if pace.rate else len(octets))
        rest = memoryview(octets)
        try:
            while rest:
                count = await self.sock.send(rest if pace.over() else rest[:step])
                if len(self.first) < _FIRST:
                    self.first += bytes(rest[:count])[: _FIRST - len(self.first)]
                rest = rest[count:]
                if pace.rate:
                    await self._until(trio.current_time() + count / pace.rate, pace)
        except OSError as error:
            self.error = error
