"""Makes messages wait in a target, and watches what it keeps of them: for peers that do not read, and for itself.

Contract: a fresh process each time, with nobody else connected. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from zmqfuzz.backlog import ENOUGH, LONGEST, asking, enough, grows_anyway, intake, nobody, reading, request_of, standing
from zmqfuzz.endpoints import connect_soon
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.measured import Kept
from zmqfuzz.processes import switches
from zmqfuzz.script import Attack, Shake
from zmqfuzz.standing import Standing
from zmqfuzz.stopping import Request, mute, requests
from zmqfuzz.trial import Examination, Observation, Sample, Surface, Transcript, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command

__all__ = ["Backlogger", "Sounded"]

TRIED = 40
"""Requests that tell what the answers are like."""

LISTENED = 1.0
"""Seconds in which a target that speaks by itself is heard."""

FLAT, EARLIEST, LEVEL = 1.5, 2.5, 0.02
"""Seconds without growth (by a share of what it has gained) after which it has levelled off, not before so many."""

LOOK = 0.05

TAKING = 6.0
"""Seconds in which all must be taken by a target that does not hold back its peers."""

WORKING = 8.0
RESTING = 0.3
"""Seconds that it may go on with what it has taken; and of one look at whether it does."""

BUSY = 5.0
TICKS = 20.0
"""How many times as often as at rest its threads go to sleep and wake, and how many times a second more, at work."""


@dataclass(frozen=True, slots=True)
class Sounded:
    """How a door is made to send: ``size`` octets a message, ``rate`` a second by itself (0: it answers requests)."""

    request: Request
    size: float
    rate: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether enough can wait in the time there is."""
        return self.request.answered or self.rate * LONGEST > 1.2 * ENOUGH


