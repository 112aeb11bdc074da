"""Plays volleys, and looks into what they show: in halves, then attack by attack."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from zmqfuzz.campaign.judging import judge_trial
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.campaign.search import Catch, Test
from zmqfuzz.campaign.suspicion import Suspicions
from zmqfuzz.campaign.triage import SHORT_RECOVER
from zmqfuzz.campaign.volleys import AT_ONCE, apart, together
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack
from zmqfuzz.trial import ClosedBy, Trial
from zmqfuzz.volley import RESTING

__all__ = ["Sieve"]

FEW = 12
"""Attacks that are played one by one; more are halved first."""

SECONDS = 10.0
"""For taking one volley apart."""


class Sieve:
    """The volleys of one lane. ``test`` plays and judges one attack; ``note`` takes the trials of single attacks."""

    def __init__(
        self,
        harness: Harness,
        known: Known,
        suspicions: Suspicions,
        lane: Lane,
        test: Test,
        note: Callable[[Trial], None],
    ) -> None:
        self._harness = harness
        self._known = known
        self._suspicions = suspicions
        self._lane = lane
        self._test = test
        self._note = note
        self._unasked: list[Attack] = []  # attacks since an honest client was last asked

    async def screen(self, attacks: Sequence[Attack]) -> Catch | None:
        """Play ``attacks`` together; what one of them, or some in their order, did."""
        trial = await self._harness.trial(together(attacks), self._lane.surface.key)
        self._unasked += attacks
        parts = apart(trial, attacks)
        for part in parts:
            self._note(part)
        catch = await self._judged(trial, list(attacks))
        if catch is None and trial.observation.exit is None:
            if self._suspicions.suspects(self._lane, trial):
                return await self._suspected(list(attacks))
            for part in parts:
                self._suspicions.pick(self._lane, part)
        return catch

    async def last(self) -> Catch | None:
        """Ask whether an honest client is served after the last volleys, if none was asked."""
        if not self._unasked:
            return None
        return await self._judged(await self._harness.trial(Attack(()), self._lane.surface.key, ask=True), [])

    async def _judged(self, trial: Trial, played: list[Attack]) -> Catch | None:
        violation = judge_trial(trial, self._harness)
        attacks = played if trial.observation.exit is not None and played else self._unasked
        if violation is not None or trial.observation.probes:
            self._unasked = []
        if violation is None:
            return None
        self._harness.renew()
        if self._known.knows(self._lane, violation, trial.attack, trial):
            self._lane.hit()
            return None
        return await self._violated(attacks, violation, trial)

    async def _violated(self, attacks: list[Attack], violation: Violation, trial: Trial) -> Catch | None:
        entry, deadline = invariants()[violation.code], time.monotonic() + SECONDS

        async def shows(part: list[Attack]) -> bool:
            fresh = await self._harness.fresh_trials((together(part),), self._lane.surface.key, recover=SHORT_RECOVER)
            return any(entry.judge(again, self._harness.limits) is not None for again in fresh)

        history = self._harness.last_history
        last = _last_begun(attacks, trial)
        if len(last) < len(attacks) and await shows(last):
            attacks = last
        attacks = await _halved(attacks, shows, deadline)
        catch = await self._one_by_one(attacks, deadline)
        # only together, or by chance; or each look takes so long that there was no time
        if catch is None and (trial.observation.exit is not None or (attacks and time.monotonic() > deadline)):
            whole = together(attacks)
            self._harness.last_history = history
            return Catch(violation, whole, trial, whole)
        return catch

    async def _suspected(self, attacks: list[Attack]) -> Catch | None:
        deadline = time.monotonic() + SECONDS

        async def shows(part: list[Attack]) -> bool:
            trial = await self._harness.trial(together(part), self._lane.surface.key)
            return self._suspicions.suspects(self._lane, trial)

        return await self._one_by_one(await _halved(attacks, shows, deadline), deadline)

    async def _one_by_one(self, attacks: list[Attack], deadline: float) -> Catch | None:
        for number, attack in enumerate(attacks):
            if number and time.monotonic() > deadline:
                break
            violation, trial = await self._test(attack, None)
            if violation is not None:
                return Catch(violation, attack, trial, attack)
        return None


def _last_begun(attacks: list[Attack], trial: Trial) -> list[Attack]:
    """Those that were played when the process ended, or had just been: the ones before the first that was refused."""
    if trial.observation.exit is None or not trial.transcripts:
        return attacks
    for place, part in enumerate(apart(trial, attacks)):
        if any(transcript.closed_by is ClosedBy.REFUSED for transcript in part.transcripts):
            return attacks[max(0, place - (1 + RESTING) * AT_ONCE) : place + 1]
    return attacks


async def _halved(
    attacks: list[Attack], shows: Callable[[list[Attack]], Awaitable[bool]], deadline: float
) -> list[Attack]:
    """The smallest part, by halves, that still shows it; FEW attacks are few enough."""
    while len(attacks) > FEW and time.monotonic() < deadline:
        middle = len(attacks) // 2
        for part in (attacks[:middle], attacks[middle:]):
            if await shows(part):
                attacks = part
                break
        else:
            break
    return attacks
