"""What a target takes of floods, where it promises a rate: looked at at each door, before the run ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from zmqfuzz.campaign.events import Suspected, Unconfirmed
from zmqfuzz.campaign.looks import NO_TIME, Looker
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import TargetVanished
from zmqfuzz.rater import Rater
from zmqfuzz.rating import RATING, Tally, allowed, burst
from zmqfuzz.trial import Surface, Trial

__all__ = ["Rates"]

KEPT = "ZF501"

DECLARED_SHARE, DECLARED_MOST = 0.4, 15.0
"""Of the budget, and seconds for each door at most, that are kept for this."""

LATE = 60.0
"""Seconds by which a door may be looked at late."""

BUSY, NEAR = 0.7, 0.8
"""Share of a processor from which a target is at work all the time, and of the rate below which it is far from that."""


class Rates(Looker):
    """Looks at each door once, by one peer and by many, and has a breach examined."""

    about = "the rate"

    def __init__(self, *seen: Any) -> None:
        super().__init__(*seen)
        self._rater = Rater(self._harness, self._plan.seeds)

    @property
    def wanted(self) -> bool:
        """Whether a rate is promised, and may be looked at."""
        return RATING in self._plan.looks and self._harness.limits.rate is not None

    def kept(self, doors: int) -> float:
        """Seconds of the budget to be left for it."""
        if not self.wanted or not self._harness.target.restartable:
            return 0.0
        return min(DECLARED_SHARE * self._plan.seconds, DECLARED_MOST * doors)

    async def look(self, surfaces: Sequence[Surface], deadline: float) -> None:
        """Look at each door that takes messages."""
        if not self.wanted:
            return
        if not self._harness.target.restartable:
            self._outcome.not_covered.append("the rate: it was not started by zmqfuzz, and cannot be started afresh")
            return
        for surface in surfaces:
            if surface.side != "bind":
                self._not_covered(surface, "it connects to us")
            elif not surface.known:
                self._not_covered(surface, "its mechanism asks for what was not given")
            elif surface.socket_type in ("PUSH", "PUB"):
                self._not_covered(surface, "its socket takes no messages")
            elif time.monotonic() > deadline + max(LATE, self._plan.seconds):
                self._not_covered(surface, NO_TIME)
            else:
                await self._door(surface)

    async def _door(self, surface: Surface) -> None:
        try:
            counting, _ = await self._rater.learn(surface.key)
            self._outcome.cases[(surface.key, RATING)] += 1
            if counting.why:
                self._outcome.doubts.append(f"{surface.key}: {KEPT}? {counting.why}")
                return
            for attack in self._rater.floods(surface, counting):
                trial = await self._rater.flooded(attack, surface.key, counting)
                self._outcome.cases[(surface.key, RATING)] += 1
                if not await self._kept(surface, trial, counting.tally):
                    return
        except TargetVanished as error:
            self._not_covered(surface, str(error))

    async def _kept(self, surface: Surface, trial: Trial, tally: Tally) -> bool:
        """Judge one flood; False when a finding ends the look."""
        limits, flow = self._harness.limits, trial.observation.flow
        assert flow is not None
        if trial.observation.exit is not None:
            self._outcome.doubts.append(f"{surface.key}: {KEPT}? the target did not survive honest messages")
            return False
        if flow.taken > allowed(limits, flow.seconds):
            return await self._examined(surface, trial)
        unlike = flow.taken + flow.other > allowed(limits, flow.seconds) and (tally.varies or not flow.taken)
        if unlike:
            said = f"its answers differ: {flow.other} of a flood may be errors, or not (--counter CMD counts otherwise)"
            self._outcome.doubts.append(f"{surface.key}: {KEPT}? {said}")
            return True
        at_most = burst(limits) + (limits.rate or 0.0) * flow.seconds
        if flow.taken < NEAR * at_most and flow.cpu > BUSY * flow.seconds and not flow.cut:
            self._not_covered(surface, f"it was at work all the time, and took {flow.taken / flow.seconds:,.0f}/s only")
            return True
        self._outcome.checks[KEPT] += 1
        self._outcome.envelope.flows.append(flow)
        return True

    async def _examined(self, surface: Surface, trial: Trial) -> bool:
        said = "a flood of honest messages was taken beyond the rate; examining"
        self._tell(Suspected(surface, RATING, KEPT, said))
        confirmed = await self._triage.examine(invariants()[KEPT], trial.attack, surface.key, None)
        if confirmed.violation is not None:
            self._found(confirmed, surface)
            return False
        reason = confirmed.doubts[-1] if confirmed.doubts else f"seen once, then {confirmed.shown} of {confirmed.tried}"
        self._outcome.doubts.append(f"{surface.key}: {KEPT}? {reason}")
        self._tell(Unconfirmed(surface, RATING, KEPT, reason))
        return True
