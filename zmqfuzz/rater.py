"""Floods a target with honest messages, and counts what it takes of them by what it does: answers, or what it says.

Contract: a fresh process each time, which nobody has asked anything. Counted are answers to the peers; or, of a door
that answers nobody, what comes out at another door of the target; or the number that a command of the user's prints.
Judges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import trio

from zmqfuzz.endpoints import connect_soon
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.measured import Flow, Service
from zmqfuzz.printed import printed
from zmqfuzz.rating import BYSTANDER, MANY, RATING, Tally, flood, gentle, message_of, offered
from zmqfuzz.script import Attack, Connect, Script, Send, Shake, Step
from zmqfuzz.seeds import Message
from zmqfuzz.standing import Standing
from zmqfuzz.stopping import requests
from zmqfuzz.trial import Examination, Observation, Surface, Transcript, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.patterns import ONE_PEER, peer_type
from zmqfuzz.zmtp.wire import Command, Frame, Unit, body_bytes

__all__ = ["Counting", "Rater"]

MOST = 0.9
"""Share of an honest peer's messages that must be counted, and no more than the inverse, else it does not work here."""

QUIET, LATEST = 1.0, 4.0
"""Seconds without a message after which no more come, and that late ones are waited for at most."""

TRAVELS = 0.5
"""Seconds in which a subscription gets to the publisher."""

TAG = b"zmqfuzz counts this"
Request = tuple[str, tuple[Unit, ...]]
"""The type of a peer, and the message that it sends."""

_ANSWERING = ("REP", "ROUTER", "DEALER", "PAIR")

_SPEAKERS = {"PULL": ("PUSH", "XPUB", "PUB"), "XSUB": ("XPUB", "PUB", "PUSH"), "SUB": ("XPUB", "PUB", "PUSH")}
"""At doors of which types that is looked for which comes in at one, the likeliest first; a peer that reads there gets
it without asking for each."""


@dataclass(slots=True)
class Counting:
    """How messages to a door are counted: by answers, at another door, or by a command. ``why``: they cannot be.

    ``kind`` and ``units``: the type of an honest peer, and the message that it sends.
    """

    kind: str
    units: tuple[Unit, ...]
    tally: Tally
    by: str = ""
    at: str = ""
    command: str = ""
    why: str = ""

    @property
    def answered(self) -> bool:
        """Whether answers are counted."""
        return self.by == "answers"

    @property
    def size(self) -> int:
        """Units of one message."""
        return len(self.units)


@dataclass(slots=True)
class Served:
    """What a bystander got while the flood lasted."""

    count: int = 0
    over: bool = False

    def take(self, tally: Tally, parts: tuple[bytes, ...]) -> None:
        """One message to it, which the target has taken, too."""
        before = tally.like
        tally.take(parts)
        self.count += (tally.like - before) * (not self.over)


