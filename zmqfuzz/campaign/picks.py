"""Attacks that are repeated together at a look at what stays behind: some by chance, and those that held most.

A program that keeps a little of everything it is sent shows no single suspect.
"""

from __future__ import annotations

import random

from zmqfuzz.campaign.known import Lane
from zmqfuzz.scale import planned, units
from zmqfuzz.trial import Reached, Trial

__all__ = ["Picks"]

PICKS = 2
"""Attacks of each family, taken by chance, that are repeated at the next look at what stays behind; beside them the one
of the most units, for what is kept of each."""

MOST_TOGETHER, MOST_IN_TURN = 8, 3
"""Attacks that are repeated together; those of a target that connects to us, which meets one peer after another."""

LONGEST = 3.75
"""Seconds of an attack, at most: it is repeated."""


class Picks:
    """What was picked of each lane, and what waits at each door."""

    def __init__(self, numbers: random.Random) -> None:
        self._numbers = numbers
        self._waiting: dict[str, list[Trial]] = {}
        self._first: dict[str, list[Trial]] = {}

    def pick(self, lane: Lane, trial: Trial) -> None:
        """Take this attack, by chance, for the next look."""
        lane.played += 1
        own = trial.surface.side == "connect"  # its one connection may just have lost its peer
        stuck = trial.observation.abandoned > own  # ZF208 looks at it, and it would hide what the others leave
        slow = trial.seconds > LONGEST
        if trial.reached >= Reached.HANDSHAKE and planned(trial.attack) and not stuck and not slow:
            if len(lane.picked) < PICKS:
                lane.picked.append(trial)
            elif (place := self._numbers.randrange(lane.played)) < PICKS:
                lane.picked[place] = trial
            if lane.busiest is None or units(trial.attack) > units(lane.busiest.attack):
                lane.busiest = trial

    def end_of_slice(self, lane: Lane) -> None:
        """What was picked of the lane waits for the next look at its door."""
        picked = [*lane.picked, *([lane.busiest] if lane.busiest is not None else [])]
        waiting = self._first if lane.family.stays else self._waiting
        waiting.setdefault(lane.surface.key, []).extend({id(trial): trial for trial in picked}.values())
        lane.picked, lane.busiest, lane.played = [], None, 0

    def wait(self, lane: Lane) -> bool:
        """Whether there are attacks at this door that were not repeated yet."""
        return bool(self._first.get(lane.surface.key) or self._waiting.get(lane.surface.key))

    def take(self, lane: Lane) -> list[Trial]:
        """Those of the next look: of a family that is there for it, else those of which half held most meanwhile."""
        together = MOST_TOGETHER if lane.surface.side == "bind" else MOST_IN_TURN
        if first := self._first.pop(lane.surface.key, []):
            return first[-together:]
        waiting = self._waiting.pop(lane.surface.key, [])
        self._numbers.shuffle(waiting)
        waiting.sort(key=lambda trial: trial.held_growth, reverse=True)
        heavy, others = waiting[: together // 2 + 1], waiting[together // 2 + 1 :]
        self._numbers.shuffle(others)
        waiting = [*heavy, *others]
        self._waiting[lane.surface.key] = waiting[together:][: 2 * MOST_TOGETHER]
        return waiting[:together]
