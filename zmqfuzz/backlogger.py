"""Makes messages wait in a target, and watches what it keeps of them: for peers that do not read, and for itself.

Contract: a fresh process each time, with nobody else connected. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from zmqfuzz.backlog import (
    ENOUGH,
    LONGEST,
    asking,
    cues_of,
    enough,
    grows_anyway,
    intake,
    levelled,
    nobody,
    reading,
    request_of,
    round_of,
    standing,
    unlimited,
)
from zmqfuzz.endpoints import connect_soon
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.measured import Kept
from zmqfuzz.processes import switches
from zmqfuzz.script import Attack, Send, Shake
from zmqfuzz.standing import Standing
from zmqfuzz.stopping import Request, mute, requests
from zmqfuzz.trial import Examination, Observation, Sample, Surface, Transcript, Trial
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command

__all__ = ["Backlogger", "Sounded"]

TRIED = 40
"""Requests that tell what the answers are like."""

ANSWERED, LISTENED = 2.0, 1.0
"""Seconds in which requests must be answered, and in which a target that speaks by itself is heard."""

CARRIED = 0.5
"""Share of a larger request that its answer is, where it is worth it: small ones are worked off sooner."""

SLOWEST = 0.25
"""Share of what is enough that is answered in the time, at least, as a few answers on a busy machine tell it."""

SHORTEST = 0.5
"""Seconds of one round of a target that speaks by itself."""

LOOK = 0.01

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
    """How a door is made to send: ``size`` octets a message, ``rate`` a second, of answers at most."""

    request: Request
    size: float
    rate: float = 0.0

    @property
    def tells(self) -> bool:
        """Whether enough can wait in the time there is."""
        return self.rate * LONGEST > (SLOWEST if self.request.answered else 1.2) * ENOUGH


class Backlogger:
    """Works with the harness of a run; only where the target listens and can be started afresh."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def sound(self, key: str) -> Sounded | None:
        """What makes this door send; None: it sends nothing that was seen."""
        async with self._harness.examined() as standing_:
            surface = await self._harness.warm(standing_, key)
            kind, parts = self._harness.asking.exchange(key)
            found: Sounded | None = None
            for request in requests(surface, kind, parts)[:-3:-1] if kind else (mute(surface),):
                heard, rate = await self._heard(surface, request)
                if heard.messages < (TRIED if request.answered else 2):
                    continue
                size = heard.received / heard.messages
                if found is None or size >= CARRIED * sum(map(unit_size, request.units)):
                    found = Sounded(request, size, rate)
        return found

    async def _heard(self, surface: Surface, request: Request) -> tuple[Transcript, float]:
        """What a peer hears that reads all, and how many messages a second that were."""
        meter, seconds = Meter(), ANSWERED if request.answered else LISTENED
        took = seconds

        async def answered() -> None:
            nonlocal took
            first = meter.now()
            while request.answered and meter.messages < TRIED and meter.now() < first + seconds:
                await trio.sleep(LOOK)
            took = max(meter.now() - first, LOOK) if request.answered else seconds

        wait = 0.0 if request.answered else seconds
        (heard,) = await self._inject(asking(surface, request, TRIED, wait), surface, meter, held=answered)
        return heard, heard.messages / took

    async def unread(self, key: str, sounded: Sounded, *those: str) -> Trial:
        """Peers that do not read, in these ways, at a fresh process."""
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            await running.observer.learn_rest()
            attack = standing(surface, sounded.request, sounded.size, *those)
            return await self._watched(running, surface, attack, sounded)

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
        if not all(trial.observation.kept for trial in trials):
            return Examination("unread", tuple(trials), doubts=("there is no process to watch",))
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            await running.observer.learn_rest()
            rounds = max(len(trial.observation.kept.rounds) for trial in trials if trial.observation.kept)
            read = reading(attack) if sounded.request.answered else nobody(attack)
            calm = await self._watched(running, surface, read, sounded, rounds=rounds)
        shown = all(trial.observation.kept and unlimited(trial.observation.kept) for trial in trials)
        anyway = shown and any(grows_anyway(trial, calm) for trial in trials)
        doubts = ("as much is kept without such a peer",) if anyway else ()
        return Examination("unread", tuple(trials), (calm,), doubts=doubts)

    async def _again(self, attack: Attack, key: str) -> Sounded | None:
        """What the peer of an attack is sent: told anew, as a replay knows the attack only."""
        async with self._harness.examined() as running:
            surface = await self._harness.warm(running, key)
            units = request_of(attack)
            answered = bool(units) and not isinstance(units[0], Command)
            kind = next(step.socket_type for step in attack.scripts[0].steps if isinstance(step, Shake))
            request = Request(kind, units, answered)
            heard, rate = await self._heard(surface, request)
        return Sounded(request, heard.received / heard.messages, rate) if heard.messages > 1 else None

    async def _watched(
        self, running: Standing, surface: Surface, attack: Attack, sounded: Sounded, *, rounds: int | None = None
    ) -> Trial:
        """So many rounds of it, or as many as tell whether there is a mark."""
        observer, meter = running.observer, Meter()
        observer.begin(meter)
        baseline = observer.sample()
        asked = _asked(attack)
        each = asked or round_of(sounded.request, sounded.size)
        pause = 0.0 if asked else max(SHORTEST, each / sounded.rate)
        kept = Kept(sounded.size, 0, 0.0, each=each if asked else round(pause * sounded.rate), asked=bool(asked))
        over, cap = trio.Event(), self._harness.limits.hard_cap / 2
        transcripts: tuple[Transcript, ...] = ()
        last, sent = baseline.rss if baseline is not None else 0, 0

        async def told() -> str:
            """The round is over when the target is at rest; nobody sends more before."""
            nonlocal kept, last, sent
            if asked:
                await observer.steady(max(LONGEST - meter.now(), LOOK))
            else:
                await trio.sleep(pause)
            now = observer.sample()
            if now is None or baseline is None:
                over.set()
                return ""
            held_back = bool(asked) and meter.sent - sent < asked * _size(attack)  # else all was taken
            gains = (*kept.rounds, now.rss - last)
            kept = replace(
                kept, grown=now.rss - baseline.rss, seconds=now.at, rounds=(*gains, 0) if held_back else gains
            )
            last, sent = now.rss, meter.sent
            if rounds is not None:
                done = len(kept.rounds) >= rounds
            else:
                done = unlimited(kept) or levelled(kept) or meter.now() > LONGEST
            if done or held_back or kept.grown > cap:
                over.set()
            return ""

        async with observer.watching() as capped, trio.open_nursery() as nursery:
            nursery.start_soon(_either, capped, over)
            if attack.scripts:
                transcripts = await self._inject(attack, surface, meter, stop=over, tell=told)
            else:
                while not over.is_set():
                    await told()
            nursery.cancel_scope.cancel()
        return _seen(running, attack, surface, transcripts, baseline, kept if kept.rounds else None, meter.now())

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
        return _seen(running, attack, surface, transcripts, baseline, kept, meter.now())

    async def _inject(
        self,
        attack: Attack,
        surface: Surface,
        meter: Meter,
        *,
        stop: trio.Event | None = None,
        held: Callable[[], Awaitable[None]] | None = None,
        tell: Callable[[], Awaitable[str]] | None = None,
        seconds: float = 3 * LONGEST,
    ) -> tuple[Transcript, ...]:
        return await inject(
            attack,
            partial(connect_soon, surface.address),
            meter,
            credentials=self._harness.credentials,
            seconds=seconds,
            held=held,
            stop=stop,
            tell=tell,
            cues=cues_of(attack),
        )


