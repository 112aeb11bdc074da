"""What the fast driver plays next of one family at one door: drawn by chance, or with an aim.

While a stage of ZMTP in which the family acts has not been reached at the door, most attacks are the first of some
draws that goes there: in 300 s 94 to 99 % of the reachable cells of libzmq's 66 kinds of door are reached, by chance
alone 78 % (``benchmarks/reach.py``). Pure: nothing is played here.

Measured, and left out because no weakness was reliably found sooner: mutants of attacks after which the target did
something new (twice as many different reactions in 400 attacks; a weakness behind three messages found in 1 of 16 runs,
by chance in 2 of 10), and ``hypothesis.target`` on memory held, processor time and latency (no higher scores).
"""

from __future__ import annotations

import random

from zmqfuzz.campaign.reach import Reach, planned
from zmqfuzz.catalogue import Family, Situation
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.script import Attack
from zmqfuzz.trial import Stage

__all__ = ["Guide"]

PLAIN = (0.0, 0.0, 0.5, 0.9)
"""Shares of simplest choices that attacks are drawn with: one thing goes wrong in some, everything in others."""

AIMED = 0.75
"""Share of attacks with an aim, while there is one."""

TRIES = 64
"""Draws that may miss the aim before the last of them is played as it is."""


class Guide:
    """Draws the attacks of ``family``; ``reach`` says where it has acted (None: nothing is aimed at)."""

    def __init__(self, family: Family, situation: Situation, reach: Reach | None = None) -> None:
        self._family = family
        self._situation = situation
        self._reach = reach

    def attack(self, numbers: random.Random) -> Attack:
        """The next attack. A seed of ``numbers`` repeats those without an aim, whatever the target did."""
        numbers = random.Random(numbers.getrandbits(64))
        wanted = self._reach.wanted(self._family, self._situation.surface) if self._reach is not None else None
        if wanted and numbers.random() < AIMED:
            return self._aimed(numbers, wanted)
        return self._drawn(numbers)

    def _aimed(self, numbers: random.Random, wanted: frozenset[Stage]) -> Attack:
        for _ in range(TRIES):
            attack = self._drawn(numbers)
            if planned(attack.scripts, self._situation.surface) & wanted:
                break
        return attack

    def _drawn(self, numbers: random.Random) -> Attack:
        own = numbers.getrandbits(32)
        scripts = self._family.draw(RandomDraw(own, numbers.choice(PLAIN)), self._situation)
        return Attack(scripts, strategy=self._family.name, seed=own)
