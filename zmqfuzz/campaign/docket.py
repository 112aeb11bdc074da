"""What was caught, from the catch to the finding: at once, or when every family has had its turn.

One finding can take as long as a whole run of a minute, minimised and confirmed on fresh processes of a busy machine;
it must not take that time from families that have not been played at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from zmqfuzz.campaign.attribution import by_design, publicly_known
from zmqfuzz.campaign.confirmed import Triaged
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan, Suspected, Unconfirmed, Waiting
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.campaign.naming import signature_of
from zmqfuzz.campaign.search import Catch
from zmqfuzz.campaign.suspicion import DEAF, LEFT_BEHIND, Suspicions
from zmqfuzz.campaign.triage import Triage
from zmqfuzz.catalogue import invariants
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack

__all__ = ["LATER", "Docket"]

LATER = " Looked into later."
"""Behind the sentence of a catch that waits."""

LAST = "ZF208"
"""Triaged when all else is done: mostly the library's own, and seen by every run at some doors."""

EXAMINED, PLAIN, CRASHED, MADE_FOR = range(4)
"""In which order catches are triaged: what was examined already, what fails at once, what ends the process, and what is
the library's own, and known."""

FIRST_LOOKS = 2
"""Looks at what attacks taken by chance leave behind together, as soon as every family has had its first turn."""

LOOKS_SHARE = 0.05
"""Of the budget, after which the others of these wait, with LAST_LOOKS."""

LAST_LOOKS = 0.25
"""Share of the budget by which looks may be late."""

TRIAGE = 0.75
SHORTEST_TRIAGE = 120.0
FIRST_TRIAGE = 30.0
"""For the triage of one catch, as a share of the budget and in seconds; less while families wait for their first turn:
what is not confirmed then is taken up again."""

TRIAGE_SHARE = 0.15
"""Of the budget, after which a catch waits for its triage until every family has had its first turn."""

EXTRA = 0.25
"""Share of the budget that triage may add to it."""

LATE = 0.5
"""Share of the budget by which triage may begin late."""


@dataclass(slots=True)
class _Caught:
    """A catch, and what was played before it. ``sofar``: what a triage that was broken off had confirmed."""

    lane: Lane
    catch: Catch
    history: tuple[Attack, ...]
    sofar: Triaged | None = None


