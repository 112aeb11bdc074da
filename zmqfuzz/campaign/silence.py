"""Are others served while peers hold connections? When that is asked on purpose, and what a trial says of it."""

from __future__ import annotations

import random
from collections import Counter

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.finding import Violation
from zmqfuzz.holding import silent_peers
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface, Trial

__all__ = ["Silence", "unserved"]

SILENT = 6
"""Slices of a door at whose end silent peers stay while an honest client is asked, after which chance is enough."""

MOST_CLEARED = 4
"""Examinations that came out clean, after which a door is not examined for this any more."""

UNSERVED = "an honest client was not served while connections were held; examining"


class Silence:
    """What is played at the end of a slice, when an honest client is asked anyway."""

    def __init__(self, numbers: random.Random) -> None:
        self._numbers = numbers
        self._asked: Counter[str] = Counter()

    def next(self, surface: Surface) -> Attack:
        """Nobody, or at a door's first slices peers that are silent and stay."""
        self._asked[surface.key] += 1
        if surface.side != "bind" or self._asked[surface.key] > SILENT:
            return Attack(())
        return silent_peers(surface, self._numbers)


def unserved(trial: Trial, limits: Limits, cleared: Counter[tuple[str, str]]) -> tuple[Invariant, Violation] | None:
    """The invariant that a trial makes suspect, as an honest client was not served beside it, and how that is told."""
    for entry in invariants().values():
        if entry.examines != "beside" or entry.suspects is None:
            continue
        if cleared[trial.surface.key, entry.code] < MOST_CLEARED and entry.suspects(trial, limits):
            return entry, entry.violation(UNSERVED)
    return None
