"""An honest client that is asked while others hold their connections: is it served as it was without them?

Contract: real libzmq sockets through :class:`~zmqfuzz.probe.Prober`, and the round trip that its calibration found.
What is wanted is learnt before any attack. A target that is still at work is not asked: that is load. Judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import trio
import zmq

from zmqfuzz.holding import comparable, held_by, spreads
from zmqfuzz.measured import Beside, Service
from zmqfuzz.observer import Observer
from zmqfuzz.probe import UNASKED, Exchange, Prober
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

__all__ = ["Bystander", "Bystanders", "Witness"]

QUESTIONS = 8
"""Questions in a row to a socket that spreads its answers over its peers: a share is seen, not luck."""

LEAST_RATE, MOST_RATE = 8.0, 1000.0
"""Messages a second between which a reader can tell a share: fewer take too long, more depend on the machine."""

MESSAGES, SHORTEST, LONGEST = 16, 0.2, 2.0
"""Messages that a reader waits for, and the seconds that this may take."""

LEARNING = 0.5

QUICK, SLOW = 0.3, 1.0
"""Seconds that a client waits in a look beside an attack, first and, when the target is at rest, again."""

CALM = 1.0
RESTED = 8.0
"""Seconds the target may take to come to rest: in a look, and in an examination."""

SOON = 1.0
"""Seconds in which it must be served when the peers have gone, so that what they held was the reason."""

PATIENT = 20
"""Times the usual answer that is waited for in any case."""

SHARE = 0.1
ADVANCE = 0.5
"""Of the time since the first look, and seconds before that, for looks."""


class Bystander:
    """An honest client of one door. All calls block; make them in a thread."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._rate = 0.0

    def learn(self, surface: Surface) -> None:
        """Learn how often the target speaks by itself, while nobody attacks; to be called after calibration."""
        exchange = self._prober.exchange
        if exchange is not None and _listens(exchange):
            times = self._read(surface, exchange, SLOW, LEARNING)
            rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
            self._rate = rate if LEAST_RATE <= rate <= MOST_RATE else 0.0

    def ask(self, surface: Surface, within: float) -> Service | None:
        """Be an honest client, for an answer ``within`` seconds or as long as is usual; None: it cannot be one."""
        within = max(within, PATIENT * self._prober.usual)
        exchange = self._prober.exchange
        if exchange is not None and _listens(exchange) and self._rate:
            window = min(LONGEST, max(SHORTEST, MESSAGES / self._rate))
            began = time.monotonic()
            got = len(self._read(surface, exchange, within, window))
            return Service(got, round(self._rate * window) + 1, time.monotonic() - began, "message")
        if exchange is not None and exchange.parts and spreads(surface):
            return self._several(surface, exchange, within)
        said = self._prober.ask(surface, within)
        return None if said.level == UNASKED else Service(int(said.ok), 1, said.seconds)

    def _read(self, surface: Surface, exchange: Exchange, within: float, window: float) -> list[float]:
        """When messages came: the first ``within`` seconds, and all in a ``window`` of seconds that it begins."""
        times: list[float] = []
        with self._prober.socket(surface, exchange.kind) as sock:
            if exchange.kind == zmq.SUB:
                sock.subscribe(b"")
            sock.connect(surface.address)
            end = time.monotonic() + within
            while (left := end - time.monotonic()) > 0 and sock.poll(int(left * 1000) + 1):
                sock.recv_multipart()
                times.append(time.monotonic())
                if len(times) == 1:
                    end = times[0] + window
        return times

    def _several(self, surface: Surface, exchange: Exchange, within: float) -> Service:
        """Questions in a row over one connection, and what came back; after the first answer the others follow soon."""
        began, got = time.monotonic(), 0
        end = began + within
        with self._prober.socket(surface, exchange.kind) as sock:
            sock.connect(surface.address)
            for _ in range(QUESTIONS):
                sock.send_multipart(exchange.parts)
            while got < QUESTIONS and (left := end - time.monotonic()) > 0 and sock.poll(int(left * 1000) + 1):
                sock.recv_multipart()
                got += 1
                end = min(end, time.monotonic() + max(QUICK, PATIENT * self._prober.usual))
        return Service(got, QUESTIONS, time.monotonic() - began)


