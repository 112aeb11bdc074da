"""Does the target come to rest when the peers have gone? Looked at after each slice, which is free where it does."""

from __future__ import annotations

import trio

from zmqfuzz.campaign.events import Suspected, Unconfirmed
from zmqfuzz.campaign.looks import TRIAGE, Looks
from zmqfuzz.catalogue import invariants
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface

__all__ = ["Rests"]

SPINS = "ZF105"

BUSY = 1.5
"""Seconds in which a thread ran at every look, after which it is looked into; and on a fresh process."""

FEW = 30
"""Attacks that are played again first, to find out which of them it was."""

CLEARED = 2
"""Times that it came to nothing, after which it is not looked into any more: the program is never at rest."""


class Rests(Looks):
    """Glances at the process that runs."""

    name, about = "rest", "whether it comes to rest"
    _cleared = 0
    _seen = (0, 0)

    async def glance(self, surface: Surface) -> None:
        """Look, and where a thread never rests, find out since which attack. Raises TargetVanished."""
        standing = await self._harness.standing()
        told = any(finding.code == SPINS for finding in self._outcome.findings)
        if told or self._cleared >= CLEARED or not standing.observer.sees or not self._harness.target.restartable:
            return
        starts, count = self._seen
        history = standing.history[count if starts == self._harness.starts else 0 :]
        self._seen = (self._harness.starts, len(standing.history))
        self._outcome.checks[SPINS] += 1
        if await standing.observer.idle(BUSY) or not standing.usable:
            return
        said = "a thread never rests, with nobody connected; looking for the attack"
        self._tell(Suspected(surface, self.name, SPINS, said))
        why = "not again in the time there was"
        with trio.move_on_after(max(TRIAGE, self._plan.seconds)):
            attack = await self._culprit([attack for attack in history if attack.scripts], surface.key)
            if attack is None:
                why = "not again, by the attacks that were played before"
            else:
                confirmed = await self._triage.examine(invariants()[SPINS], attack, surface.key, None)
                if confirmed.violation is not None:
                    self._found(confirmed, surface)
                    return
                why = "it came to rest, or does not beside honest peers that ask for as much"
        self._cleared += 1
        self._harness.renew()
        self._tell(Unconfirmed(surface, self.name, SPINS, why))

    async def _culprit(self, attacks: list[Attack], key: str) -> Attack | None:
        """The first of the attacks after which a fresh process does not come to rest; the latest ones first."""
        for part in (attacks[-FEW:], attacks[:-FEW]):
            async with self._harness.examined() as standing:
                await self._harness.warm(standing, key)
                if not await standing.observer.idle(BUSY):
                    return None
                for attack in part:
                    await self._harness.play(standing, attack, key, ask=False)
                    if not standing.usable:
                        break
                    if not await standing.observer.idle(BUSY):
                        return attack
        return None

    async def _door(self, surface: Surface) -> None:
        """Nothing is looked at when a run ends."""