class Rater:
    """Counts at the doors of a harness's target. ``seeds``: messages like those that it is used to."""

    def __init__(self, harness: Harness, seeds: Sequence[Message] = ()) -> None:
        self._harness = harness
        self._counter = harness.counter
        self._seeds = seeds

    async def learn(self, key: str, given: Request | None = None) -> tuple[Counting, Trial]:
        """How to count at this door, and an honest peer at half of the limit, of which nearly all must be counted.

        ``given``: the message to send, and the type of the peer that does.
        """
        async with self._harness.examined() as standing:
            surface = self._harness.surface(standing, key)
            counting = self._ways(standing, surface, given)
            attack = gentle(surface, counting.kind, counting.units, self._harness.limits)
            trial = await self._counted(standing, surface, attack, counting)
        counting.tally.begin()
        flow = trial.observation.flow
        assert flow is not None
        counted = flow.taken + flow.later
        if not MOST * flow.offered <= counted <= flow.offered / MOST:
            how = f" as {counting.by}" if counting.by else ""
            seen = f"{flow.offered} messages of an honest peer at half of the limit were seen {counted} times{how}"
            counting.why = f"what it takes cannot be counted: {seen} (--counter CMD counts otherwise)"
        return counting, trial

    def _ways(self, standing: Standing, surface: Surface, given: Request | None) -> Counting:
        asked = given or self._usual(surface)
        if surface.socket_type in _ANSWERING:
            said = Counting(*asked, Tally(), "answers")
        else:
            last = asked[1][-1]
            said = Counting(*asked, Tally(body_bytes(last.body) if isinstance(last, Frame) else TAG))
            likely = _SPEAKERS.get(surface.socket_type, ())
            doors = [door for door in self._harness.surfaces(standing) if door.socket_type in likely and door.known]
            if doors:
                said.at = min(doors, key=lambda door: likely.index(door.socket_type)).key
                said.by = f"messages at {said.at}"
        if self._counter:
            said.by, said.at, said.command = "what --counter prints", "", self._counter
        return said

    def _usual(self, surface: Surface) -> Request:
        """A message that the target was heard to answer, else one that the user has recorded, else any."""
        kind, parts = self._harness.asking.exchange(surface.key)
        frames = parts or (self._seeds[0] if self._seeds else (TAG,))
        request = requests(surface, kind or peer_type(surface.socket_type)[0], frames)[-1]
        return request.kind, request.units

    def floods(self, surface: Surface, counting: Counting) -> tuple[Attack, ...]:
        """One from a single peer, and one from many with a bystander beside them, where the door takes several."""
        limits, kind, units = self._harness.limits, counting.kind, counting.units
        alone = flood(surface, kind, units, limits, 1, beside=False)
        if surface.socket_type in ONE_PEER:
            return (alone,)
        return alone, flood(surface, kind, units, limits, MANY, beside=True)

    async def flooded(self, attack: Attack, key: str, counting: Counting) -> Trial:
        """One flood of a fresh process."""
        async with self._harness.examined() as standing:
            surface = self._harness.surface(standing, key)
            return await self._counted(standing, surface, attack, counting)

    async def examine(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The flood on ``times`` fresh processes, behind an honest peer on another one."""
        counting, calm = await self.learn(key, message_of(attack))
        if counting.why:
            return Examination("rate", (), (calm,), doubts=(counting.why,))
        trials = [await self.flooded(attack, key, counting) for _ in range(times)]
        return Examination("rate", tuple(trials), (calm,))

    async def _counted(self, standing: Standing, surface: Surface, attack: Attack, counting: Counting) -> Trial:
        crowd = tuple(script for script in attack.scripts if script.label != BYSTANDER)
        honest = tuple(script for script in attack.scripts if script.label == BYSTANDER)
        clock, tally, served = Meter(), counting.tally, Served()
        ended, taken, other = 0.0, 0, 0
        before = tally.like, tally.other
        tap = None if counting.at else tally.take
        first, start = await self._printed(counting), standing.observer.sample()
        over = trio.Event()
        found: dict[bool, tuple[Transcript, ...]] = {False: (), True: ()}

        async def held() -> None:
            nonlocal ended, taken, other
            ended, taken, other = clock.now(), tally.like - before[0], tally.other - before[1]
            if counting.command:
                taken = await self._printed(counting) - first
            served.over = True
            last, since, until = -1, trio.current_time(), trio.current_time() + LATEST
            while trio.current_time() < min(since + QUIET, until):
                if tally.like + tally.other != last:
                    last, since = tally.like + tally.other, trio.current_time()
                await trio.sleep(0.02)
            over.set()

        async def play(scripts: tuple[Script, ...], meter: Meter, beside: bool) -> None:
            found[beside] = await inject(
                replace(attack, scripts=scripts),
                partial(connect_soon, surface.address),
                meter,
                credentials=self._harness.credentials,
                seconds=self._harness.budget.trial_seconds,
                held=over.wait if beside else held,
            )

        async with self._reading(standing, counting), trio.open_nursery() as nursery:
            nursery.start_soon(play, crowd, Meter(clock.started, tap=tap), False)
            if honest:
                beside = None if counting.at else partial(served.take, tally)
                nursery.start_soon(play, honest, Meter(clock.started, tap=beside), True)
        end = standing.observer.sample()
        everything = await self._printed(counting) - first if counting.command else tally.like - before[0]
        transcripts = (*found[False], *found[True])
        asked = offered(attack, counting.size, BYSTANDER) if honest and counting.answered else 0
        flow = Flow(
            peers=sum(script.times for script in crowd),
            offered=offered(attack, counting.size),
            taken=taken,
            seconds=ended,
            by=counting.by,
            later=max(0, everything - taken),
            other=other if counting.answered else 0,
            paused=sum(map(_unread, transcripts)),
            cut=sum(transcript.closed_by.by_target for transcript in transcripts),
            cpu=end.cpu - start.cpu if start is not None and end is not None else 0.0,
            honest=Service(served.count, asked, ended) if asked else None,
        )
        gone, running = standing.running.exit(), standing.running
        observation = Observation(exit=gone, log_tail=running.log_tail() if gone is not None else "", flow=flow)
        return Trial(attack, surface, transcripts, observation, clock.now())

    @asynccontextmanager
    async def _reading(self, standing: Standing, counting: Counting) -> AsyncIterator[None]:
        """An honest peer reads at the other door, where that is what is counted."""
        if not counting.at:
            yield
            return
        door = self._harness.surface(standing, counting.at)
        meter = Meter(tap=counting.tally.take)
        kind = peer_type(door.socket_type)[0]
        asks: tuple[Step, ...] = (Send((Command(b"SUBSCRIBE", b""),)),) if kind == "SUB" else ()
        steps = (Connect(), Shake(kind, mechanism=door.mechanism, within=5.0), *asks)
        reader = Attack((Script(steps, label="reader"),), strategy=RATING)
        ready = trio.Event()

        async def held() -> None:
            ready.set()
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            dial, known = partial(connect_soon, door.address), self._harness.credentials
            nursery.start_soon(partial(inject, reader, dial, meter, credentials=known, held=held))
            await ready.wait()
            await trio.sleep(TRAVELS if asks else 0.0)
            yield
            nursery.cancel_scope.cancel()

    async def _printed(self, counting: Counting) -> int:
        """The first number that the user's command prints; 0 without a command, or where it prints none."""
        if not counting.command:
            return 0
        return await printed(counting.command, "--counter") or 0


def _unread(transcript: Transcript) -> bool:
    """Whether the target did not take all octets of a peer, whose connection it left open."""
    said = any(entry.note.startswith("target took") for entry in transcript.entries)
    return said and not transcript.closed_by.by_target