def _listens(exchange: Exchange) -> bool:
    return not exchange.parts and not exchange.drain


class Bystanders:
    """The honest clients of a run, one for each door, and the time that they may take."""

    def __init__(self, least: float) -> None:
        """``least``: the share of what is wanted below which a look is repeated."""
        self.least = least
        self._clients: dict[str, Bystander] = {}
        self._began = 0.0
        self.spent = 0.0
        self.asked = 0

    async def meet(self, surface: Surface, prober: Prober) -> None:
        """A door that was calibrated."""
        client = Bystander(prober)
        await trio.to_thread.run_sync(client.learn, surface)
        self._clients[surface.key] = client
        self._began = self._began or trio.current_time()

    def witness(
        self, attack: Attack, surface: Surface, observer: Observer, patience: float | None, now: Callable[[], float]
    ) -> Witness:
        """Who is asked beside ``attack``, perhaps nobody; ``now`` is in seconds since that began.

        ``patience``: None for nobody, 0 for a look where one makes sense and is due, else an examination's seconds.
        """
        client = self._clients.get(surface.key) if patience is not None else None
        if client is not None and not patience:
            due = self.spent <= ADVANCE + SHARE * (trio.current_time() - self._began)
            client = client if due and comparable(surface, held_by(attack)) else None
        return Witness(self, client, attack, surface, observer, patience or 0.0, now)


class Witness:
    """An honest client beside one attack; without a client nothing is asked."""

    def __init__(
        self,
        all_: Bystanders,
        client: Bystander | None,
        attack: Attack,
        surface: Surface,
        observer: Observer,
        patience: float,
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self._all, self._client, self._surface, self._observer = all_, client, surface, observer
        self._open = held_by(attack).open if client is not None else 0
        self._patience = patience
        self._before: Service | None = None
        self._during: Service | None = None
        self._after: Service | None = None
        self.took = 0.0

    async def before(self) -> None:
        """To be awaited before the attack: the worse of two answers, so that what varies by itself is not blamed."""
        if self._patience:
            began = trio.current_time()
            both = [await self._ask(self._patience), await self._ask(self._patience)]
            self._before = min((one for one in both if one is not None), key=lambda one: one.share, default=None)
            self.took += trio.current_time() - began

    async def during(self) -> None:
        """To be awaited when all was sent and the connections are still open."""
        if self._client is None:
            return
        began = trio.current_time()
        if self._patience:
            self._during = (
                await self._ask(self._patience) if await self._observer.steady(RESTED, pausing=True) else None
            )
        else:
            seen = await self._ask(QUICK)
            if seen is not None and seen.share < self._all.least:
                seen = await self._ask(SLOW) if await self._observer.steady(CALM, pausing=True) else None
            self._during = seen
            self._all.spent += trio.current_time() - began
        self._all.asked += self._during is not None
        self.took += trio.current_time() - began

    async def after(self) -> None:
        """To be awaited when the connections are closed."""
        if self._patience:
            self._after = await self._ask(SOON)

    @property
    def unserved(self) -> bool:
        """Whether a client got less than it should beside the attack."""
        return self._during is not None and self._during.share < self._all.least

    @property
    def seen(self) -> Beside | None:
        """What it saw; None where it could not be asked."""
        return Beside(self._open, self._during, self._before, self._after) if self._during is not None else None

    async def _ask(self, within: float) -> Service | None:
        if self._client is None:
            return None
        at = self._now()
        seen = await trio.to_thread.run_sync(self._client.ask, self._surface, within)
        return replace(seen, at=at) if seen is not None else None
