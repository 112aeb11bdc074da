"""Whether honest clients are served, asked at the doors of one target: before, after and beside attacks.

Where the target listens, real libzmq clients ask (:mod:`zmqfuzz.probe`, :mod:`zmqfuzz.bystander`); where it connects,
an honest server waits for it (:mod:`zmqfuzz.listener`). Judges nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio
import zmq

from zmqfuzz.budget import Limits
from zmqfuzz.bystander import Bystanders
from zmqfuzz.credentials import Credentials
from zmqfuzz.listener import Listeners
from zmqfuzz.probe import UNASKED, Prober, UserProbe
from zmqfuzz.reads import reads_on
from zmqfuzz.seeds import Heard, Message
from zmqfuzz.settling import KNOWN_DEAF
from zmqfuzz.standing import Standing
from zmqfuzz.trial import READING, ProbeResult, Surface

__all__ = ["Asking"]

QUICK_PROBE = 0.02
PROBE_EVERY = 0.5
PROBE_SHARE = 10
READING_SHARE = 6
SETTLED = 1.0
AT_WORK, BACKLOG = 0.5, 15.0
"""A probe that takes longer than QUICK_PROBE seconds is asked every PROBE_EVERY seconds, and every PROBE_SHARE times
what it usually takes; whether a door that answers nobody still reads is seen again after READING_SHARE times as long
as that took, unless it did not. SETTLED seconds it has at least to work off what it got before that."""


class Asking:
    """The honest peers of a run. ``heard`` is what the target said to them, for each door; ``asks``: see Prober."""

    def __init__(
        self,
        probe: UserProbe,
        credentials: Credentials,
        listeners: Listeners | None,
        bystanders: Bystanders,
        asks: Sequence[Message] = (),
    ) -> None:
        self.heard: defaultdict[str, Heard] = defaultdict(Heard)
        self._bystanders = bystanders
        self._probe = probe
        self._asks = asks
        self._credentials = credentials
        self._listeners = listeners
        self._probers: dict[str, Prober] = {}
        self._again: dict[str, float] = {}

    def close(self) -> None:
        """Drop every socket at once."""
        for prober in self._probers.values():
            prober.close()

    async def calibrate(self, surface: Surface, fresh: Callable[[], Awaitable[Surface]] | None = None) -> ProbeResult:
        """Learn how an honest client is answered at this door, before anything is attacked.

        ``fresh``: starts the target anew; see :meth:`~zmqfuzz.probe.Prober.calibrate`.
        """
        if self._listeners is not None:
            return await self._listeners.calibrate(surface, self.heard[surface.key])
        prober = self._prober(surface.key)
        anew = partial(trio.from_thread.run, fresh) if fresh is not None else None
        result = await trio.to_thread.run_sync(prober.calibrate, surface, anew)
        if result.ok:
            await self._bystanders.meet(surface, prober)
        return result

    def _prober(self, key: str) -> Prober:
        if key not in self._probers:
            self._probers[key] = Prober(self._probe, self._credentials, self.heard[key], self._asks)
        return self._probers[key]

    async def ask(self, surface: Surface, within: float) -> ProbeResult:
        """One question, answered or not ``within`` seconds."""
        if self._listeners is not None:
            return await self._listeners.ask(surface, within)
        return await trio.to_thread.run_sync(self._prober(surface.key).ask, surface, within)

    def each(self, key: str) -> float:
        """Seconds that the target took for one message of an honest client before any attack; 0: not known."""
        prober = self._probers.get(key)
        return prober.each if prober is not None else 0.0

    def exchange(self, key: str) -> tuple[str, tuple[bytes, ...]]:
        """The round trip that calibration found: our socket type, and the frames that we send; empty: none."""
        prober = self._probers.get(key)
        found = prober.exchange if prober is not None else None
        return (zmq.SocketType(found.kind).name, found.parts) if found is not None and not found.drain else ("", ())

    async def warm(self, surface: Surface, within: float) -> None:
        """Ask a process that has never served, unless that would be the last that it answers."""
        if not self.once(surface.key):
            await self.ask(surface, within)

    def once(self, key: str) -> bool:
        """Whether this door was seen to answer the first who asked a fresh process, and not the next."""
        prober = self._probers.get(key)
        return prober is not None and prober.once

    def due(self, standing: Standing, key: str) -> bool:
        """Whether it is time to ask this process again; where it connects to us, one bad peer may be the last."""
        if self._listeners is not None:
            return True
        prober = self._probers.get(key)
        usual = prober.usual if prober is not None else 0.0
        every = 0.0 if prober is not None and usual < QUICK_PROBE else max(PROBE_EVERY, PROBE_SHARE * usual)
        return trio.current_time() - standing.probed_at >= every

    async def served(
        self, standing: Standing, surface: Surface, recover: float, *, fresh: bool = True
    ) -> tuple[ProbeResult, ...]:
        """Ask, patiently: a first short question, and where it fails a long one while the process lives.

        ``fresh``: on a process of its own, for which there is time; else what takes seconds is not done all the time.
        """
        standing.probed_at = trio.current_time()
        first = await self.ask(surface, 0.5)
        if first.level == UNASKED:
            return ()
        if standing.running.exit() is not None:
            return (first,)
        prober = self._probers.get(surface.key)
        if prober is not None and (prober.level == READING or prober.unread is not None):
            # Nothing but a handshake is known of a door with ``unread``: only an error that it tells of is a reason.
            waits = not fresh and standing.probed_at < self._again.get(surface.key, -math.inf)
            if first.ok and (prober.unread is None or waits or not standing.complains()):
                return (first,)
            if first.ok or prober.level == READING:
                return await self._reads_on(standing, surface, partial(prober.untaken, surface), recover)
        if first.ok or recover <= KNOWN_DEAF:
            return (first,)
        late = await self.ask(surface, recover)
        if not late.ok and recover >= Limits().recover and not await standing.observer.steady(AT_WORK):
            late = await self.ask(surface, BACKLOG)  # it works off what waits: that is load, unless it never ends
        return (late,)

    async def _reads_on(
        self, standing: Standing, surface: Surface, untaken: Callable[[float], float], recover: float
    ) -> tuple[ProbeResult, ...]:
        """Whether it still takes messages; where that could not be told, it is seen again, and not at once."""
        began = trio.current_time()
        seen = await reads_on(standing, untaken, max(recover, SETTLED))
        if not seen:
            standing.looked = ""
        deaf = bool(seen) and not seen[-1].ok
        now = trio.current_time()
        self._again[surface.key] = now if deaf else now + READING_SHARE * (now - began)
        return seen