class Backlogger:
    """Works with the harness of a run; only where the target listens and can be started afresh."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def sound(self, key: str) -> Sounded | None:
        """What makes this door send; None: it sends nothing that was seen."""
        async with self._harness.examined() as standing_:
            surface = await self._harness.warm(standing_, key)
            kind, parts = self._harness.asking.exchange(key)
            for request in requests(surface, kind, parts)[-2:] if kind else (mute(surface),):
                seconds = 0.2 if request.answered else LISTENED
                heard = await self._heard(surface, asking(surface, request, TRIED, seconds))
                wanted = TRIED if request.answered else 2
                if heard.messages >= wanted:
                    rate = 0.0 if request.answered else heard.messages / LISTENED
                    return Sounded(request, heard.received / heard.messages, rate)
        return None

    async def _heard(self, surface: Surface, attack: Attack) -> Transcript:
        return (await self._inject(attack, surface, Meter()))[0]

    async def unread(self, key: str, sounded: Sounded, way: str) -> Trial:
        """One peer that does not read, at a fresh process."""
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            await running.observer.learn_rest()
            return await self._watched(running, surface, standing(surface, sounded.request, sounded.size, way), sounded)

    async def examine_unread(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The attack on ``times`` fresh processes, and a peer that reads all of it on another one."""
        sounded = await self._again(attack, key)
        if sounded is None:
            return Examination("unread", (), doubts=("what it sends was not seen again",))
        trials = []
        for _ in range(times):
            async with self._harness.examined() as running:
                surface = await self._harness.warm(running, key)
                await running.observer.learn_rest()
                trials.append(await self._watched(running, surface, attack, sounded))
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            await running.observer.learn_rest()
            seconds = max(trial.seconds for trial in trials)
            read = reading(attack, seconds) if sounded.request.answered else nobody(attack)
            calm = await self._watched(running, surface, read, sounded, calm=seconds)
        doubts = () if all(trial.observation.baseline for trial in trials) else ("there is no process to watch",)
        if all(trial.observation.kept and grows_anyway(trial, calm) for trial in trials):
            doubts = ("as much is kept without such a peer, or the machine is too busy to read all of it",)
        return Examination("unread", tuple(trials), (calm,), doubts=doubts)

    async def _again(self, attack: Attack, key: str) -> Sounded | None:
        """What the peer of an attack is sent: told anew, as a replay knows the attack only."""
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            units = request_of(attack)
            answered = bool(units) and not isinstance(units[0], Command)
            kind = next(step.socket_type for step in attack.scripts[0].steps if isinstance(step, Shake))
            request = Request(kind, units, answered)
            heard = await self._heard(surface, asking(surface, request, TRIED, 0.5 if answered else LISTENED))
        return Sounded(request, heard.received / heard.messages) if heard.messages > 1 else None

    async def _watched(
        self, running: Standing, surface: Surface, attack: Attack, sounded: Sounded, *, calm: float = 0.0
    ) -> Trial:
        observer, meter = running.observer, Meter()
        observer.begin(meter)
        baseline = observer.sample()
        over = trio.Event()
        kept: Kept | None = None
        transcripts: tuple[Transcript, ...] = ()

        async def held() -> None:
            nonlocal kept
            kept = _kept(sounded.size, baseline, observer.series)  # while the peer is there: it may be freed then

        async with observer.watching() as capped, trio.open_nursery() as nursery:
            if not calm:
                nursery.start_soon(self._until_told, observer.series, baseline, sounded, capped, over)
            if attack.scripts:
                transcripts = await self._inject(attack, surface, meter, stop=over, held=held)
            else:
                await trio.sleep(calm)
                await held()
            nursery.cancel_scope.cancel()
        seconds = meter.now()
        most = max(observer.series, key=lambda sample: sample.rss, default=None)
        gone = running.running.exit()
        observation = Observation(
            baseline,
            most,
            series=tuple(observer.series),
            exit=gone,
            log_tail=running.running.log_tail() if gone is not None else "",
            killed_at_cap=observer.capped or running.running.killed_at_cap,
            kept=kept,
        )
        return Trial(attack, surface, transcripts, observation, seconds)

    async def _until_told(
        self, series: list[Sample], baseline: Sample | None, sounded: Sounded, capped: trio.Event, over: trio.Event
    ) -> None:
        """Set ``over`` when enough waits, when it has levelled off, or when it would soon be too much."""
        began = top_at = trio.current_time()
        top = 0
        while not capped.is_set():
            await trio.sleep(LOOK)
            now, kept = trio.current_time(), _kept(sounded.size, baseline, series)
            if kept is None or enough(kept) or kept.grown > self._harness.limits.hard_cap / 2:
                break
            if kept.grown > top * (1 + LEVEL):
                top, top_at = kept.grown, now
            if now - top_at > FLAT and now - began > EARLIEST:
                break
        over.set()

    async def taken(self, key: str, sounded: Sounded | None) -> Trial:
        """An honest peer that sends faster than is usual, at a fresh process; and for how long that is worked off."""
        async with self._harness.examined() as running:
            surface = self._harness.surface(running, key)  # nobody has given it work
            attack = intake(surface, sounded.request if sounded is not None else mute(surface))
            return await self._taken(running, surface, attack)

    async def examine_intake(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The attack on ``times`` fresh processes."""
        trials = []
        for _ in range(times):
            async with self._harness.examined() as running:
                trials.append(await self._taken(running, self._harness.surface(running, key), attack))
        return Examination("intake", tuple(trials))

    async def _taken(self, running: Standing, surface: Surface, attack: Attack) -> Trial:
        observer, pids = running.observer, running.running.pids
        await observer.learn_rest()
        before = await _wakes(pids)
        meter = Meter()
        observer.begin(meter)
        baseline = observer.sample()
        kept: Kept | None = None

        async def held() -> None:
            nonlocal kept
            seconds, seen = meter.now(), _kept(float(_size(attack)), baseline, observer.series)
            if seen is None or not enough(seen):
                return
            worked = 0.0
            while worked < WORKING and running.running.exit() is None:
                if await _wakes(pids) <= TICKS + BUSY * before:
                    break
                worked = meter.now() - seconds
            kept = replace(seen, seconds=seconds, worked=worked)

        async with observer.watching():
            transcripts = await self._inject(attack, surface, meter, held=held, seconds=TAKING)
        gone = running.running.exit()
        observation = Observation(
            baseline,
            max(observer.series, key=lambda sample: sample.rss, default=None),
            series=tuple(observer.series),
            exit=gone,
            log_tail=running.running.log_tail() if gone is not None else "",
            killed_at_cap=observer.capped or running.running.killed_at_cap,
            kept=kept,
        )
        return Trial(attack, surface, transcripts, observation, meter.now())

    async def _inject(
        self,
        attack: Attack,
        surface: Surface,
        meter: Meter,
        *,
        stop: trio.Event | None = None,
        held: Callable[[], Awaitable[None]] | None = None,
        seconds: float = 2 * LONGEST,
    ) -> tuple[Transcript, ...]:
        return await inject(
            attack,
            partial(connect_soon, surface.address),
            meter,
            credentials=self._harness.credentials,
            seconds=seconds,
            held=held,
            stop=stop,
        )


def _size(attack: Attack) -> int:
    return sum(map(unit_size, request_of(attack)))


def _kept(size: float, baseline: Sample | None, series: list[Sample]) -> Kept | None:
    if baseline is None or not series:
        return None
    last = series[-1]
    third = next((sample for sample in reversed(series) if sample.at <= last.at * 2 / 3), baseline)
    return Kept(size, last.rss - baseline.rss, last.rss - third.rss, last.at)


async def _wakes(pids: Callable[[], tuple[int, ...]]) -> float:
    """How often a second the threads of a target go to sleep, or are put there: so it works also with little CPU."""
    began, first = trio.current_time(), switches(pids())
    await trio.sleep(RESTING)
    return (switches(pids()) - first) / (trio.current_time() - began)
