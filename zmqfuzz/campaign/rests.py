"""Does the target come to rest when the peers have gone? Seen after each slice, which is free where it does.

What is seen waits until other families have had their turns: to find the attack takes long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import trio

from zmqfuzz.campaign.events import Suspected, Unconfirmed
from zmqfuzz.campaign.looks import Looker
from zmqfuzz.catalogue import invariants
from zmqfuzz.scale import fewer
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

__all__ = ["Rests"]

REST, SPINS = "rest", "ZF105"

BUSY = 1.5
"""Seconds in which a thread ran at every look, after which it is looked into; and on a fresh process."""

FEW = 30
"""Attacks that are played again first, to find out which of them it was."""

MOST = 2
"""Times that it is looked into, at most: a program that came to nothing twice is never at rest."""

MESSAGES, TOGETHER = 300, 32
"""Of an attack that is looked into, and scripts of it: of more a program may be at work for long, and honest peers are
made to wait."""

SHARE, SHORTEST = 0.5, 45.0
"""Share of the budget, and seconds at least, for one of these."""


class Rests(Looker):
    """Glances at the process that runs."""

    def __init__(self, *seen: Any) -> None:
        super().__init__(*seen)
        self._waiting: list[tuple[Surface, tuple[Attack, ...]]] = []
        self._seen = (0, 0)

    async def glance(self, surface: Surface) -> None:
        """See whether a thread never rests since the last glance. Raises TargetVanished."""
        if len(self._waiting) >= MOST or not self._harness.target.restartable:
            return
        standing = await self._harness.standing()
        if not standing.observer.sees:
            return
        starts, count = self._seen
        history = standing.history[count if starts == self._harness.starts else 0 :]
        self._seen = (self._harness.starts, len(standing.history))
        self._outcome.checks[SPINS] += 1
        if await standing.observer.idle(BUSY) or not standing.usable:
            return
        said = "a thread never rests, with nobody connected. Looked into later."
        self._tell(Suspected(surface, REST, SPINS, said))
        self._waiting.append((surface, tuple(attack for attack in history if attack.scripts)))
        self._harness.renew()

    async def settle(self) -> None:
        """Find out since which attack a thread never rested, for each time that it was seen; late, if must be."""
        told: set[str] = set()
        for surface, attacks in self._waiting:
            if surface.key not in told and await self._examine(surface, attacks):
                told.add(surface.key)

    async def _examine(self, surface: Surface, attacks: tuple[Attack, ...]) -> bool:
        """Whether an attack does it on fresh processes, too."""
        self._tell(Suspected(surface, REST, SPINS, "a thread did not rest; looking for the attack"))
        why = "not again in the time there was"
        with trio.move_on_after(max(SHORTEST, SHARE * self._plan.seconds)):
            attack = await self._culprit(list(_small(attacks)), surface.key)
            if attack is None:
                why = "not again, by the attacks that were played before"
            else:
                confirmed = await self._triage.examine(invariants()[SPINS], attack, surface.key, None)
                if confirmed.violation is not None:
                    self._found(confirmed, surface)
                    return True
                why = "it came to rest, or does not beside honest peers that ask for as much"
        self._harness.renew()
        self._tell(Unconfirmed(surface, REST, SPINS, why))
        return False

    async def _culprit(self, attacks: list[Attack], key: str) -> Attack | None:
        """The first of the attacks after which a fresh process does not come to rest; the latest ones first."""
        for part in (attacks[-FEW:], attacks[:-FEW]):
            async with self._harness.examined() as standing:
                await self._harness.warm(standing, key)
                if not await standing.observer.idle(BUSY):
                    return None
                for attack in part:
                    await self._harness.play(standing, attack, key, ask=None)
                    if not standing.usable:
                        break
                    if not await standing.observer.idle(BUSY):
                        return attack
        return None


def _small(attacks: Sequence[Attack]) -> Iterator[Attack]:
    """The attacks with few messages each, many scripts in parts."""
    for attack in attacks:
        for start in range(0, len(attack.scripts), TOGETHER):
            part = fewer(replace(attack, scripts=attack.scripts[start : start + TOGETHER]), MESSAGES)
            if part is not None:
                yield part
