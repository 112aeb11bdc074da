"""The beginning of a run: how honest clients are answered at each door, and which family is to attack which of them."""

from __future__ import annotations

import random
from collections.abc import Callable

from zmqfuzz.campaign.claims import claim_cover, open_doors
from zmqfuzz.campaign.events import Calibrated, Event, Outcome, Plan
from zmqfuzz.campaign.known import Lane
from zmqfuzz.campaign.order import in_order
from zmqfuzz.catalogue import Situation
from zmqfuzz.errors import NothingSelected, TargetServesNobody
from zmqfuzz.harness import Harness
from zmqfuzz.probe import UNASKED
from zmqfuzz.standing import Standing
from zmqfuzz.trial import Surface

__all__ = ["Opening"]


class Opening:
    """Meets the doors of a target. ``served``: those at which an honest client was."""

    def __init__(self, harness: Harness, plan: Plan, outcome: Outcome, tell: Callable[[Event], None]) -> None:
        self._harness = harness
        self._plan = plan
        self._outcome = outcome
        self._tell = tell
        self.served: list[Surface] = []

    async def lanes(self, chance: random.Random, *, more: bool) -> list[Lane]:
        """A lane for each family at each door that it fits, in the order of their turns.

        ``more``: something is looked at without a family. Raises NothingSelected, TargetServesNobody.
        """
        standing = await self._harness.standing()
        surfaces = self._harness.surfaces(standing)
        self._outcome.surfaces = list(surfaces)
        lanes = []
        before = standing.observer.sample()
        for surface in surfaces:
            result = await self._harness.calibrate(surface.key)
            self._tell(Calibrated(surface, result.level, result.ok))
            if not result.ok:
                said = f"{surface.key}: an honest client was not served before any attack ({result.detail})"
                self._outcome.doubts.append(said)
                continue
            self.served.append(surface)
            if result.level == "handshake":
                self._outcome.not_covered.append(
                    f"{surface.key}: only the handshake of an honest client was checked, not the application"
                    " (give --probe)"
                )
                if surface.socket_type == "REP" and surface.side == "bind":
                    self._outcome.doubts.append(
                        f"{surface.key}: it answered none of our requests, which a REP owes to each (RFC 28), and after"
                        " one without an answer it serves nobody (give --probe with a request that it answers)"
                    )
            elif result.level == UNASKED:
                self._outcome.doubts.append(f"{surface.key}: no honest client asked, {result.detail} (give --probe)")
            lanes += [Lane(surface, family) for family in self._plan.families if family.applies(surface)]
            for family in self._plan.families:
                self._outcome.reach.expect(family, self.situation(surface, standing))
        for lane in lanes:
            kept = [attack for key, attack in self._plan.corpus if key == lane.surface.key]
            lane.alone.extend(attack for attack in kept if attack.strategy == lane.family.name)
        after = standing.observer.sample()
        if before and after and after.threads < before.threads:
            self._harness.renew()  # to be asked in vain has cost it a worker already
        self._outcome.not_covered += open_doors(surfaces, self._harness.credentials)
        unused = self._harness.credentials.unused([surface.mechanism for surface in surfaces])
        if unused and lanes:
            self._outcome.doubts.append(unused)
        if not lanes and self._outcome.doubts:
            raise TargetServesNobody(
                f"Inconclusive, nothing was attacked: {'; '.join(self._outcome.doubts)}. Correct the target or --probe."
            )
        if not lanes and not more:
            doors = ", ".join(surface.key for surface in surfaces)
            raise NothingSelected(
                f"Nothing was selected to run that fits the target's doors ({doors}); see `zmqfuzz list`."
            )
        harness, families = self._harness, self._plan.families
        claim_cover(self._outcome, standing.observer, harness.limits, harness.budget, families)
        chance.shuffle(lanes)
        return in_order(lanes, harness.limits)

    def situation(self, surface: Surface, standing: Standing) -> Situation:
        """What a family draws for."""
        seeds = (*self._plan.seeds, *self._harness.asking.heard[surface.key].messages)
        budget, room = self._harness.budget, standing.observer.room()
        return Situation(surface, self._harness.limits, budget, seeds, self._plan.payloads, room, len(self._plan.seeds))
