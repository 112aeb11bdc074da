"""What an earlier part of a campaign caught and had no time for: played again and triaged, before anything is drawn."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from zmqfuzz.campaign.docket import Docket
from zmqfuzz.campaign.events import Outcome, Plan, Waiting
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.campaign.search import Catch
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import UsageError
from zmqfuzz.harness import Harness

__all__ = ["Again", "waiting_from_plain", "waiting_to_plain"]

SHARE = 0.5
"""Of the budget, for what has waited; the rest waits on. All of it where nothing else is to be played."""

LARGEST = 256 * 1024
"""Octets of the attacks before a catch that are kept with it; where there are more, none is."""


class Again:
    """Settles what has waited; ``left``: what still waits."""

    def __init__(self, harness: Harness, plan: Plan, known: Known, docket: Docket, outcome: Outcome) -> None:
        self._harness = harness
        self._plan = plan
        self._known = known
        self._docket = docket
        self._outcome = outcome
        self.left = list(plan.again)

    async def settle(self, lanes: Sequence[Lane], deadline: float) -> None:
        """One after the other, while there is time; what fits no door of the target is forgotten."""
        places = {(lane.surface.key, lane.family.name): lane for lane in lanes}
        doors = {lane.surface.key: lane for lane in lanes}
        end = deadline if self._plan.settle else deadline - (1 - SHARE) * self._plan.seconds
        while self.left and time.monotonic() < end:
            one = self.left[0]
            lane = places.get((one.door, one.family)) or doors.get(one.door)
            if lane is not None and one.code in invariants():
                await self._settled(lane, one)
            del self.left[0]

    async def _settled(self, lane: Lane, one: Waiting) -> None:
        entry, key = invariants()[one.code], lane.surface.key
        played = (*one.history, one.attack) if self._harness.target.restartable else (one.attack,)
        if self._harness.target.restartable:
            trial = (await self._harness.fresh_trials(played, key))[-1]
        else:
            trial = await self._harness.trial(one.attack, key, ask=True)
        self._outcome.cases[(key, lane.family.name)] += 1
        violation = (
            entry.violation("seen before; examining") if entry.examines else entry.judge(trial, self._harness.limits)
        )
        if violation is None:
            self._outcome.doubts.append(f"{key}: {one.code}? seen once, then not when it was played again")
        elif not self._known.knows(lane, violation, one.attack, trial):
            await self._docket.settle(lane, Catch(violation, one.attack, trial, one.attack), one.history)


def waiting_to_plain(one: Waiting) -> dict[str, Any]:
    """For JSON."""
    history = [attack_to_lines(attack, {}) for attack in one.history]
    if sum(len(line) for lines in history for line in lines) > LARGEST:
        history = []
    return {
        "door": one.door,
        "family": one.family,
        "code": one.code,
        "said": one.said,
        "attack": attack_to_lines(one.attack, {}),
        "history": history,
    }


def waiting_from_plain(plain: Mapping[str, Any]) -> Waiting | None:
    """What :func:`waiting_to_plain` wrote; None: it cannot be understood."""
    try:
        return Waiting(
            str(plain["door"]),
            str(plain["family"]),
            str(plain["code"]),
            attack_from_lines(plain["attack"])[0],
            tuple(attack_from_lines(lines)[0] for lines in plain["history"]),
            str(plain["said"]),
        )
    except (UsageError, KeyError, TypeError):
        return None
