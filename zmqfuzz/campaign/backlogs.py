"""What waits in the target, for peers that do not read and for itself: looked at at each door, before the run ends."""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.backlog import BACKLOG, enough, levelled, standing, unlimited, waiting, ways
from zmqfuzz.backlogger import Backlogger, Sounded
from zmqfuzz.budget import MIB
from zmqfuzz.campaign.looks import Looks
from zmqfuzz.trial import Surface

__all__ = ["Backlogs"]

UNREAD, INTAKE = "ZF210", "ZF211"


class Backlogs(Looks):
    """Peers that do not read in each way, and one that sends faster than is worked off."""

    name, about = BACKLOG, "what waits in it"

    async def _door(self, surface: Surface) -> None:
        backlogger = Backlogger(self._harness)
        sounded = await backlogger.sound(surface.key)
        if sounded is None:
            self._not_covered(surface, "it was not seen to send anything")
        elif not sounded.tells:
            self._not_covered(surface, f"it sends {sounded.rate:,.0f} messages a second, too few to tell a limit")
        else:
            await self._outward(surface, backlogger, sounded)
        if surface.socket_type not in ("PUSH", "PUB"):
            await self._inward(surface, backlogger, sounded)

    async def _outward(self, surface: Surface, backlogger: Backlogger, sounded: Sounded) -> None:
        """All ways not to read at once; where what is kept goes on growing, each is examined until one shows it."""
        those = ways(sounded.request)
        trial = await backlogger.unread(surface.key, sounded, *those)
        self._outcome.cases[(surface.key, BACKLOG)] += 1
        kept = trial.observation.kept
        if kept is None or trial.observation.exit is not None:
            self._not_covered(surface, "there is no process to watch" if kept is None else "it ended meanwhile")
        elif unlimited(kept):
            for script in trial.attack.scripts:
                said = f"much is kept for peers that do not read; examining a {script.label}"
                cleared = "it levels off, or as much is kept beside a peer that reads"
                rounds = len(kept.rounds) + 2
                alone = standing(surface, sounded.request, sounded.size, script.label, rounds=rounds)
                if await self._examined(surface, replace(trial, attack=alone), UNREAD, said, cleared):
                    return
        elif kept.grown > self._harness.limits.hard_cap / 2:
            amount = f"{kept.grown / MIB:,.0f} MiB for {waiting(kept):,} messages or more"
            self._not_covered(surface, f"it kept {amount} (promise less with --memory)")
        elif levelled(kept):
            self._outcome.checks[UNREAD] += 1
        else:
            self._not_covered(surface, f"whether it has a limit was not told in {kept.seconds:.0f} s")

    async def _inward(self, surface: Surface, backlogger: Backlogger, sounded: Sounded | None) -> None:
        trial = await backlogger.taken(surface.key, sounded)
        self._outcome.cases[(surface.key, BACKLOG)] += 1
        if trial.observation.baseline is None or trial.observation.exit is not None:
            return
        kept = trial.observation.kept
        if kept is None or kept.worked is None or not enough(kept) or kept.worked < max(1.0, kept.seconds):
            self._outcome.checks[INTAKE] += 1
            return
        said, cleared = "more is taken than is worked off; examining", "the sender was held back"
        await self._examined(surface, trial, INTAKE, said, cleared)