def _size(attack: Attack) -> int:
    return sum(map(unit_size, request_of(attack)))


def _asked(attack: Attack) -> int:
    """Messages that all its peers ask for in one round; 0: they ask for none."""
    sends = [[step for step in script.steps if isinstance(step, Send)] for script in attack.scripts]
    return sum(each[0].times for each in sends if len(each) > 1)


def _kept(size: float, baseline: Sample | None, series: list[Sample]) -> Kept | None:
    if baseline is None or not series:
        return None
    return Kept(size, series[-1].rss - baseline.rss, series[-1].at)


def _seen(
    running: Standing,
    attack: Attack,
    surface: Surface,
    transcripts: tuple[Transcript, ...],
    baseline: Sample | None,
    kept: Kept | None,
    seconds: float,
) -> Trial:
    observer, gone = running.observer, running.running.exit()
    observation = Observation(
        baseline,
        max(observer.series, key=lambda sample: sample.rss, default=None),
        series=tuple(observer.series),
        exit=gone,
        log_tail=running.running.log_tail() if gone is not None else "",
        killed_at_cap=observer.capped or running.running.killed_at_cap,
        kept=kept,
    )
    return Trial(attack, surface, transcripts, observation, seconds)


async def _either(first: trio.Event, then: trio.Event) -> None:
    await first.wait()
    then.set()


async def _wakes(pids: Callable[[], tuple[int, ...]]) -> float:
    """How often a second the threads of a target go to sleep, or are put there: so it works also with little CPU."""
    began, first = trio.current_time(), switches(pids())
    await trio.sleep(RESTING)
    return (switches(pids()) - first) / (trio.current_time() - began)
