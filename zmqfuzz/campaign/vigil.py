"""Honest peers of every version of ZMTP that stay, on a process of their own beside the run: is any cut?

A timer of a handshake is due long after the handshake (libzmq's after 30 s), so this takes as long as a short run, and
goes on beside it: only where a second copy of the target is known to disturb neither, as one of a hosted library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed
from zmqfuzz.campaign.naming import finding_of
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.parked import STAYS, long_lived
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.patterns import ONE_PEER

__all__ = ["Vigil", "alongside"]

CODE, FAMILY = "ZF317", "dead-peer"
SHORTEST = 45.0
"""Seconds of a run, at least, beside which it is done: it must not make a short one longer."""

CONFIRMATIONS = 2


class Vigil:
    """One look at each door, and two more where it shows something."""

    def __init__(
        self,
        harness: Harness,
        plan: Plan,
        outcome: Outcome,
        tell: Callable[[Event], None],
        *,
        stays: float = STAYS,
    ) -> None:
        """``stays``: seconds for which the peers stay."""
        self._stays = stays
        self._harness = harness
        self._outcome = outcome
        self._tell = tell
        chosen = any(family.name == FAMILY for family in plan.families)
        whole = plan.seconds >= SHORTEST and plan.cases is None and plan.stop_after is None
        self._wanted = chosen and whole and harness.target.copies and harness.limits.hung_within is None

    async def watch(self, surfaces: Sequence[Surface]) -> None:
        """Look at the doors that ask for nothing, beside each other; never raises."""
        doors = [one for one in surfaces if _asks_for_nothing(one)] if self._wanted else []
        async with trio.open_nursery() as nursery:
            for surface in doors:
                nursery.start_soon(self._look, surface)

    async def _look(self, surface: Surface) -> None:
        seen: list[tuple[Violation, Trial]] = []
        tried = 0

        async def once() -> None:
            nonlocal tried
            trial = await self._stayed(surface)
            violation = invariants()[CODE].judge(trial, self._harness.limits) if trial is not None else None
            if trial is not None:
                tested = invariants()[CODE].tested(trial, self._harness.limits)
                self._outcome.checks[CODE] += tested
                tried += tested
            if violation is not None and trial is not None:
                seen.append((violation, trial))

        await once()
        if not seen:
            return
        self._tell(Suspected(surface, FAMILY, CODE, f"{seen[0][0].sentence} Looking again."))
        async with trio.open_nursery() as nursery:
            for _ in range(CONFIRMATIONS):
                nursery.start_soon(once)
        violation, trial = seen[-1]
        if len(seen) * 3 < tried * 2 or len(seen) < 2:
            reason = f"{CODE}? seen {len(seen)} of {tried}: not counted as a finding"
            self._tell(Unconfirmed(surface, FAMILY, CODE, reason))
            self._outcome.doubts.append(f"{surface.key}: {reason}")
            return
        name = self._harness.target.name
        # No application can tell these versions apart: it is the library.
        finding = finding_of(violation, trial, name, confirmed=len(seen), tried=tried, bare=True)
        self._outcome.findings.append(finding)
        self._tell(Found(finding, trial))

    async def _stayed(self, surface: Surface) -> Trial | None:
        """The trial of peers that stay, on a process of its own; None where that could not be."""
        harness = self._harness
        try:
            async with Harness(harness.target, limits=harness.limits, budget=harness.budget) as own:
                return await own.trial(long_lived(surface, self._stays), surface.key)
        except ZmqfuzzError:
            return None


async def alongside(work: Callable[[trio.Nursery], Awaitable[None]]) -> None:
    """Do ``work``, and what it starts in the nursery beside it; what it raises comes as it is, in no group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            await work(nursery)
        except Exception as error:
            failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _asks_for_nothing(surface: Surface) -> bool:
    locked = surface.lock or surface.mechanism not in ("", "NULL")
    return surface.side == "bind" and not locked and surface.socket_type.upper() not in ONE_PEER
