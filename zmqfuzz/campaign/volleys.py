"""Many short attacks at once, when nothing has come of them one at a time: drawn, put together, and taken apart.

A volley is a sieve: what it shows is looked for again in ever smaller parts, and then attack by attack, so that what is
found is one attack (and those before it) as ever. Nothing is played here.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from zmqfuzz.brevity import plays
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.scale import planned
from zmqfuzz.script import Attack
from zmqfuzz.trial import Trial

__all__ = ["AT_ONCE", "DRAWING", "FIRST", "WORTH", "Magazine", "apart", "together"]

AT_ONCE = 96
"""Scripts of a volley that are played at a time, beside those that only wait."""

FIRST, MOST = 64, 1024
"""Attacks of a first volley, and at most; twice as many as the last one when that took less than QUICK seconds, and
four times as many when it took less than half of them: most of that was waiting for the last ones."""

QUICK = 0.8

DRAWING, DRAWN = 0.1, 32
"""Seconds of a run after which so many attacks are enough for a volley: some families take milliseconds for each."""

PEERS = 8
OCTETS = 48 * 1024
"""Of one attack of a volley, at most: what is larger is about volume, and is played alone."""

APART = 16
"""Drawn attacks that wait to be played alone, at most: further ones are left out, or nothing else would be played."""

FITTING = 4
"""Of so many drawn attacks, beside the first APART, one must fit into a volley; else it is fired as it is."""

WORTH = 8
"""Attacks of a volley, at least."""


class Magazine:
    """Attacks of one family at one door, drawn ahead: those that fit into a volley, and those to be played alone."""

    def __init__(
        self,
        guide: Guide,
        numbers: random.Random,
        size: int = FIRST,
        most: int = MOST,
        alone: deque[Attack] | None = None,
        drawing: float = math.inf,
    ) -> None:
        """``size`` of the first volley; ``most``: the target would take too long over more.

        ``alone``: those to be played alone that were drawn before, and that will be. ``drawing``: seconds after which
        DRAWN attacks are enough, unless the last volley took longer to be played.
        """
        self._guide = guide
        self._numbers = numbers
        self._most = min(most, MOST)
        self._alone = deque[Attack]() if alone is None else alone
        self._drawing = drawing
        self.size = min(size, self._most)

    def next(self) -> Attack:
        """An attack to be played alone."""
        return self._alone.popleft() if self._alone else self._guide.attack(self._numbers)

    @property
    def waiting(self) -> int:
        """Attacks that were drawn and are to be played alone."""
        return len(self._alone)

    def volley(self) -> tuple[Attack, ...]:
        """Attacks that can be played together, at most ``size``; none where the family draws few such."""
        found: list[Attack] = []
        drawn, deadline = 0, time.monotonic() + self._drawing
        while len(found) < self.size and drawn < APART + FITTING * len(found):
            if len(found) >= DRAWN and time.monotonic() > deadline:
                break
            attack = self._guide.attack(self._numbers)
            drawn += 1
            if _fits(attack):
                found.append(attack)
            elif len(self._alone) < APART:
                self._alone.append(attack)
        if len(found) < WORTH:
            self._alone.extend(found)
            return ()
        return tuple(found)

    def took(self, seconds: float) -> None:
        """The last volley took so long."""
        self._drawing = max(self._drawing, seconds)
        if seconds < QUICK:
            self.size = min(self._most, (4 if seconds < QUICK / 2 else 2) * self.size)
        elif seconds > 4 * QUICK:
            self.size = max(min(DRAWN // 2, self._most), self.size // 2)


def _fits(attack: Attack) -> bool:
    peers = sum(script.times for script in attack.scripts)
    return 0 < peers <= PEERS and planned(attack) <= OCTETS and all(map(plays, attack.scripts))


def together(attacks: Sequence[Attack]) -> Attack:
    """One attack of all their scripts, some of which are played at a time."""
    scripts = tuple(script for attack in attacks for script in attack.scripts)
    return Attack(scripts, attacks[0].strategy, attacks[0].seed, at_once=AT_ONCE)


def apart(trial: Trial, attacks: Sequence[Attack]) -> list[Trial]:
    """The trial of a volley as trials of its attacks: each with its own transcripts, all with the same observation."""
    trials = []
    place = 0
    for attack in attacks:
        end = place + sum(script.times for script in attack.scripts)
        seconds = trial.seconds / len(attacks)
        trials.append(replace(trial, attack=attack, transcripts=trial.transcripts[place:end], seconds=seconds))
        place = end
    return trials
