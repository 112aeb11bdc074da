"""How a target ends: told to stop at the end of a run, with nobody connected and with peers that make it wait.

One look at a door is two processes: alone, and beside all the peers at once. What was promised and not seen to be
kept is examined peer by peer, so that the finding is the simplest one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import trio

from zmqfuzz.campaign.events import Suspected, Unconfirmed
from zmqfuzz.campaign.looks import NO_TIME, Looker
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import TargetVanished
from zmqfuzz.script import Script
from zmqfuzz.stopper import LONGEST, Look, Stopper
from zmqfuzz.stopping import SLOW, STOPPING, allowed, asked, together
from zmqfuzz.trial import Stop, Surface, Trial
from zmqfuzz.zmtp.patterns import ONE_PEER

__all__ = ["Shutdown"]

ENDS, DELIVERS = "ZF321", "ZF322"

SHARE, DECLARED_SHARE = 0.1, 0.3
"""Of the budget, kept for looks at how the target ends: where nothing is promised, and where something is."""

MOST, DECLARED_MOST = 5.0, 12.0
"""Seconds that are kept for each door, at most."""

LATE, SHORTEST_LATE = 1.0, 120.0
"""Share of the budget, and seconds in any case, by which a promise may be looked at late."""

TRIAGE, SHORTEST = 0.75, 60.0
"""For the examinations of one promise at a door: a share of the budget, and seconds that there are in any case."""


class Shutdown(Looker):
    """Looks at each door once, and has what was promised examined."""

    about = "how it ends"

    def __init__(self, *seen: Any) -> None:
        super().__init__(*seen)
        self._stopper = Stopper(self._harness)

    @property
    def promised(self) -> bool:
        """Whether the target promises anything about its end: that is looked at before what is only likely."""
        return self._harness.limits.linger is not None or self._harness.limits.delivers is not None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to look at."""
        return self._plan.stop == "always" or (self._plan.stop == "promised" and self.promised)

    def kept(self, doors: int) -> float:
        """Seconds of the budget to be left for it."""
        if not self.wanted or not self._harness.target.restartable:
            return 0.0
        share, most = (DECLARED_SHARE, DECLARED_MOST) if self.promised else (SHARE, MOST)
        return min(share * self._plan.seconds, most * doors)

    async def look(self, surfaces: Sequence[Surface], deadline: float) -> None:
        """Look at each door; where nothing is promised only before the deadline."""
        if not self.wanted:
            return
        why = self._not_possible(surfaces)
        if why:
            if self.promised:
                self._outcome.not_covered.append(f"how it ends: {why}")
            return
        late = max(SHORTEST_LATE, LATE * self._plan.seconds) if self.promised else 0.0
        for surface in surfaces:
            if not surface.known:
                self._not_covered(surface, "its mechanism asks for what was not given")
            elif time.monotonic() > deadline + late:
                self._not_covered(surface, NO_TIME)
            elif not await self._ended_alone(surface):
                break

    def _not_possible(self, surfaces: Sequence[Surface]) -> str:
        if not self._harness.target.restartable:
            return "it was not started by zmqfuzz, and is not ended by it"
        return "it connects to us" if any(surface.side != "bind" for surface in surfaces) else ""

    def _not_covered(self, surface: Surface, why: str) -> None:
        if self.promised:
            super()._not_covered(surface, why)

    async def _ended_alone(self, surface: Surface) -> bool:
        """Look at one door; False when the target does not end with nobody connected, at any of them."""
        try:
            look = await self._stopper.look(surface.key)
            self._note(surface, look.controls[0])
            alone = look.controls[0].observation.stop
            if alone is None or not alone.ended:
                waited = alone.seconds if alone is not None else 0.0
                said = f"told to stop, it still ran {waited:.0f} s later with nobody connected (--stop-signal?)"
                (self._outcome.doubts if self.promised else self._outcome.not_covered).append(said)
                return False
            await self._beside(surface, look, alone)
        except TargetVanished as error:
            self._not_covered(surface, str(error))
        return True

    async def _beside(self, surface: Surface, look: Look, alone: Stop) -> None:
        peers = list(look.peers.values())
        at_once = [[peers[0]], [look.peers[SLOW]]] if surface.socket_type in ONE_PEER else [peers]
        suspected: list[str] = []
        for group in at_once:
            answers = sum(map(asked, group)) or asked(look.peers[SLOW])
            rest = min(LONGEST, look.rest * max(answers, len(group) * asked(look.peers[SLOW])))
            trial = await self._stopper.stopped(together(group), surface.key, alone, rest)
            self._note(surface, trial)
            suspected += self._suspects(look, trial, alone)
        if look.why and self._harness.limits.delivers is not None:
            self._outcome.not_covered.append(f"{surface.key}: {DELIVERS}: {look.why}")
        for code in dict.fromkeys(suspected):
            await self._examine(surface, look, code)

    def _note(self, surface: Surface, trial: Trial) -> None:
        self._outcome.cases[(surface.key, STOPPING)] += 1
        self._outcome.envelope.stopped(trial)

    def _suspects(self, look: Look, trial: Trial, alone: Stop) -> list[str]:
        """The promises that one trial has not seen to be kept; what it has is counted as checked."""
        limits, stop = self._harness.limits, trial.observation.stop
        if stop is None:
            return []
        found = []
        if limits.linger is not None:
            self._outcome.checks[ENDS] += 1
            if stop.seconds > allowed(limits, alone):
                found.append(ENDS)
        pairs = zip(trial.attack.scripts, trial.transcripts, strict=True)
        slow = [(asked(script), seen.messages) for script, seen in pairs if script.label == SLOW]
        if limits.delivers is not None and not look.why and slow:
            if slow[0][1] < min(limits.delivers, 1.0) * slow[0][0]:
                found.append(DELIVERS)
            else:
                self._outcome.checks[DELIVERS] += 1
        return found

    async def _examine(self, surface: Surface, look: Look, code: str) -> None:
        """Examine peer by peer, the simplest first, then all of them; a finding ends it."""
        entry = invariants()[code]
        peers = list(look.peers.values())
        groups: list[list[Script]] = [[look.peers[SLOW]]] if code == DELIVERS else [*([peer] for peer in peers), peers]
        self._tell(Suspected(surface, STOPPING, code, "told to stop beside peers, it did not keep this; examining"))
        doubts: list[str] = []
        with trio.move_on_after(max(SHORTEST, TRIAGE * self._plan.seconds)) as scope:
            await self._harness.look_inside()
            for group in groups:
                confirmed = await self._triage.examine(entry, together(group), surface.key, None)
                if confirmed.violation is not None:
                    self._found(confirmed, surface)
                    return
                doubts += confirmed.doubts
                if confirmed.shown:
                    doubts.append(f"seen {confirmed.shown} of {confirmed.tried}: not counted as a finding")
        if scope.cancelled_caught:
            doubts.append("seen, and not confirmed in the time there was (give --for longer)")
        if doubts:
            self._outcome.doubts.append(f"{surface.key}: {code}? {doubts[-1]}")
        else:
            self._outcome.checks[code] += 1
        said = doubts[-1] if doubts else "examined: it was kept on a fresh process"
        self._tell(Unconfirmed(surface, STOPPING, code, said))
