"""What waits in the target, for peers that do not read and for itself: looked at at each door, before the run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import trio

from zmqfuzz.backlog import BACKLOG, WAYS, enough, unlimited, waiting
from zmqfuzz.backlogger import Backlogger, Sounded
from zmqfuzz.budget import MIB
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import TargetVanished
from zmqfuzz.harness import Harness
from zmqfuzz.trial import Surface, Trial

__all__ = ["Backlogs"]

UNREAD, INTAKE = "ZF210", "ZF211"

SHARE, MOST = 0.15, 8.0
"""Of the budget, and seconds for each door, that are kept for this."""

SHORTEST = 20.0
"""Seconds of a run below which there is no time for this, unless it was asked for by name."""

TRIAGE = 60.0

_WORDS = {
    UNREAD: "much is kept for a peer that does not read; examining",
    INTAKE: "more is taken than is worked off; examining",
}


class Backlogs:
    """Looks at each door once, and has a breach examined."""

    def __init__(
        self, harness: Harness, plan: Plan, triage: Triage, outcome: Outcome, tell: Callable[[Event], None]
    ) -> None:
        self._harness = harness
        self._plan = plan
        self._triage = triage
        self._outcome = outcome
        self._tell = tell
        self._backlogger = Backlogger(harness)

    @property
    def named(self) -> bool:
        """Whether it was asked for by name."""
        return BACKLOG in self._plan.looks and not self._plan.families

    @property
    def wanted(self) -> bool:
        """Whether it is looked at, in the time there is."""
        return BACKLOG in self._plan.looks and (self.named or self._plan.cases is None)

    def kept(self, doors: int) -> float:
        """Seconds of the budget to be left for it."""
        if not self.wanted or not self._harness.target.restartable or self._short:
            return 0.0
        return min(SHARE * self._plan.seconds, MOST * doors)

    @property
    def _short(self) -> bool:
        return self._plan.seconds < SHORTEST and not self.named

    async def look(self, surfaces: Sequence[Surface], deadline: float) -> None:
        """Look at each door, until the deadline, and where it was asked for by name in any case."""
        if not self.wanted:
            return
        if not self._harness.target.restartable:
            self._outcome.not_covered.append("what waits in it: it cannot be started afresh")
            return
        for surface in surfaces:
            if surface.side != "bind":
                self._not_covered(surface, "it connects to us")
            elif not surface.known:
                self._not_covered(surface, "its mechanism asks for what was not given")
            elif self._short or (time.monotonic() > deadline and not self.named):
                self._not_covered(surface, "no time was left (give --for longer)")
            else:
                await self._door(surface)

    def _not_covered(self, surface: Surface, why: str) -> None:
        self._outcome.not_covered.append(f"{surface.key}: what waits in it: {why}")

    async def _door(self, surface: Surface) -> None:
        try:
            sounded = await self._backlogger.sound(surface.key)
            await self._outward(surface, sounded)
            await self._inward(surface, sounded)
        except TargetVanished as error:
            self._not_covered(surface, str(error))

    async def _outward(self, surface: Surface, sounded: Sounded | None) -> None:
        if sounded is None:
            self._not_covered(surface, "it was not seen to send anything")
            return
        if not sounded.tells:
            self._not_covered(surface, f"it sends {sounded.rate:,.0f} messages a second, too few to tell a limit")
            return
        for way in WAYS:
            trial = await self._backlogger.unread(surface.key, sounded, way)
            self._outcome.cases[(surface.key, BACKLOG)] += 1
            kept = trial.observation.kept
            if kept is None or trial.observation.exit is not None:
                self._not_covered(surface, "there is no process to watch" if kept is None else "it ended meanwhile")
                return
            if unlimited(kept):
                if await self._examined(surface, trial, UNREAD):
                    return
            elif kept.grown > self._harness.limits.hard_cap / 2:
                said = (
                    f"{kept.grown / MIB:,.0f} MiB for {waiting(kept):,} messages or more (promise less with --memory)"
                )
                self._not_covered(surface, f"it kept {said}")
                return
            self._outcome.checks[UNREAD] += 1

    async def _inward(self, surface: Surface, sounded: Sounded | None) -> None:
        if surface.socket_type in ("PUSH", "PUB"):
            return
        trial = await self._backlogger.taken(surface.key, sounded)
        self._outcome.cases[(surface.key, BACKLOG)] += 1
        if trial.observation.baseline is None or trial.observation.exit is not None:
            return
        kept = trial.observation.kept
        if kept is None or kept.worked is None or not enough(kept) or kept.worked < max(1.0, kept.seconds):
            self._outcome.checks[INTAKE] += 1
            return
        await self._examined(surface, trial, INTAKE)

    async def _examined(self, surface: Surface, trial: Trial, code: str) -> bool:
        """Whether an examination shows it, too."""
        self._tell(Suspected(surface, BACKLOG, code, _WORDS[code]))
        doubts = ["seen, and not confirmed in the time there was (give --for longer)"]
        with trio.move_on_after(max(TRIAGE, self._plan.seconds)):
            await self._harness.look_inside()
            confirmed = await self._triage.examine(invariants()[code], trial.attack, surface.key, None)
            if confirmed.violation is not None:
                told = self._triage.stopped(confirmed, surface)
                if told.finding is not None and told.trial is not None:
                    self._outcome.findings.append(told.finding)
                    self._outcome.checks[code] += 1
                    self._tell(Found(told.finding, told.trial, told.control))
                return True
            doubts = list(confirmed.doubts)
            if confirmed.shown:
                doubts.append(f"seen once, then {confirmed.shown} of {confirmed.tried}")
        reason = doubts[-1] if doubts else "examined: it levels off, or a peer that reads is kept as much for"
        if doubts:
            self._outcome.doubts.append(f"{surface.key}: {code}? {reason}")
        self._tell(Unconfirmed(surface, BACKLOG, code, reason))
        return False
