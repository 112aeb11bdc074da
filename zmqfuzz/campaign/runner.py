"""A run: slices of attack families over all doors of a target, within a wall-time budget, told as events.

The runner knows nothing of terminals and reports: whoever shows the run consumes the events.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

import trio

from zmqfuzz.campaign.claims import claim_asked, claim_cover, claim_missed, claim_reach
from zmqfuzz.campaign.events import Calibrated, Ended, Event, Found, Outcome, Plan, Sliced, Suspected, Unconfirmed
from zmqfuzz.campaign.guidance import Guide
from zmqfuzz.campaign.search import Catch, search, search_fast
from zmqfuzz.campaign.sieve import Sieve
from zmqfuzz.campaign.suspicion import Lane, Suspicions
from zmqfuzz.campaign.triage import SHORT_RECOVER, Triage, Triaged, judge_trial, signature_of
from zmqfuzz.campaign.volleys import FIRST, Magazine
from zmqfuzz.canary import carries
from zmqfuzz.catalogue import Situation, invariants
from zmqfuzz.errors import NothingSelected, TargetError, TargetServesNobody
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.probe import UNASKED
from zmqfuzz.script import Attack
from zmqfuzz.standing import Standing
from zmqfuzz.trial import Reached, Surface, Trial

__all__ = ["Campaign"]

LOOKS = 0.15
"""Share of the budget between two looks at what stays behind at a door."""

LAST_LOOKS = 0.25
"""Share of the budget by which the last looks may be late."""

TRIAGE = 0.75
SHORTEST_TRIAGE = 45.0
FIRST_TRIAGE = 25.0
"""For the triage of one catch, as a share of the budget and in seconds; less while families wait for their first turn:
what is not confirmed then is taken up again."""

TRIAGE_SHARE = 0.15
"""Of the budget, after which a catch waits for its triage until every family has had its first turn."""

LARGEST_SLICE = 6.0
SMALLEST_SLICE = 0.3
GRACE = 0.5
"""Share of the budget by which a run may be late to give every family at least one short slice."""


class Campaign:
    """Runs a Plan against a Harness, and calls ``tell`` with each Event."""

    def __init__(self, harness: Harness, plan: Plan, tell: Callable[[Event], None]) -> None:
        self._harness = harness
        self._plan = plan
        self._tell = tell
        self._triage = Triage(harness, minimise_seconds=plan.minimise_seconds)
        self._suspicions = Suspicions(harness, self._triage, plan.seed, tell, look_every=LOOKS * plan.seconds)
        self._random = random.Random(plan.seed)
        self._first_turns = True
        self._put_off: list[tuple[Lane, Catch, tuple[Attack, ...]]] = []
        self._triaging = 0.0
        self.outcome = Outcome(seed=plan.seed)

    async def run(self) -> Outcome:
        """Run until the budget is spent, enough was found, or nothing is left. Raises TargetError, NothingSelected.

        What was found is told also when the run is cancelled, and when the target cannot be started again.
        """
        started = time.monotonic()
        try:
            await self._play(started + self._plan.seconds)
        except TargetError as error:
            if not self.outcome.cases:
                raise
            self.outcome.doubts.append(f"the run ended early: {error}")
        except BaseException:
            self.outcome.doubts.append("the run was stopped before its end")
            raise
        finally:
            for lane, catch, _ in self._put_off:
                self.outcome.doubts.append(
                    f"{lane.surface.key}: {catch.violation.code}? seen, and not confirmed in time"
                )
            claim_reach(self.outcome, self._plan.families)
            claim_asked(self.outcome, self._harness.asked_beside)
            self.outcome.starts = self._harness.starts
            self.outcome.seconds = time.monotonic() - started
            if self.outcome.cases:
                self._tell(Ended(self.outcome))
        return self.outcome

    async def _play(self, deadline: float) -> None:
        lanes = await self._lanes()
        doors = list({lane.surface.key: lane for lane in lanes}.values())
        while lanes and not self._enough():
            if time.monotonic() >= deadline and all(lane.slices for lane in lanes):
                break
            for place, lane in enumerate(lanes):
                left = deadline - time.monotonic()
                grace = 0.0 if lane.slices else GRACE * self._plan.seconds
                if self._enough() or (left + grace <= 0 and self.outcome.cases):
                    break
                share = left / max(1, len(lanes) - place) if not lane.slices else left / len(lanes)
                seconds = min(LARGEST_SLICE, max(SMALLEST_SLICE, share * 0.6))
                await self._slice(lane, seconds, left, left - seconds)
            await self._catch_up(lanes, deadline)
            lanes = [lane for lane in lanes if lane.needs_more]
            if time.monotonic() > deadline + GRACE * self._plan.seconds:
                break
        await self._last_looks(doors, deadline + LAST_LOOKS * self._plan.seconds)
        unplayed = [f"{lane.family.name} on {lane.surface.key}" for lane in lanes if not lane.slices]
        if unplayed:
            named = ", ".join(unplayed[:3]) + (f" and {len(unplayed) - 3} more" if len(unplayed) > 3 else "")
            self.outcome.doubts.append(f"no time was left for {named} (give --for longer)")

    async def _catch_up(self, lanes: list[Lane], deadline: float) -> None:
        """What had to wait until every family had had its first turn."""
        if not self._first_turns:
            return
        self._first_turns = False
        self._put_off.sort(
            key=lambda waiting: not invariants()[waiting[1].violation.code].examines
        )  # seen well already
        late = deadline + max(SHORTEST_TRIAGE, GRACE * self._plan.seconds)
        while self._put_off and not self._enough() and time.monotonic() < late:
            lane, catch, history = self._put_off.pop(0)
            self._suspicions.resume(lane, catch.violation.code)
            await self._triaged(lane, catch, history)
        for lane in lanes:
            left = deadline - time.monotonic()
            over = left < -LAST_LOOKS * self._plan.seconds
            if not (over or self._enough()) and (left_over := await self._suspicions.look_at(lane, left)) is not None:
                await self._triaged(lane, left_over)

    async def _last_looks(self, doors: list[Lane], deadline: float) -> None:
        """At what the attacks of the last slices have left behind."""
        for lane in doors:
            while self._suspicions.to_look_at(lane) and not self._enough() and time.monotonic() < deadline:
                catch = await self._suspicions.look_back(lane)
                if catch is not None:
                    await self._triaged(lane, catch)

    def _enough(self) -> bool:
        enough = self._plan.stop_after is not None and len(self.outcome.findings) >= self._plan.stop_after
        spent = self._plan.cases is not None and sum(self.outcome.cases.values()) >= self._plan.cases
        return enough or spent

    async def _lanes(self) -> list[Lane]:
        standing = await self._harness.standing()
        surfaces = self._harness.surfaces(standing)
        self.outcome.surfaces = list(surfaces)
        lanes = []
        for surface in surfaces:
            result = await self._harness.calibrate(surface.key)
            self._tell(Calibrated(surface, result.level, result.ok))
            if not result.ok:
                said = f"{surface.key}: an honest client was not served before any attack ({result.detail})"
                self.outcome.doubts.append(said)
                continue
            if result.level == "handshake":
                self.outcome.not_covered.append(
                    f"{surface.key}: only the handshake of an honest client was checked, not the application"
                    " (give --probe)"
                )
            elif result.level == UNASKED:
                self.outcome.doubts.append(f"{surface.key}: no honest client asked, {result.detail} (give --probe)")
            lanes += [Lane(surface, family) for family in self._plan.families if family.applies(surface)]
            for family in self._plan.families:
                self.outcome.reach.expect(family, self._situation(surface, standing))
        unused = self._harness.credentials.unused([surface.mechanism for surface in surfaces])
        if unused and lanes:
            self.outcome.doubts.append(unused)
        if not lanes and self.outcome.doubts:
            raise TargetServesNobody(
                f"Inconclusive, nothing was attacked: {'; '.join(self.outcome.doubts)}. Correct the target or --probe."
            )
        if not lanes:
            doors = ", ".join(surface.key for surface in surfaces)
            raise NothingSelected(
                f"Nothing was selected to run that fits the target's doors ({doors}); see `zmqfuzz list`."
            )
        harness, families = self._harness, self._plan.families
        claim_cover(self.outcome, standing.observer, harness.limits, harness.budget, families)
        self._random.shuffle(lanes)
        lanes.sort(key=lambda lane: lane.family.known or not lane.family.mechanism)  # first a stranger at a lock
        return lanes

    def _situation(self, surface: Surface, standing: Standing) -> Situation:
        seeds = (*self._plan.seeds, *self._harness.asking.heard[surface.key].messages)
        budget, room = self._harness.budget, standing.observer.room()
        return Situation(surface, self._harness.limits, budget, seeds, self._plan.payloads, room)

    async def _slice(self, lane: Lane, seconds: float, left: float, spare: float) -> None:
        """One slice of ``seconds``; ``spare`` seconds may go into what was left behind."""
        situation = self._situation(lane.surface, await self._harness.standing())
        seed = self._random.getrandbits(32)

        async def test(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
            return await self._test(lane, attack, shrinking)

        most = self._plan.cases or 100_000
        shrink = min(4.0, self._plan.minimise_seconds / 3) if self._harness.target.restartable else 0.0
        magazine, sieve = None, None
        if self._plan.shrinking:
            drawn = search(lane.family, situation, test, seed=seed, seconds=seconds, shrink=shrink, most=most)
        else:
            guide = Guide(lane.family, situation, self.outcome.reach)
            magazine = Magazine(guide, random.Random(seed), lane.volley, await self._most_at_once(lane), lane.alone)
            sieve = Sieve(self._harness, self._suspicions, lane, test, partial(self._note, lane))
            together = self._harness.target.restartable and lane.surface.side == "bind" and not self._plan.cases
            drawn = search_fast(magazine, test, sieve.screen if together else None, seconds=seconds, most=most)
        catch, cases = await drawn
        if magazine is not None and sieve is not None:
            lane.volley = magazine.size
            catch = catch or await sieve.last()
        lane.slices += 1
        self.outcome.cases[(lane.surface.key, lane.family.name)] += cases
        if catch is None:
            catch = await self._suspicions.end_of_slice(lane, spare, only_ask=self._first_turns)
        if catch is not None:
            await self._caught(lane, catch)
        sample = (await self._harness.standing()).observer.sample()
        total = sum(self.outcome.cases.values())
        self._tell(Sliced(lane.surface, lane.family.name, cases, total, left, sample.rss if sample is not None else 0))

    async def _test(self, lane: Lane, attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        harness = self._harness
        if shrinking is not None:
            return await self._shrunk(lane, attack, shrinking)
        trial = await harness.trial(attack, lane.surface.key)
        self._note(lane, trial)
        violation = judge_trial(trial, harness)
        if violation is not None and self._suspicions.knows(lane, violation, attack, trial):
            (await harness.standing()).spoiled = True
            lane.hit()
            return None, trial
        return violation or await self._suspicions.look(lane, attack, trial), trial

    async def _most_at_once(self, lane: Lane) -> int:
        """Attacks after which an honest client is still answered in time, each of them worked off like a request.

        And for whose connections the target has descriptors: without any is a family of its own.
        """
        each = max(self._harness.asking.each(lane.surface.key), 1e-4)
        room = (await self._harness.standing()).observer.room()
        most = max(FIRST // 4, int(self._harness.limits.recover / 8 / each))
        return most if room is None else min(most, room // 4)

    def _note(self, lane: Lane, trial: Trial) -> None:
        """One attack was played, alone or together with others."""
        key = (lane.surface.key, lane.family.name)
        self.outcome.reached[key] = max(self.outcome.reached.get(key, Reached.NOTHING), trial.reached)
        self.outcome.reach.note(trial)
        self._count(trial)
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
        return (_again(shrinking) if still else None), trial

    def _count(self, trial: Trial) -> None:
        """Which promises this trial put to the test: those that were made, and could be seen."""
        watched = trial.observation.baseline is not None
        for entry in invariants().values():
            seen = bool(trial.observation.probes) if entry.code == "ZF102" else watched or bool(entry.declared)
            seen = carries(trial.attack) if entry.code == "ZF301" else seen
            if seen and entry.examines != "beside" and entry.applies(self._harness.limits):
                self.outcome.checks[entry.code] += 1

    async def _caught(self, lane: Lane, catch: Catch) -> None:
        """Triage at once, unless that has taken too long already from families that are still to have a turn."""
        code = catch.violation.code
        history = self._history()
        at_once = not self._first_turns or self._triaging <= TRIAGE_SHARE * self._plan.seconds
        if at_once and (await self._triaged(lane, catch, history) or not self._first_turns):
            return
        self._suspicions.learn(lane, code, _drawn(catch))
        self._suspicions.put_off(lane, code)
        self._put_off.append((lane, catch, history))

    def _history(self) -> tuple[Attack, ...]:
        return tuple(attack for attack in self._harness.last_history if attack.scripts)

    async def _triaged(self, lane: Lane, catch: Catch, history: tuple[Attack, ...] | None = None) -> bool:
        """Triage; False when there was no time for it."""
        code = catch.violation.code
        self._tell(Suspected(lane.surface, lane.family.name, code, catch.violation.sentence))
        began = time.monotonic()
        triaged = Triaged(reason=f"{code}? seen, and not confirmed in the time there was (give --for longer)")
        hurried = self._first_turns and self._plan.stop_after is None
        least, share = (FIRST_TRIAGE, TRIAGE / 3) if hurried else (SHORTEST_TRIAGE, TRIAGE)
        with trio.move_on_after(max(least, share * self._plan.seconds)) as scope:
            triaged = await self._triage.finding(catch, lane.surface, self._history() if history is None else history)
        self._triaging += time.monotonic() - began
        if scope.cancelled_caught:
            self._harness.renew()
            if hurried:
                return False
        self._suspicions.examined(lane, code, time.monotonic() - began)
        finding, trial = triaged.finding, triaged.trial
        if finding is None or trial is None:
            if invariants()[code].examines in ("rounds", "beside"):  # a suspicion, and the examination has answered it
                self._suspicions.clear(lane, code, catch.trial)
                self._tell(Unconfirmed(lane.surface, lane.family.name, code, triaged.reason))
                return True
            lane.unconfirmed[code] += 1
            self._tell(Unconfirmed(lane.surface, lane.family.name, code, triaged.reason))
            self.outcome.doubts.append(f"{lane.surface.key}: {triaged.reason}")
            return True
        if finding.code != code:  # the library's own: the application may still have one
            self._suspicions.clear(lane, code, catch.trial)
            code = finding.code
        drawn = _drawn(catch)
        self._suspicions.learn(lane, code, drawn)
        if catch.trial.observation.exit is not None:
            lane.hit()
        if self._suspicions.learn(lane, code, finding.signature) or drawn == finding.signature:
            self.outcome.findings.append(finding)
            self._tell(Found(finding, trial))
        else:
            self._tell(Unconfirmed(lane.surface, lane.family.name, code, f"the same as {finding.id}, known already"))
        return True


def _drawn(catch: Catch) -> str:
    """The signature of what was caught, as it was drawn."""
    return signature_of(catch.violation, catch.attack, catch.trial.observation.log_tail)


def _again(violation: Violation) -> Violation:
    return type(violation)(
        violation.sentence, *violation.measures, signature=violation.signature, advice=violation.advice
    )