class Docket:
    """The catches of one run. ``first_turns``: families are still to be played for the first time."""

    def __init__(
        self,
        harness: Harness,
        plan: Plan,
        triage: Triage,
        known: Known,
        suspicions: Suspicions,
        outcome: Outcome,
        tell: Callable[[Event], None],
    ) -> None:
        self.first_turns = True
        self._harness = harness
        self._plan = plan
        self._triage = triage
        self._known = known
        self._suspicions = suspicions
        self._outcome = outcome
        self._tell = tell
        self._waiting: list[_Caught] = []
        self._triaging = 0.0

    @property
    def extra(self) -> float:
        """Seconds that the run may be longer, because triage has taken them from attacks."""
        return min(self._triaging, EXTRA * self._plan.seconds)

    @property
    def enough(self) -> bool:
        """Whether as much was found as was asked for."""
        new = [finding for finding in self._outcome.findings if finding.id not in self._plan.accepted]
        return self._plan.stop_after is not None and len(new) >= self._plan.stop_after

    def unheard(self) -> list[Waiting]:
        """What was never triaged; what is looked at last only because there was time is not missed."""
        return [
            Waiting(
                one.lane.surface.key,
                one.lane.family.name,
                one.catch.violation.code,
                one.catch.original,
                one.history,
                f"{one.lane.surface.key}: {one.catch.violation.code}? seen, and not confirmed in time",
            )
            for one in self._waiting
            if one.catch.violation.code != LAST
        ]

    async def settle(self, lane: Lane, catch: Catch, history: tuple[Attack, ...]) -> None:
        """Triage something that has waited long enough, with all the time that it needs."""
        before, self.first_turns = self.first_turns, False
        try:
            await self._triaged(_Caught(lane, catch, history))
        finally:
            self.first_turns = before

    async def caught(self, lane: Lane, catch: Catch) -> None:
        """Triage at once, unless that has taken too long already from families that are still to have a turn.

        Where enough was found it is only told.
        """
        code = catch.violation.code
        history = tuple(attack for attack in self._harness.last_history if attack.scripts)
        one = _Caught(lane, catch, history)
        if self.enough:
            self._waiting.append(one)
            return
        at_once = not self.first_turns or self._triaging <= TRIAGE_SHARE * self._plan.seconds
        waits = code == LAST
        if self._plan.stop_after is None:  # the first crash is told soon, others are looked for before they are told
            another = _crashed(catch) and self._triaging > 0
            waits = _last(catch) or another or (self.first_turns and _slow(lane, catch))
        if not waits and at_once and (await self._triaged(one) or not self.first_turns):
            return
        self._tell(Suspected(lane.surface, lane.family.name, code, f"{catch.violation.sentence}{LATER}"))
        self._known.suppose(lane, code, _drawn(catch))
        self._known.put_off(lane, code)
        if code == DEAF:
            self._harness.deaf.add(lane.surface.key)
        self._waiting.append(one)

    async def catch_up(self, lanes: Sequence[Lane], deadline: float) -> None:
        """Every family has had its first turn: take up what has waited for that."""
        if not self.first_turns:
            return
        self.first_turns = False
        await self._take_up(deadline)
        spent = self._triaging
        until = min(deadline, time.monotonic() + LOOKS_SHARE * self._plan.seconds)
        for lane in _doors(lanes) * FIRST_LOOKS:
            if self._in_time(until, spent):
                await self._told(lane, await self._suspicions.look_back(lane))
        for code in LEFT_BEHIND:
            for lane in sorted(lanes, key=lambda lane: -self._suspicions.left(lane, code)):
                if self._in_time(until, spent):
                    await self._told(lane, await self._suspicions.look_at(lane, deadline, code))

    async def finish(self, lanes: Sequence[Lane], deadline: float) -> None:
        """Triage crashes that wait, look at what the last slices have left behind, and triage all that still waits."""
        await self._take_up(deadline, most=CRASHED)
        for lane in _doors(lanes):
            named = False
            while self._suspicions.to_look_at(lane) and self._in_time(deadline, self.extra):
                await self._told(lane, await self._suspicions.look_back(lane, named=named))
                named = not named
        for lane, catch in await self._suspicions.look_named(deadline):
            await self.caught(lane, catch)
        for lane, catch in await self._suspicions.look_held():
            await self.caught(lane, catch)
        await self._take_up(deadline, most=MADE_FOR)
        confirmed = [(one, one.sofar) for one in self._waiting if one.sofar is not None]
        for one, sofar in confirmed:
            self._waiting.remove(one)
            self._known.resume(one.lane, one.catch.violation.code)
            self._told_of(one, sofar)

    async def _take_up(self, deadline: float, *, most: int = PLAIN) -> None:
        """Triage what has waited, of these ranks: first what was examined already."""
        self._waiting.sort(key=lambda one: (_rank(one.catch), one.catch.violation.code == LAST))
        late = deadline + max(SHORTEST_TRIAGE, LATE * self._plan.seconds)
        while self._waiting and not self.enough and time.monotonic() < late:
            one = self._waiting[0]
            code = one.catch.violation.code
            if _rank(one.catch) > most:
                break
            if code == LAST and not self._in_time(deadline, self._triaging):
                break
            del self._waiting[0]
            self._known.resume(one.lane, code)
            over = time.monotonic() > deadline
            if one.sofar is not None and over:  # large, and confirmed
                self._told_of(one, one.sofar)
            else:
                await self._triaged(one, quick=over)

    def _in_time(self, deadline: float, spent: float) -> bool:
        """Whether it is not too late: later by what triage took beyond ``spent``, or one suspicion hides all others."""
        late = LAST_LOOKS * self._plan.seconds + min(self._triaging - spent, self._plan.seconds)
        return not self.enough and time.monotonic() < deadline + late

    async def _told(self, lane: Lane, catch: Catch | None) -> None:
        if catch is not None:
            await self.caught(lane, catch)

    async def _triaged(self, one: _Caught, *, quick: bool = False) -> bool:
        """Triage; False when there was no time for it, and what it had come to is kept.

        ``quick``: the run should have ended, so that not much time goes into a smaller attack.
        """
        lane, catch, code = one.lane, one.catch, one.catch.violation.code
        self._tell(Suspected(lane.surface, lane.family.name, code, catch.violation.sentence))
        began = time.monotonic()
        triaged = Triaged(reason=f"{code}? seen, and not confirmed in the time there was (give --for longer)")
        hurried = self.first_turns and self._plan.stop_after is None
        short = hurried or bool(publicly_known(_drawn(catch)))
        least, share = (FIRST_TRIAGE, TRIAGE / 3) if short else (SHORTEST_TRIAGE, TRIAGE)
        self._triage.sofar = None
        with trio.move_on_after(max(least, share * self._plan.seconds)) as scope:
            await self._harness.look_inside()
            triaged = await self._triage.finding(catch, lane.surface, one.history, hurried=hurried or quick)
        self._triaging += time.monotonic() - began
        if scope.cancelled_caught:
            self._harness.renew()
            one.sofar = self._triage.sofar or one.sofar
            if hurried:
                return False
            triaged = one.sofar or triaged
        self._known.examined(lane, code, time.monotonic() - began)
        self._told_of(one, triaged, settled=not (scope.cancelled_caught or triaged.unsure))
        return True

    def _told_of(self, one: _Caught, triaged: Triaged, *, settled: bool = False) -> None:
        if triaged.finding is None or triaged.trial is None:
            self._unconfirmed(one.lane, one.catch, triaged.reason, settled=settled)
        else:
            self._found(one.lane, one.catch, Found(triaged.finding, triaged.trial, triaged.control, triaged.evidence))

    def _unconfirmed(self, lane: Lane, catch: Catch, reason: str, *, settled: bool) -> None:
        code = catch.violation.code
        self._tell(Unconfirmed(lane.surface, lane.family.name, code, reason))
        suspicion = invariants()[code].examines in ("rounds", "beside", "workers")
        if settled and suspicion:  # the examination has answered it
            self._known.clear(lane, code, catch.trial)
            return
        lane.unconfirmed[code] += 1
        self._outcome.doubts.append(f"{lane.surface.key}: {reason}")

    def _found(self, lane: Lane, catch: Catch, told: Found) -> None:
        code, finding = catch.violation.code, told.finding
        if finding.code != code:  # the library's own: the application may still have one
            self._known.clear(lane, code, catch.trial)
            code = finding.code
        if code == DEAF:  # the next time it is no news
            self._harness.deaf.add(lane.surface.key)
        drawn = _drawn(catch)
        self._known.learn(lane, code, drawn)
        if catch.trial.observation.exit is not None:
            lane.hit()
        if self._known.learn(lane, code, finding.signature) or drawn == finding.signature:
            self._outcome.findings.append(finding)
            self._tell(told)
        else:
            self._tell(Unconfirmed(lane.surface, lane.family.name, code, f"the same as {finding.id}, known already"))


def _doors(lanes: Sequence[Lane]) -> list[Lane]:
    """One lane for each door."""
    return list({lane.surface.key: lane for lane in lanes}.values())


def _last(catch: Catch) -> bool:
    """Whether it waits until all else is done: LAST, and what the library does by design, or is public for."""
    drawn = _drawn(catch)
    return catch.violation.code == LAST or bool(publicly_known(drawn)) or by_design(catch.violation.code, drawn)


def _crashed(catch: Catch) -> bool:
    return catch.trial.observation.exit is not None


def _slow(lane: Lane, catch: Catch) -> bool:
    """Whether each of its replays waits for a program that may connect again: the others have their turn first."""
    return lane.surface.side == "connect" and catch.violation.code == DEAF


def _rank(catch: Catch) -> int:
    if _last(catch):
        return MADE_FOR
    if _crashed(catch):
        return CRASHED
    return EXAMINED if invariants()[catch.violation.code].examines else PLAIN


def _drawn(catch: Catch) -> str:
    """The signature of what was caught, as it was drawn."""
    return signature_of(catch.violation, catch.attack, catch.trial.observation.log_tail)
