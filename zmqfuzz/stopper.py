"""Tells a target to stop, while peers are connected that do not read, read slowly, or are gone; and takes the time.

Contract: a fresh process each time. Nobody is asked while it ends; its end is seen in the process table, which the
peers cannot hide. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import trio

from zmqfuzz.endpoints import connect_soon
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.script import Attack
from zmqfuzz.settling import REST
from zmqfuzz.standing import Standing
from zmqfuzz.stopping import (
    SLOW,
    SMALL,
    SOUNDED,
    Request,
    allowed,
    asked,
    asks,
    mute,
    requests,
    scripts,
    sounding,
    times_for,
    together,
)
from zmqfuzz.target import Running
from zmqfuzz.trial import Examination, Observation, Stop, Surface, Transcript, Trial
from zmqfuzz.writer import Meter

__all__ = ["Look", "Stopper"]

LOOK = 0.005
"""Seconds between two looks at whether the processes have ended."""

UNDECLARED = 5.0
"""Seconds that an end is waited for where nothing was promised."""

ALONE = 10.0
"""The same with nobody connected."""

LONGEST = 8.0
"""Seconds that a target is given for its answers, at most, before it is told to stop; twice what they take."""

QUIET = 1.5
"""Seconds without a message after which no more come."""


_Held = Callable[[], Awaitable[None]]
_Tell = Callable[[], Awaitable[str]]


class Look:
    """What a door's controls have shown. ``peers`` by label; ``rest``: seconds to give the target before its stop.

    ``controls``: stopped with nobody connected. ``why``: the answers that arrive cannot be counted; empty: they can.
    """

    def __init__(self, surface: Surface, request: Request, times: int, linger: float | None) -> None:
        self.peers = scripts(surface, request, times, linger)
        self.controls: tuple[Trial, ...] = ()
        self.rest = 0.0
        self.why = ""


class Stopper:
    """Stops the target of a harness; only where it listens, and can be started again."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def look(self, key: str) -> Look:
        """Learn, on one fresh process, what makes messages wait behind a door, and how the target ends alone."""
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            look = await self._sounded(standing, surface)
            alone = await self._stopped(standing, together(()), surface, 0.0, ALONE)
            look.controls = (alone, *look.controls)
        return look

    async def _sounded(self, standing: Standing, surface: Surface) -> Look:
        kind, parts = self._harness.asking.exchange(surface.key)
        tried = requests(surface, kind, parts) if kind else (mute(surface),)
        for request in tried if tried[0].answered else ():
            heard = (await self._undisturbed(standing, sounding(surface, request), surface)).transcripts
            if heard and heard[0].messages >= asked(sounding(surface, request).scripts[0]):
                look = Look(surface, request, times_for(surface, heard[0].received), self._harness.limits.linger)
                look.rest = heard[0].last_at / heard[0].messages
                look.why = await self._uncounted(standing, surface, look, heard[0].received)
                return look
        look = Look(surface, replace(tried[-1], answered=False), 1, None)
        look.why = "it answers no request by one message each, so what it had accepted cannot be counted"
        return look

    async def _uncounted(self, standing: Standing, surface: Surface, look: Look, received: int) -> str:
        """Why the answers that arrive do not tell what it had accepted; empty: they do, or nobody asks."""
        if self._harness.limits.delivers is None:
            return ""
        if received < SMALL * SOUNDED:
            return f"its answers are small (less than {SMALL} octets), the kernels take them all"
        slow = together((look.peers[SLOW],))
        rest = look.rest * asked(look.peers[SLOW])
        got = (await self._undisturbed(standing, slow, surface, rest=min(rest, LONGEST))).transcripts[0].messages
        wanted = asked(look.peers[SLOW])
        return "" if got == wanted else f"not told to stop, it delivers {got} of {wanted} answers to a slow reader"

    async def examine(self, attack: Attack, key: str, *, times: int = 3) -> Examination:
        """Stop ``times`` fresh processes beside the peers of ``attack``; the controls share one process."""
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            calm, rest, doubts = await self._calm(standing, attack, surface)
            alone = await self._stopped(standing, together(()), surface, 0.0, ALONE)
        end = alone.observation.stop
        if end is None or not end.ended:
            doubts = (*doubts, "it does not end with nobody connected either")
        trials: list[Trial] = []
        while end is not None and not doubts and len(trials) < times:
            trials.append(await self.stopped(attack, key, end, rest))
            stop = trials[-1].observation.stop
            if stop is None or not stop.at_rest:
                doubts = ("the target was still at work when it was told to stop",)
        return Examination("stop", tuple(trials), (alone, *calm), doubts=doubts)

    async def _calm(
        self, standing: Standing, attack: Attack, surface: Surface
    ) -> tuple[tuple[Trial, ...], float, tuple[str, ...]]:
        """What the peers that read on get of a target that goes on; how long its answers take; and what is in doubt."""
        readers = together([script for script in attack.scripts if asked(script)])
        if not readers.scripts:
            return (), 0.0, ()
        at_once = await self._undisturbed(standing, readers, surface)
        rest = 2 * max((transcript.last_at for transcript in at_once.transcripts), default=0.0)
        if rest > LONGEST:
            return (at_once,), rest, ("the target needs too long for its answers",)
        calm = await self._undisturbed(standing, readers, surface, rest=rest)
        wanted = [asked(script) for script in readers.scripts]
        if [transcript.messages for transcript in calm.transcripts] != wanted:
            return (calm,), rest, ("not all answers arrive when it is not told to stop either",)
        return (calm,), rest, ()

    async def stopped(self, attack: Attack, key: str, alone: Stop, rest: float) -> Trial:
        """Stop one fresh process beside the peers, at least ``rest`` seconds after these have asked, and at rest.

        ``alone`` is how it ends with nobody connected.
        """
        limits = self._harness.limits
        longest = UNDECLARED if limits.linger is None else allowed(limits, alone) + 1.0
        async with self._harness.examined() as standing:
            surface = await self._harness.warm(standing, key)
            await standing.observer.learn_rest()
            return await self._stopped(standing, attack, surface, rest, longest)

    async def _undisturbed(
        self, standing: Standing, attack: Attack, surface: Surface, *, rest: float | None = None
    ) -> Trial:
        """The peers meet a target that goes on; with ``rest`` they wait as long as if it was told to stop."""
        meter, wanted = Meter(), sum(map(asked, attack.scripts))

        async def tell() -> str:
            await self._rested(standing, rest or 0.0)
            return ""

        async def quiet() -> None:
            last, since = -1, trio.current_time()
            while meter.messages < wanted and trio.current_time() < since + QUIET:
                if meter.messages != last:
                    last, since = meter.messages, trio.current_time()
                await trio.sleep(LOOK)

        alone = tuple(replace(script, steps=script.steps[:-1]) for script in attack.scripts)  # not until it closes
        played = replace(attack, scripts=alone)
        transcripts = await self._inject(played, surface, meter, quiet, None if rest is None else tell)
        return Trial(attack, surface, transcripts, Observation(), meter.now())

    async def _stopped(
        self, standing: Standing, attack: Attack, surface: Surface, rest: float, longest: float
    ) -> Trial:
        running, meter = standing.running, Meter()
        stop: Stop | None = None
        seen = trio.Event()

        async def watch(began: float, signal: str, at_rest: bool) -> None:
            nonlocal stop
            ended = await _ended(running, began + longest)
            stop = Stop(signal, trio.current_time() - began, ended, at_rest)
            if not ended:
                running.kill()
            seen.set()

        async with trio.open_nursery() as nursery:

            async def tell() -> str:
                at_rest = not asks(attack) or await self._rested(standing, rest)
                began = trio.current_time()
                signal = running.stop()
                nursery.start_soon(watch, began, signal, at_rest)
                return f"the target was told to stop ({signal})"

            transcripts: tuple[Transcript, ...] = ()
            if attack.scripts:
                transcripts = await self._inject(attack, surface, meter, seen.wait, tell)
            else:
                await tell()
                await seen.wait()
        gone = running.exit()
        observation = Observation(exit=gone, log_tail=running.log_tail(), stop=stop)
        return Trial(attack, surface, transcripts, observation, meter.now())

    async def _rested(self, standing: Standing, rest: float) -> bool:
        """Give the target ``rest`` seconds for its answers, and wait until it is at rest."""
        await trio.sleep(rest)
        return await standing.observer.steady(REST)

    async def _inject(
        self,
        attack: Attack,
        surface: Surface,
        meter: Meter,
        held: _Held,
        tell: _Tell | None,
    ) -> tuple[Transcript, ...]:
        return await inject(
            attack,
            partial(connect_soon, surface.address),
            meter,
            credentials=self._harness.credentials,
            seconds=2 * LONGEST + 2 * REST + 60.0,
            held=held,
            tell=tell,
        )


async def _ended(running: Running, until: float) -> bool:
    """Whether every process has ended ``until`` then."""
    while running.pids():
        if trio.current_time() >= until:
            return False
        await trio.sleep(LOOK)
    return True
