"""Reads what a target sends with a reader that stands still for a time, and learns what it missed, and what was said.

Contract: a fresh process each time. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from zmqfuzz.backlogger import Sounded
from zmqfuzz.company import COMPANY
from zmqfuzz.dropping import DROPS
from zmqfuzz.endpoints import connect_soon
from zmqfuzz.feeds import (
    CALM,
    MARK,
    Heard,
    Lost,
    Place,
    asked,
    awaited,
    behind,
    dense,
    everybody_reads,
    late,
    lost,
    missing_numbers,
    numbers,
    parted,
    shared,
    silent,
    swapped,
    until_full,
)
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.measured import Feed
from zmqfuzz.script import Attack
from zmqfuzz.standing import Standing
from zmqfuzz.stopping import Request, requests
from zmqfuzz.telling import AT_ONCE, Teller, Told
from zmqfuzz.trial import Examination, Observation, Sample, Surface, Transcript, Trial
from zmqfuzz.writer import Meter

__all__ = ["Follower"]

LOOK = 0.02

LISTENED, LEAST = 2.0, 0.5
"""Seconds in which a feed is heard by one reader alone, at most and at least."""

KNOWN = 2 * CALM
"""Messages of which it is learnt where their number stands: the last ones, as before another one may have got some."""

STILL, SHORTER = 10.0, 4.0
"""Seconds that a reader stands still at most; and where it is only about the order of messages."""

CATCHES, AFTER = 6.0, 1.0
"""Seconds in which it has read what waited for it; and that it then reads on."""

PAUSE, CALMER = 0.2, 1.5
"""Seconds between two looks at that; and how many times as fast as alone it reads at most when nothing waits."""

QUIET, LATEST = 2.0, 20.0
"""Seconds without an answer after which no more come, and that they are waited for at most."""

SOON, LATE = 3.0, 11.0
"""Seconds in which a program says that it has dropped something; and once in an examination, as some say so all ten."""


class Follower:
    """Works with the harness of a run; only where the target listens and can be started afresh."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._teller = Teller(harness.limits.drops or "")

    def speaks(self, key: str) -> bool:
        """Whether the door was heard to send by itself."""
        return self._harness.asking.exchange(key)[0] in ("SUB", "PULL")

    async def order(self, key: str) -> Trial:
        """What a target sends by itself: in which order it comes, if that can be known."""
        return await self._fresh(key, lambda surface: behind(surface, self._listens(surface), COMPANY))

    async def dropped(self, key: str, sounded: Sounded | None = None) -> Trial:
        """What is dropped for a reader that stands still, and what is said of it. ``sounded``: what is answered."""

        def made(surface: Surface) -> Attack:
            if sounded is None:
                return behind(surface, self._listens(surface), DROPS)
            times = min(until_full(sounded.size), round(sounded.rate * STILL))
            return behind(surface, sounded.request, DROPS, max(1, times))

        return await self._fresh(key, made, patience=SOON)

    def _listens(self, surface: Surface) -> Request:
        return requests(surface, *self._harness.asking.exchange(surface.key))[0]

    async def examine_order(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The attack on ``times`` fresh processes, and the same with readers that all read on another one."""
        trials: list[Trial] = []
        while len(trials) < times:
            trials.append(await self._fresh(key, lambda _: attack))
            feed = trials[-1].observation.feed
            if feed is None or not swapped(feed):
                return Examination("order", tuple(trials))
        calm, seen = await self._calm(attack, key)
        doubts = ("so it is where everybody reads",) if seen is None or not seen.numbered or seen.late else ()
        return Examination("order", tuple(trials), (calm,), doubts=doubts)

    async def examine_drops(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """The same; the first process is given more time to say what it has dropped."""
        trials: list[Trial] = []
        while len(trials) < times:
            trials.append(await self._fresh(key, lambda _: attack, patience=SOON if trials else LATE))
            feed = trials[-1].observation.feed
            if feed is None or not silent(feed):
                return Examination(DROPS, tuple(trials))
        calm, seen = await self._calm(attack, key)
        why = "messages are missing where everybody reads, too" if seen is None or seen.missing else seen.why
        return Examination(DROPS, tuple(trials), (calm,), doubts=(why,) if why else ())

    async def _calm(self, attack: Attack, key: str) -> tuple[Trial, Feed | None]:
        """The same where everybody reads; once more where we were too slow for that, on a busy machine."""
        for _ in range(2):
            calm = await self._fresh(key, lambda _: everybody_reads(attack), patience=AT_ONCE)
            seen = calm.observation.feed
            if seen is not None and not seen.missing and (seen.numbered or (attack.strategy != COMPANY and seen.by)):
                break
        return calm, seen

    async def _fresh(self, key: str, made: Callable[[Surface], Attack], *, patience: float = 0.0) -> Trial:
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            return await _Reading(self._teller, standing, surface, made(surface), self._harness).watched(patience)


class _Reading:
    """One reader that stands still, and the other; what they get."""

    def __init__(self, teller: Teller, standing: Standing, surface: Surface, attack: Attack, harness: Harness) -> None:
        self._teller = teller
        self._standing = standing
        self._surface = surface
        self._attack = attack
        self._harness = harness
        self._reader, self._still = Heard(), Heard()
        self._learnt, self._over = trio.Event(), trio.Event()
        self._meter = Meter()
        self._place: Place | None = None
        self._rate = 0.0
        self._stood = 0.0
        self._paused = self._full = self._unclear = False
        self._on = 0
        self._before = Told()
        self._alone: Sample | None = None
        self._values: list[int] = []
        self._valued = 0
        self._asked = asked(attack)

    @property
    def _in_vain(self) -> bool:
        """Whether only the order matters, and cannot be known."""
        return self._attack.strategy == COMPANY and self._place is None

    async def watched(self, patience: float) -> Trial:
        """Play it; then wait so long for what the program says of drops."""
        running, observer = self._standing.running, self._standing.observer
        if self._asked:
            await observer.learn_rest()
        observer.begin(self._meter)
        self._alone = baseline = observer.sample()
        first, still = parted(self._attack)
        found: dict[bool, tuple[Transcript, ...]] = {False: (), True: ()}

        async def play(
            attack: Attack, heard: Heard, steps: list[Callable[[], Coroutine[Any, Any, None]]], beside: bool
        ) -> None:
            turn = iter(steps)

            async def tell() -> str:
                await next(turn)()
                return ""

            meter = Meter(self._meter.started, tap=heard.take)
            dial, known = partial(connect_soon, self._surface.address), self._harness.credentials
            with_cues = partial(inject, attack, dial, meter, credentials=known, seconds=120.0, tell=tell)
            found[beside] = await with_cues(cues=awaited(attack))

        async with trio.open_nursery() as nursery:
            if self._asked:
                self._before = await self._teller.said(running)
                nursery.start_soon(play, still, self._still, [self._worked_off, self._answered], True)
            else:
                nursery.start_soon(self._listen)
                ends = self._over.wait if shared(self._surface) else self._learnt.wait
                nursery.start_soon(play, first, self._reader, [ends], False)
                after = [self._learnt.wait, self._goes_on, self._caught_up]
                nursery.start_soon(play, still, self._still, after, True)
        gone = running.exit()
        feed = self._feed(found[True])
        if patience and gone is None:
            told = await self._teller.grown(running, self._before, patience)
            feed = replace(feed, told=told, before=self._before.already)
        said = running.log_tail() if gone is not None else ""
        observation = Observation(baseline, exit=gone, log_tail=said, feed=feed)
        transcripts = (*found[False], *found[True])
        return Trial(self._attack, self._surface, transcripts, observation, self._meter.now())

    async def _listen(self) -> None:
        """One reader alone: what the feed is like."""
        began, enough = trio.current_time(), 3 * CALM
        while (seconds := trio.current_time() - began) < LISTENED and (seconds < LEAST or self._reader.count < enough):
            await trio.sleep(LOOK)
        self._rate = self._reader.count / seconds
        self._place = dense(self._reader.heads[-KNOWN:])
        self._before = await self._teller.said(self._standing.running)
        self._learnt.set()

    async def _goes_on(self) -> None:
        """The target goes on sending, and nobody reads it here."""
        began, first = trio.current_time(), self._reader.count
        most = SHORTER if self._attack.strategy == COMPANY else STILL
        need = until_full(self._reader.size)
        both = shared(self._surface)
        if not both:
            most = min(most, max(1.0, need / max(self._rate, 1.0)))
        while trio.current_time() - began < most and not self._in_vain:
            if both and self._reader.count - first >= need:
                break
            await trio.sleep(LOOK)
        self._stood = trio.current_time() - began
        self._on = len(self._reader.keys)
        came = self._rate * self._stood  # or would have, where its program is held back
        self._paused = both and self._reader.count - first < 0.5 * came
        self._full = (self._reader.count - first if both else came) >= 0.9 * need

    async def _caught_up(self) -> None:
        until, before = trio.current_time() + CATCHES, self._still.count
        while trio.current_time() < until and not self._in_vain and not self._behind_no_more():
            await trio.sleep(PAUSE)
            calm = self._still.count - before < CALMER * PAUSE * self._rate
            before = self._still.count
            if calm and before and not shared(self._surface):
                break
        await trio.sleep(0.0 if self._in_vain else AFTER)
        now = self._standing.observer.sample()
        if not shared(self._surface) and now is not None and self._alone is not None:
            self._unclear = now.descriptors > self._alone.descriptors + 1  # a worker that has come takes its share
        self._over.set()

    def _behind_no_more(self) -> bool:
        """Whether it gets what is sent now: what another one got later, or a number behind missing ones."""
        if shared(self._surface):
            return bool(self._still.keys) and self._still.keys[-1] in self._reader.keys[self._on :]
        return self._place is not None and bool(missing_numbers(self._numbers()))

    def _numbers(self) -> list[int]:
        """Those that who stood still got so far."""
        if self._place is not None:
            self._values += numbers(self._place, self._still.heads[self._valued :])
            self._valued = len(self._still.heads)
        return self._values

    async def _worked_off(self) -> None:
        began = trio.current_time()
        await self._standing.observer.steady(STILL)
        self._stood = trio.current_time() - began

    async def _answered(self) -> None:
        last, since, until = -1, trio.current_time(), trio.current_time() + LATEST
        while trio.current_time() < min(since + QUIET, until):
            if self._still.count != last:
                last, since = self._still.count, trio.current_time()
            await trio.sleep(LOOK)
        flows = trio.current_time() >= until
        self._unclear = flows or not await self._standing.observer.steady(QUIET)

    def _feed(self, still: tuple[Transcript, ...]) -> Feed:
        cut = any(transcript.closed_by.by_target for transcript in still)
        if self._asked:
            found, paused = self._unanswered(still)
            feed = Feed(self._stood, self._still.count, found.sent, found.missing, found.by, found.why, paused, cut)
            return replace(feed, full=self._asked >= MARK)
        found = lost(self._surface, self._reader, self._still, self._place)
        if self._unclear:
            found = Lost(0, self._still.count, why="others may have read there, too")
        order = 0
        if self._place is not None:
            order = late(numbers(self._place, self._reader.heads)) + late(self._numbers())
        feed = Feed(self._stood, self._still.count, found.sent, found.missing, found.by, found.why, self._paused, cut)
        return replace(feed, full=self._full, numbered=self._place is not None, late=order)

    def _unanswered(self, still: tuple[Transcript, ...]) -> tuple[Lost, bool]:
        held_back = any("target took" in entry.note for transcript in still for entry in transcript.entries)
        if held_back:
            return Lost(0, self._still.count, why="it took no more questions"), True
        if self._unclear:
            return Lost(0, self._still.count, why="it was still at work"), False
        if self._still.count > self._asked:
            return Lost(0, self._asked, why="a question has several answers"), False
        return Lost(self._asked - self._still.count, self._asked, "each question is answered once"), False
