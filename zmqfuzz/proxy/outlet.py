"""The way out to one peer: writes in order, late or slowly or in small segments where a fault says so."""

from __future__ import annotations

from collections import deque
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
    """How octets leave: ``delay`` seconds after they came, ``rate`` octets a second, ``size`` a segment (0: as is)."""

    delay: float = 0.0
    rate: int = 0
    size: int = 0


class Outlet:
    """Octets to ``sock``. ``first`` are the first that were sent. After an error all is taken and thrown away."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self.first = b""
        self.sent = 0
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
            await trio.sleep_until(due)
            self._waiting.popleft()
            self._busy = True
            await self._write(octets, pace)
            self._size -= len(octets)
            self._busy = False
            self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _write(self, octets: bytes, pace: Pace) -> None:
        step = pace.size or (max(1, pace.rate // _TURNS) if pace.rate else len(octets))
        try:
            for start in range(0, len(octets), step):
                part = memoryview(octets)[start : start + step]
                while part:
                    count = await self.sock.send(part)
                    if len(self.first) < _FIRST:
                        self.first += bytes(part[:count])[: _FIRST - len(self.first)]
                    self.sent += count
                    part = part[count:]
                if pace.rate:
                    await trio.sleep(min(step, len(octets) - start) / pace.rate)
        except OSError as error:
            self.error = error
