"""Samples the target while it is attacked, and guards the machine: numbers only, no judgement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from zmqfuzz.processes import Watch, close_wait
from zmqfuzz.target import Running
from zmqfuzz.trial import Sample
from zmqfuzz.writer import Meter

__all__ = ["Observer"]

INTERVAL = 0.01
"""Seconds between two samples while an attack runs (one costs about 10 microseconds)."""

LOOK = 0.03
QUIET_CPU = 0.2
"""A target that uses less than this share of a core from one look to the next has finished what it was given."""


class Observer:
    """Watches the process tree of one running target."""

    def __init__(self, running: Running, hard_cap: int) -> None:
        self._running = running
        self._hard_cap = hard_cap
        self._watch = Watch.asking(running.pids) if running.pids() else None
        self._meter = Meter()
        self.series: list[Sample] = []
        self.capped = False

    @property
    def sees(self) -> bool:
        """Whether there is a process to watch at all."""
        return self._watch is not None

    def begin(self, meter: Meter) -> None:
        """Start a new series, timed and counted by ``meter``."""
        self._meter = meter
        self.series = []

    def sample(self) -> Sample | None:
        """One sample, also added to the series; None when nothing can be seen (any more)."""
        if self._watch is None:
            return None
        usage = self._watch.sample()
        if usage is None:
            return None
        taken = Sample(
            self._meter.now(),
            self._meter.sent,
            usage.rss,
            usage.virtual,
            usage.descriptors,
            usage.threads,
            usage.cpu,
        )
        self.series.append(taken)
        return taken

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[trio.Event]:
        """Sample in the background. Past the hard cap the target is killed, where it is ours, and the event set."""
        capped = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._loop, capped)
            try:
                yield capped
            finally:
                nursery.cancel_scope.cancel()

    async def _loop(self, capped: trio.Event) -> None:
        while True:
            await trio.sleep(INTERVAL)
            taken = self.sample()
            if taken is not None and taken.rss > self._hard_cap:
                self.capped = True
                self._running.kill()
                capped.set()
                return

    async def steady(self, within: float) -> bool:
        """Wait until the target has worked off what it got; False when it has not ``within`` seconds.

        At rest: resident set and CPU stand still for two looks; or, for a program that is never idle, the resident
        set alone for a second.
        """
        deadline = trio.current_time() + within
        last = self.sample()
        calm = level = 0
        while last is not None and trio.current_time() < deadline:
            await trio.sleep(LOOK)
            now = self.sample()
            if now is None:
                return True
            level = level + 1 if abs(now.rss - last.rss) <= 256 * 1024 else 0
            idle = now.cpu - last.cpu <= QUIET_CPU * (now.at - last.at)
            calm = calm + 1 if level and idle else 0
            if calm >= 2 or level * LOOK >= 1.0:
                return True
            last = now
        return last is None

    async def descriptors_back(self, baseline: int, within: float) -> bool:
        """Wait until the descriptor count is back at ``baseline``, at most ``within`` seconds; False: it stays higher.

        A count that has not moved for half of the time will not move: what libzmq closes it closes at once.
        """
        started = moved = trio.current_time()
        pause, last = 0.001, -1
        while True:
            now = self.sample()
            if now is None or now.descriptors <= baseline:
                return True
            time = trio.current_time()
            if now.descriptors != last:
                last, moved = now.descriptors, time
            if time - started > within or time - moved > within / 2:
                return False
            await trio.sleep(pause)
            pause = min(pause * 2, 0.05)

    def close_wait(self) -> int:
        """The target's sockets in CLOSE_WAIT: the peer is gone, the target has not closed."""
        return close_wait(self._running.pids()) if self._watch is not None else 0

    def close(self) -> None:
        """Let go of the files kept open under /proc."""
        if self._watch is not None:
            self._watch.close()
