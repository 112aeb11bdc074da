"""What looks at doors, before a run ends, have in common: when, and how a suspicion becomes a finding."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import trio

from zmqfuzz.campaign.confirmed import Confirmed
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import TargetVanished
from zmqfuzz.harness import Harness
from zmqfuzz.trial import Surface, Trial

__all__ = ["NO_TIME", "Looker", "Looks"]

SHARE, MOST = 0.12, 8.0
"""Of the budget, and seconds for each door, that are kept for one look."""

NO_TIME = "no time was left (give --for longer)"

SHORTEST = 20.0
"""Seconds of a run below which there is no time for this, unless it was asked for by name."""

TRIAGE = 120.0
"""Seconds of one examination, at most, or those of the run where they are more."""


class Looker:
    """What all that look at doors have: the run they belong to, and how what an examination showed is told."""

    about = ""
    """What it is about, in words."""

    def __init__(
        self, harness: Harness, plan: Plan, triage: Triage, outcome: Outcome, tell: Callable[[Event], None]
    ) -> None:
        self._harness = harness
        self._plan = plan
        self._triage = triage
        self._outcome = outcome
        self._tell = tell

    def _not_covered(self, surface: Surface, why: str) -> None:
        self._outcome.not_covered.append(f"{surface.key}: {self.about}: {why}")

    def _found(self, confirmed: Confirmed, surface: Surface) -> None:
        told = self._triage.stopped(confirmed, surface)
        if told.finding is not None and told.trial is not None:
            self._outcome.findings.append(told.finding)
            self._outcome.checks[told.finding.code] += 1
            self._tell(Found(told.finding, told.trial, told.control, told.evidence))


class Looks(Looker, ABC):
    """Looks at each door once, on fresh processes, and has a breach examined."""

    name = ""
    """By what it is chosen."""

    @property
    def named(self) -> bool:
        """Whether it was asked for by name."""
        return self.name in self._plan.looks and not self._plan.families

    @property
    def insists(self) -> bool:
        """Whether it is looked at however late it is: it was asked for, or promised."""
        return self.named

    @property
    def wanted(self) -> bool:
        """Whether it is looked at, in the time there is."""
        return self.name in self._plan.looks and (self.insists or self._plan.cases is None)

    def kept(self, doors: int) -> float:
        """Seconds of the budget to be left for it."""
        if not self.wanted or not self._harness.target.restartable or self._short:
            return 0.0
        return min(SHARE * self._plan.seconds, MOST * doors)

    @property
    def _short(self) -> bool:
        return self._plan.seconds < SHORTEST and not self.insists

    async def look(self, surfaces: Sequence[Surface], deadline: float) -> None:
        """Look at each door, until the deadline, or in any case where it insists."""
        if not self.wanted:
            return
        if not self._harness.target.restartable:
            self._outcome.not_covered.append(f"{self.about}: it cannot be started afresh")
            return
        for surface in surfaces:
            if surface.side != "bind":
                self._not_covered(surface, "it connects to us")
            elif not surface.known:
                self._not_covered(surface, "its mechanism asks for what was not given")
            elif self._short or (time.monotonic() > deadline and not self.insists):
                self._not_covered(surface, NO_TIME)
            else:
                try:
                    await self._door(surface)
                except TargetVanished as error:
                    self._not_covered(surface, str(error))

    @abstractmethod
    async def _door(self, surface: Surface) -> None:
        """Look at one door. Raises TargetVanished."""

    async def _examined(self, surface: Surface, trial: Trial, code: str, said: str, cleared: str) -> bool:
        """Whether an examination shows it, too; ``said``: why there is one, ``cleared``: what it came to, else."""
        self._tell(Suspected(surface, self.name, code, said))
        doubts = ["seen, and not confirmed in the time there was (give --for longer)"]
        with trio.move_on_after(max(TRIAGE, self._plan.seconds)):
            await self._harness.look_inside()
            confirmed = await self._triage.examine(invariants()[code], trial.attack, surface.key, None)
            if confirmed.violation is not None:
                self._found(confirmed, surface)
                return True
            doubts = list(confirmed.doubts)
            if confirmed.shown:
                doubts.append(f"seen once, then {confirmed.shown} of {confirmed.tried}")
        if doubts:
            self._outcome.doubts.append(f"{surface.key}: {code}? {doubts[-1]}")
        else:
            self._outcome.checks[code] += 1
        self._tell(Unconfirmed(surface, self.name, code, doubts[-1] if doubts else f"examined: {cleared}"))
        return False
