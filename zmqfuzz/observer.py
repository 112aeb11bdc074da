"""Samples the target while it is attacked, and guards the machine: numbers only, no judgement."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from zmqfuzz.measured import Rest
from zmqfuzz.processes import Watch, descriptors_left, high_water, runnable, switches
from zmqfuzz.sockets import abandoned
from zmqfuzz.target import Running
from zmqfuzz.trial import Sample
from zmqfuzz.writer import Meter

__all__ = ["Observer", "Quiet"]

INTERVAL = 0.01
"""Seconds between two samples while an attack runs (one costs about 10 microseconds)."""

LOOK = 0.03
QUIET_CPU = 0.4
"""Share of a core, above that at rest, that says nothing: one tick of the kernel's clock (10 ms) in one look."""


CALM, FEW_PAUSES = 8, 3
"""Looks in which it may pause hardly oftener than at rest, and how often that is."""


@dataclass
class Quiet:
    """What a program that has nothing to do uses: a share of a core, and how often a second it pauses, where known."""

    cpu: float = 0.0
    pauses: float | None = None


class Observer:
    """Watches the process tree of one running target."""

    def __init__(self, running: Running, hard_cap: int, quiet: Quiet | None = None) -> None:
        self._running = running
        self._hard_cap = hard_cap
        self._watch = Watch.asking(running.pids) if running.pids() else None
        self._meter = Meter()
        self._quiet = quiet or Quiet()
        self.series: list[Sample] = []
        self._water: dict[int, int] = {}
        self.capped = False

    @property
    def sees(self) -> bool:
        """Whether there is a process to watch at all."""
        return self._watch is not None

    def begin(self, meter: Meter) -> None:
        """Start a new series, timed and counted by ``meter``."""
        self._meter = meter
        self.series = []
        self._water = high_water(self._running.pids()) if self._watch is not None else {}

    def surged(self) -> int:
        """The largest resident set of one process since ``begin``, in octets, where it had never been as large before.

        What came and went between two samples is in it. 0: no process went over what it had once had.
        """
        now = high_water(self._water)
        return max((peak for pid, peak in now.items() if peak > self._water[pid]), default=0)

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

    async def learn_rest(self) -> None:
        """Find out how much a program that has nothing to do uses: some poll, some tick."""
        first, before = self.sample(), self.pauses()
        await trio.sleep(10 * LOOK)
        last, after = self.sample(), self.pauses()
        if first is not None and last is not None:
            self._quiet.cpu = (last.cpu - first.cpu) / max(last.at - first.at, LOOK)
            self._quiet.pauses = (after - before) / max(last.at - first.at, LOOK)

    async def idle(self, within: float) -> bool:
        """Whether, at one look ``within`` seconds, no thread of the target runs or waits for a processor."""
        deadline = trio.current_time() + within
        while runnable(self._running.pids()):
            if trio.current_time() >= deadline:
                return False
            await trio.sleep(LOOK)
        return True

    async def rest(self, seconds: float) -> Rest:
        """How busy the target is in so many seconds in which nothing is asked of it."""
        first, began, looks, running = self.sample(), trio.current_time(), 0, 0
        while (now := trio.current_time()) < began + seconds:
            looks += 1
            running += bool(runnable(self._running.pids()))
            await trio.sleep(LOOK)
        last = self.sample()
        used = last.cpu - first.cpu if first is not None and last is not None else 0.0
        return Rest(used / (now - began), running / max(looks, 1))

    async def steady(self, within: float, *, pausing: bool = False) -> bool:
        """Wait until the target has worked off what it got; False when it has not ``within`` seconds.

        At rest: for three looks its memory stands still, it uses hardly more CPU than at rest before, and (unless
        it was never idle) no thread of it runs or waits for a processor, so that a busy machine does not deceive. Where
        it is known how often it pauses at rest, for more looks, in which it does so no oftener: a program that sleeps
        between two messages has not worked off what waits. ``pausing``: it may, as it has something to do for others.
        """
        deadline = trio.current_time() + within
        last = self.sample()
        counted = self._quiet.pauses is not None and not pausing
        calm, wanted = 0, CALM if counted else 3
        since = (trio.current_time(), self.pauses())
        while last is not None and trio.current_time() < deadline:
            await trio.sleep(LOOK)
            now = self.sample()
            if now is None:
                return True
            used = (now.cpu - last.cpu) / max(now.at - last.at, LOOK)
            level = abs(now.rss - last.rss) <= 256 * 1024 and used <= self._quiet.cpu + QUIET_CPU
            idle = self._quiet.cpu > QUIET_CPU or not runnable(self._running.pids())
            calm = calm + 1 if level and idle else 0
            if not calm:
                since = (trio.current_time(), self.pauses())
            if calm >= wanted:
                if not counted or self._paused(*since):
                    return True
                calm, since = 0, (trio.current_time(), self.pauses())
            last = now
        return last is None

    def _paused(self, at: float, count: int) -> bool:
        """Whether it has paused no oftener since ``at`` than it does at rest."""
        usual = (self._quiet.pauses or 0.0) * (trio.current_time() - at)
        return self.pauses() - count <= 1.5 * usual + FEW_PAUSES

    def busy(self) -> bool:
        """Whether a thread of it runs or waits for a processor now."""
        return bool(runnable(self._running.pids()))

    async def descriptors_back(self, baseline: int, within: float, *, unmoved: float | None = None) -> bool:
        """Wait until the descriptor count is back at ``baseline``, at most ``within`` seconds; False: it stays higher.

        A count that has not moved for ``unmoved`` seconds (half of ``within``) is taken to stay.
        """
        started = moved = trio.current_time()
        patience = within / 2 if unmoved is None else unmoved
        pause, last = 0.001, -1
        while True:
            now = self.sample()
            if now is None or now.descriptors <= baseline:
                return True
            time = trio.current_time()
            if now.descriptors != last:
                last, moved = now.descriptors, time
            if time - started > within or time - moved > patience:
                return False
            await trio.sleep(pause)
            pause = min(pause * 2, 0.05)

    def abandoned(self) -> int:
        """The target's sockets in CLOSE_WAIT: the peer is gone, the target has not closed."""
        return abandoned(self._running.pids()) if self._watch is not None else 0

    def room(self) -> int | None:
        """Descriptors that the target may still open; None where that cannot be seen."""
        return descriptors_left(self._running.pids()) if self._watch is not None else None

    def pauses(self) -> int:
        """How often its threads have waited for something so far: see :func:`~zmqfuzz.processes.switches`."""
        return switches(self._running.pids()) if self._watch is not None else 0

    def close(self) -> None:
        """Let go of the files kept open under /proc."""
        if self._watch is not None:
            self._watch.close()
