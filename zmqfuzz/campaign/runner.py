"""A run: slices of attack families over all doors of a target, within a wall-time budget, told as events.

The runner knows nothing of terminals and reports: whoever shows the run consumes the events.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import trio

from zmqfuzz.campaign.again import Again
from zmqfuzz.campaign.backlogs import Backlogs
from zmqfuzz.campaign.brittle import ask_twice
from zmqfuzz.campaign.claims import (
    FEW_CASES,
    claim_asked,
    claim_missed,
    claim_reach,
    claim_tested,
    claim_time,
)
from zmqfuzz.campaign.companies import Companies
from zmqfuzz.campaign.docket import Docket
from zmqfuzz.campaign.drops import Drops
from zmqfuzz.campaign.events import Ended, Event, Outcome, Plan, Sliced
from zmqfuzz.campaign.exposing import Exposing
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.judging import violations
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.campaign.looks import NO_TIME, Looks
from zmqfuzz.campaign.opening import Opening
from zmqfuzz.campaign.rates import Rates
from zmqfuzz.campaign.rests import Rests
from zmqfuzz.campaign.search import Catch, Test, search, search_fast
from zmqfuzz.campaign.shutdown import Shutdown
from zmqfuzz.campaign.sieve import Sieve
from zmqfuzz.campaign.suspicion import Suspicions
from zmqfuzz.campaign.triage import SHORT_RECOVER, Triage
from zmqfuzz.campaign.vigil import Vigil, alongside
from zmqfuzz.campaign.volleys import DRAWING, WORTH, Magazine
from zmqfuzz.catalogue import Situation, invariants
from zmqfuzz.errors import TargetError
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.script import Attack
from zmqfuzz.trial import Reached, Trial

__all__ = ["Campaign"]

LOOKS = 0.15
"""Share of the budget between two looks at what stays behind at a door."""

FIRST_TURNS = 0.5
"""Share of the budget for the first turns of all families; the rest is for what they leave behind, and more turns."""

LARGEST_SLICE = 6.0
SMALLEST_SLICE = 0.3
GRACE = 0.5
"""Share of the budget by which a run may be late to give every family at least one short slice."""
LEAST_CASES = 5
"""Attacks at each door for which a run may be late (Plan.late): with one or two, chance may let a weak program pass."""


class Campaign:
    """Runs a Plan against a Harness, and calls ``tell`` with each Event.

    ``watch`` is called with the trial of each attack that was drawn, and whether it was played alone.
    """

    def __init__(
        self,
        harness: Harness,
        plan: Plan,
        tell: Callable[[Event], None],
        watch: Callable[[Trial, bool], None] | None = None,
    ) -> None:
        self._watch = watch
        self._harness = harness
        self._plan = plan
        self._tell = tell
        triage = Triage(harness, minimise_seconds=plan.minimise_seconds)
        self._known = Known()
        self._known.remember(plan.known)
        every, last = LOOKS * plan.seconds, plan.stop_after is None
        self._suspicions = Suspicions(harness, triage, self._known, plan.seed, tell, look_every=every, design_last=last)
        self._random = random.Random(plan.seed)
        self.outcome = Outcome(seed=plan.seed)
        self._besides: list[Catch] = []  # what an attack shows beside what it was caught for
        self._opening = Opening(harness, plan, self.outcome, tell)
        self._docket = Docket(harness, plan, triage, self._known, self._suspicions, self.outcome, tell)
        self._again = Again(harness, plan, self._known, self._docket, self.outcome)
        seen = harness, plan, triage, self.outcome, tell
        self._shutdown = Shutdown(*seen)
        self._exposing = Exposing(harness, plan, self.outcome, tell)
        self._vigil = Vigil(harness, plan, self.outcome, tell)
        self._rates = Rates(*seen)
        self._rests = Rests(*seen)
        looks = (Companies, Backlogs, Drops)
        self._looks: tuple[Looks, ...] = tuple(look(*seen) for look in looks)

    async def run(self) -> Outcome:
        """Run until the budget is spent, enough was found, or nothing is left. Raises TargetError, NothingSelected.

        What was found is told also when the run is cancelled, and when the target cannot be started again.
        """
        started = time.monotonic()
        try:
            await alongside(partial(self._play, started + self._plan.seconds))
        except TargetError as error:
            if not self.outcome.cases:
                raise
            self.outcome.doubts.append(f"the run ended early: {error}")
        except BaseException:
            self.outcome.doubts.append("the run was stopped before its end")
            raise
        finally:
            uncovered = [line for line in self.outcome.not_covered if not line.endswith(NO_TIME)]
            self.outcome.seen = tuple(self.outcome.doubts), tuple(uncovered)
            self.outcome.waiting = (*self._again.left, *self._docket.unheard())
            self.outcome.doubts += [one.said for one in self.outcome.waiting]
            self.outcome.known = self._known.ways()
            claim_reach(self.outcome, self._plan.families)
            promised = self._harness.limits, self._harness.budget
            claim_tested(self.outcome, *promised, self._plan.families, self._plan.asked)
            claim_asked(self.outcome, self._harness.asked_beside)
            self.outcome.starts = self._harness.starts
            self.outcome.seconds = time.monotonic() - started
            if self.outcome.cases:
                self._tell(Ended(self.outcome))
        return self.outcome

    async def _play(self, deadline: float, beside: trio.Nursery) -> None:
        alone = any(look.wanted for look in (self._shutdown, self._rates, self._exposing))
        more = alone or any(look.insists for look in self._looks)
        played = lanes = await self._opening.lanes(self._random, more=more)
        await self._again.settle(lanes, deadline)
        if self._plan.settle:
            return
        beside.start_soon(self._vigil.watch, tuple(self._opening.served))
        await ask_twice(self._harness, lanes, self._docket.caught)
        await self._exposing.look()
        full = True
        end = deadline
        doors = len(self.outcome.surfaces)
        deadline -= self._shutdown.kept(doors) + self._rates.kept(doors) + sum(look.kept(doors) for look in self._looks)
        planned = deadline
        while lanes and not self._enough():
            if time.monotonic() >= deadline and not any(map(self._owes, lanes)):
                break
            turn = lanes if full else self._fewest(lanes)
            full = not full
            for place, lane in enumerate(turn):
                left = deadline - time.monotonic()
                grace = self._grace if self._owes(lane) else 0.0
                if self._enough() or (left + grace <= 0 and self.outcome.cases):
                    continue
                weights = [other.family.weighs(self._harness.limits) for other in turn]
                share = 0.6 * left * weights[place] / sum(weights)
                if not lane.slices:
                    kept = (1 - FIRST_TURNS) * self._plan.seconds
                    share = (left - kept) * weights[place] / sum(weights[place:])
                seconds = min(LARGEST_SLICE, max(SMALLEST_SLICE, share))
                await self._slice(lane, seconds, left, left - seconds)
                await self._exposing.glance()
                deadline = planned + self._docket.extra
            await self._docket.catch_up(lanes, deadline)
            lanes = [lane for lane in lanes if lane.needs_more]
            if time.monotonic() > deadline + self._grace:
                break
        await self._exposing.look_again()
        if not self._docket.enough:
            await self._rates.look(self._opening.served, end)
        for look in self._looks:
            if not self._docket.enough:
                await look.look(self._opening.served, end)
        if not self._docket.enough:
            await self._shutdown.look(self._opening.served, end)
        await self._docket.finish(played, deadline)
        if not self._docket.enough:
            await self._rests.settle()
        self.outcome.doubts += claim_time(lanes, played, self._plan.seconds)

    @property
    def _grace(self) -> float:
        return max(self._plan.late, GRACE * self._plan.seconds)

    def _owes(self, lane: Lane) -> bool:
        """Whether it has had no turn yet, or (Plan.late) chance may still have missed what it is to attack."""
        if not lane.slices or not self._plan.late:
            return not lane.slices
        key = (lane.surface.key, lane.family.name)
        return (
            self.outcome.reached.get(key, Reached.NOTHING) < lane.family.needs and self.outcome.cases[key] < FEW_CASES
        )

    def _fewest(self, lanes: list[Lane]) -> list[Lane]:
        """The half of the lanes with the fewest attacks: what takes long gets every second turn for itself."""

        def cases(lane: Lane) -> int:
            return self.outcome.cases[(lane.surface.key, lane.family.name)]

        return sorted(lanes, key=cases)[: (len(lanes) + 1) // 2]

    def _enough(self) -> bool:
        spent = self._plan.cases is not None and sum(self.outcome.cases.values()) >= self._plan.cases
        return self._docket.enough or spent

    async def _slice(self, lane: Lane, seconds: float, left: float, spare: float) -> None:
        """One slice of ``seconds``; ``spare`` seconds may go into what was left behind."""
        situation = self._opening.situation(lane.surface, await self._harness.standing())
        seed = self._random.getrandbits(32)

        async def test(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
            return await self._test(lane, attack, shrinking)

        most = self._plan.cases or 100_000
        if self._plan.shrinking:
            shrink = min(4.0, self._plan.minimise_seconds / 3) if self._harness.target.restartable else 0.0
            drawn = search(lane.family, situation, test, seed=seed, seconds=seconds, shrink=shrink, most=most)
        else:
            drawn = self._fast(lane, situation, test, seed, seconds, most)
        catch, cases = await drawn
        lane.slices += 1
        lane.cases += cases
        self.outcome.cases[(lane.surface.key, lane.family.name)] += cases
        if (leak := await self._suspicions.look_soon(lane)) is not None:
            await self._docket.caught(lane, leak)
        if catch is None:
            catch = await self._suspicions.end_of_slice(lane, spare, only_ask=self._docket.first_turns)
        if catch is not None:
            await self._docket.caught(lane, catch)
        elif not self._docket.enough:
            await self._rests.glance(lane.surface)
        for beside in self._besides:
            if not self._known.knows(lane, beside.violation, beside.attack, beside.trial):
                await self._docket.caught(lane, beside)
        self._besides.clear()
        sample = (await self._harness.standing()).observer.sample()
        total = sum(self.outcome.cases.values())
        self._tell(Sliced(lane.surface, lane.family.name, cases, total, left, sample.rss if sample is not None else 0))

    async def _fast(
        self, lane: Lane, situation: Situation, test: Test, seed: int, seconds: float, most: int
    ) -> tuple[Catch | None, int]:
        """A slice without shrinking: where the target can be started again, short attacks are played many at a time."""
        guide = Guide(lane.family, situation, self.outcome.reach)
        most_at_once = await self._most_at_once(lane)
        magazine = Magazine(guide, random.Random(seed), lane.volley, most_at_once, lane.alone, DRAWING)
        sieve = Sieve(self._harness, self._known, self._suspicions, lane, test, partial(self._note, lane))
        together = self._harness.target.restartable and lane.surface.side == "bind" and not self._plan.cases
        screen = sieve.screen if together else None
        catch, cases = await search_fast(magazine, test, screen, seconds=seconds, most=most)
        lane.volley = magazine.size
        return catch or await sieve.last(), cases

    async def _test(self, lane: Lane, attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        harness = self._harness
        if shrinking is not None:
            return await self._shrunk(lane, attack, shrinking)
        if self._plan.isolated:
            harness.renew()
        trial = await harness.trial(attack, lane.surface.key)
        self._note(lane, trial, alone=True)
        shown = list(violations(trial, harness))
        fresh = [one for one in shown if not self._known.knows(lane, one, attack, trial)]
        violation = fresh[0] if fresh else None
        self._besides += [Catch(one, attack, trial, attack) for one in fresh[1:]]
        if shown and violation is None:
            harness.renew()
            lane.hit()
            return None, trial
        return violation or await self._suspicions.look(lane, attack, trial), trial

    async def _most_at_once(self, lane: Lane) -> int:
        """Attacks after which an honest client is still answered in time, each of them worked off like a request.

        And for whose connections the target has descriptors: without any is a family of its own.
        """
        each = max(self._harness.asking.each(lane.surface.key), 1e-4)
        room = (await self._harness.standing()).observer.room()
        most = max(WORTH, int(self._harness.limits.recover / 8 / each))
        return most if room is None else min(most, room // 4)

    def _note(self, lane: Lane, trial: Trial, *, alone: bool = False) -> None:
        """One attack was played, alone or together with others."""
        if self._watch is not None:
            self._watch(trial, alone)
        key = (lane.surface.key, lane.family.name)
        self.outcome.reached[key] = max(self.outcome.reached.get(key, Reached.NOTHING), trial.reached)
        self.outcome.reach.note(trial)
        self.outcome.envelope.note(trial)
        for entry in invariants().values():
            self.outcome.checks[entry.code] += entry.tested(trial, self._harness.limits)
        claim_missed(self.outcome, trial)

    async def _shrunk(self, lane: Lane, attack: Attack, shrinking: Violation) -> tuple[Violation | None, Trial]:
        """Does a simpler attack still show the violation that is being shrunk, on a fresh process?"""
        harness = self._harness
        if harness.target.restartable:
            trial = (await harness.fresh_trials((attack,), lane.surface.key, recover=SHORT_RECOVER))[-1]
        else:
            trial = await harness.trial(attack, lane.surface.key)
        entry = invariants()[shrinking.code]
        if not entry.examines:
            return entry.judge(trial, harness.limits), trial
        still = entry.suspects is not None and entry.suspects(trial, harness.limits)
        return (shrinking.again() if still else None), trial
