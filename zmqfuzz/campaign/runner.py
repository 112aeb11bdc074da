"""A run: slices of attack families over all doors of a target, within a wall-time budget, told as events.

The runner knows nothing of terminals and reports: whoever shows the run consumes the events.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from zmqfuzz.campaign.search import Catch, search
from zmqfuzz.campaign.triage import SHORT_RECOVER, Triage, judge_trial, left_behind, shape, signature_of
from zmqfuzz.catalogue import Family, Invariant, Situation, invariants
from zmqfuzz.errors import NothingSelected
from zmqfuzz.finding import Finding, Verdict, Violation
from zmqfuzz.harness import Harness
from zmqfuzz.scale import planned, scaled
from zmqfuzz.script import Attack
from zmqfuzz.trial import Reached, Surface, Trial

__all__ = ["Calibrated", "Campaign", "Ended", "Event", "Found", "Outcome", "Plan", "Sliced", "Suspected", "Unconfirmed"]

LARGEST_SLICE = 6.0
SMALLEST_SLICE = 0.3
WARM_UP = 8
"""Attacks after which a process has allocated what it needs to work at all."""

CLEARED = 2
"""Examinations of one family that came out clean, after which its suspects need twice the growth to be examined."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: wall seconds, families, seed; stop after so many findings (None: never)."""

    families: tuple[Family, ...]
    seconds: float = 60.0
    seed: int = 0
    stop_after: int | None = None
    cases: int | None = None
    minimise_seconds: float = 12.0


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A door was found, and how an honest client is answered there."""

    surface: Surface
    level: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Sliced:
    """A slice of a family against a door has ended; counts are of this slice, ``left`` seconds of the run."""

    surface: Surface
    family: str
    cases: int
    total: int
    left: float
    rss: int


@dataclass(frozen=True, slots=True)
class Suspected:
    """Something was seen and is being examined, minimised and confirmed."""

    surface: Surface
    family: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """It did not show again: not a finding, but the run is not clean either."""

    surface: Surface
    family: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A confirmed finding, and the trial that showed it last."""

    finding: Finding
    trial: Trial


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over."""

    outcome: Outcome


Event = Calibrated | Sliced | Suspected | Unconfirmed | Found | Ended


@dataclass(slots=True)
class Outcome:
    """What a run amounts to."""

    findings: list[Finding] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    reached: dict[tuple[str, str], Reached] = field(default_factory=dict)
    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_covered: list[str] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    starts: int = 0
    seconds: float = 0.0
    seed: int = 0

    @property
    def verdict(self) -> Verdict:
        """Violated wins over inconclusive; held only when something was tested and nothing was left in doubt."""
        if self.findings:
            return Verdict.VIOLATED
        if self.doubts or not sum(self.cases.values()):
            return Verdict.INCONCLUSIVE
        return Verdict.HELD


@dataclass(slots=True)
class _Lane:
    """One family against one door, over all its slices."""

    surface: Surface
    family: Family
    needs_more: bool = True
    cleared: Counter[str] = field(default_factory=Counter)
    floor: dict[str, int] = field(default_factory=dict)
    unconfirmed: Counter[str] = field(default_factory=Counter)
    leak: dict[str, Trial] = field(default_factory=dict)
    slices: int = 0
    hits: int = 0


class Campaign:
    """Runs a Plan against a Harness, and calls ``tell`` with each Event."""

    def __init__(self, harness: Harness, plan: Plan, tell: Callable[[Event], None]) -> None:
        self._harness = harness
        self._plan = plan
        self._tell = tell
        self._triage = Triage(harness, minimise_seconds=plan.minimise_seconds)
        self._known: set[tuple[str, str, str]] = set()
        self._random = random.Random(plan.seed)
        self._peak = (0, 0)
        self.outcome = Outcome(seed=plan.seed)

    async def run(self) -> Outcome:
        """Run until the budget is spent, enough was found, or nothing is left. Raises TargetError, NothingSelected."""
        started = time.monotonic()
        deadline = started + self._plan.seconds
        lanes = await self._lanes()
        while lanes and not self._enough():
            left = deadline - time.monotonic()
            if left <= 0 and all(lane.slices for lane in lanes):
                break
            for place, lane in enumerate(lanes):
                left = deadline - time.monotonic()
                if self._enough() or (left <= 0 and lane.slices):
                    break
                share = left / max(1, len(lanes) - place) if not lane.slices else left / len(lanes)
                await self._slice(lane, min(LARGEST_SLICE, max(SMALLEST_SLICE, share * 0.6)), left)
            lanes = [lane for lane in lanes if lane.needs_more]
        self._reach_claims()
        self.outcome.starts = self._harness.starts
        self.outcome.seconds = time.monotonic() - started
        self._tell(Ended(self.outcome))
        return self.outcome

    def _enough(self) -> bool:
        enough = self._plan.stop_after is not None and len(self.outcome.findings) >= self._plan.stop_after
        spent = self._plan.cases is not None and sum(self.outcome.cases.values()) >= self._plan.cases
        return enough or spent

    async def _lanes(self) -> list[_Lane]:
        standing = await self._harness.standing()
        surfaces = self._harness.surfaces(standing)
        self.outcome.surfaces = list(surfaces)
        lanes = []
        for surface in surfaces:
            result = await self._harness.calibrate(surface.key)
            self._tell(Calibrated(surface, result.level, result.ok))
            if not result.ok:
                self.outcome.doubts.append(f"{surface.key}: an honest client was not served before any attack")
            elif result.level == "handshake":
                self.outcome.not_covered.append(
                    f"{surface.key}: only the handshake of an honest client was checked, not the application"
                    " (give --probe)"
                )
            lanes += [_Lane(surface, family) for family in self._plan.families]
        if not lanes:
            raise NothingSelected("Nothing was selected to run; see `zmqfuzz list` for the families.")
        if not standing.observer.sees:
            self.outcome.not_covered.append(
                "memory, descriptors, crashes: no process to watch (pass -- COMMAND or --pid)"
            )
        for entry in invariants().values():
            if not entry.applies(self._harness.limits):
                option = "--" + entry.declared.replace("_", "-")
                self.outcome.not_covered.append(f"{entry.code} {entry.name}: no limit was declared ({option})")
        self._random.shuffle(lanes)
        return lanes

    async def _slice(self, lane: _Lane, seconds: float, left: float) -> None:
        situation = Situation(lane.surface, self._harness.limits, self._harness.budget)
        seed = self._random.getrandbits(32)

        async def test(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
            return await self._test(lane, attack, shrinking)

        most = self._plan.cases or 100_000
        shrink = min(4.0, self._plan.minimise_seconds / 3)
        catch, cases = await search(lane.family, situation, test, seed=seed, seconds=seconds, shrink=shrink, most=most)
        lane.slices += 1
        key = (lane.surface.key, lane.family.name)
        self.outcome.cases[key] += cases
        if catch is None:
            catch = await self._end_of_slice(lane, left)
        if catch is not None:
            await self._triaged(lane, catch)
        sample = (await self._harness.standing()).observer.sample()
        total = sum(self.outcome.cases.values())
        rss = sample.rss if sample is not None else 0
        self._tell(Sliced(lane.surface, lane.family.name, cases, total, left, rss))

    async def _test(self, lane: _Lane, attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        harness = self._harness
        if shrinking is not None and harness.target.restartable:
            trial = (await harness.fresh_trials((attack,), lane.surface.key, recover=SHORT_RECOVER))[-1]
        else:
            trial = await harness.trial(attack, lane.surface.key)
        key = (lane.surface.key, lane.family.name)
        self.outcome.reached[key] = max(self.outcome.reached.get(key, Reached.NOTHING), trial.reached)
        if shrinking is not None and invariants()[shrinking.code].examines:
            entry = invariants()[shrinking.code]
            still = entry.suspects is not None and entry.suspects(trial, harness.limits)
            return (_again(shrinking) if still else None), trial
        self._count(trial)
        violation = judge_trial(trial, harness)
        if violation is not None and self._is_known(lane, violation, attack, trial):
            (await harness.standing()).spoiled = True
            lane.hits += 1
            lane.needs_more = lane.hits < 5
            violation = None
        if violation is None and shrinking is None:
            violation = await self._suspicions(lane, attack, trial)
        if shrinking is not None and violation is not None and violation.code != shrinking.code:
            violation = None
        return violation, trial

    def _count(self, trial: Trial) -> None:
        """Which promises this trial put to the test: those that were made, and could be seen."""
        watched = trial.observation.baseline is not None
        for entry in invariants().values():
            seen = bool(trial.observation.probes) if entry.code == "ZF102" else watched or bool(entry.declared)
            if seen and entry.applies(self._harness.limits):
                self.outcome.checks[entry.code] += 1

    def _is_known(self, lane: _Lane, violation: Violation, attack: Attack, trial: Trial) -> bool:
        signature = signature_of(violation, attack, trial.observation.log_tail)
        return (lane.surface.key, violation.code, signature) in self._known or lane.unconfirmed[violation.code] > 1

    async def _suspicions(self, lane: _Lane, attack: Attack, trial: Trial) -> Violation | None:
        """Examine at once what looks held; remember for the end of the slice what looks left behind."""
        for entry in invariants().values():
            if entry.suspects is None or not entry.suspects(trial, self._harness.limits):
                continue
            if entry.examines == "rounds":
                if self._stays(entry, trial) and left_behind(entry, trial) > left_behind(
                    entry, lane.leak.get(entry.code)
                ):
                    lane.leak[entry.code] = trial
                continue
            if self._is_known_shape(lane, entry, attack) or left_behind(entry, trial) < lane.floor.get(entry.code, 0):
                continue
            self._tell(Suspected(lane.surface, lane.family.name, entry.code, "looks as if it holds memory; examining"))
            confirmed = await self._triage.examine(entry, attack, lane.surface.key, trial, times=1)
            if confirmed.violation is not None:
                return confirmed.violation
            self._clear(lane, entry, trial)
        return None

    def _stays(self, entry: Invariant, trial: Trial) -> bool:
        """Whether a suspect left more behind than this process had ever kept; its first attacks only warm it up."""
        if entry.code != "ZF204":
            return True
        starts, peak = self._peak
        settled = trial.observation.settled
        now = settled.rss if settled is not None else 0
        if starts != self._harness.starts:
            peak = 0
        self._peak = (self._harness.starts, max(peak, now))
        return len(self._harness.last_history) >= WARM_UP and now - peak > 256 * 1024

    async def _adds_up(self, lane: _Lane, entry: Invariant, attack: Attack) -> bool:
        """A cheap first look on the process that runs: does repeating the attack leave more behind each time?"""
        last: int | None = None
        for _ in range(3):
            settled = (await self._harness.trial(attack, lane.surface.key, rest=True)).observation.settled
            if settled is None:
                return True
            now = settled.descriptors if entry.code == "ZF205" else settled.rss // (128 * 1024)
            if last is not None and now <= last:
                return False
            last = now
        return True

    def _is_known_shape(self, lane: _Lane, entry: Invariant, attack: Attack) -> bool:
        marker = (lane.surface.key, entry.code)
        return any(known[:2] == marker and known[2].endswith(shape(attack)) for known in self._known)

    def _clear(self, lane: _Lane, entry: Invariant, trial: Trial) -> None:
        lane.cleared[entry.code] += 1
        if lane.cleared[entry.code] >= CLEARED:
            lane.floor[entry.code] = 2 * left_behind(entry, trial)

    async def _end_of_slice(self, lane: _Lane, left: float) -> Catch | None:
        """Is an honest client still served; and does what was left behind add up over rounds?"""
        harness = self._harness
        trial = await harness.trial(Attack(()), lane.surface.key, ask=True)
        violation = judge_trial(trial, harness)
        if violation is not None and not self._is_known(lane, violation, trial.attack, trial):
            return Catch(violation, trial.attack, trial, trial.attack)
        suspects, lane.leak = lane.leak, {}
        for code, suspect in suspects.items():
            entry = invariants()[code]
            if left <= 0 or lane.cleared[code] >= CLEARED or self._is_known_shape(lane, entry, suspect.attack):
                continue
            attack = _amplified(suspect) if code == "ZF204" else suspect.attack
            if not await self._adds_up(lane, entry, attack):
                continue
            return Catch(entry.violation("something stays behind after each round"), attack, suspect, suspect.attack)
        return None

    async def _triaged(self, lane: _Lane, catch: Catch) -> None:
        code = catch.violation.code
        self._tell(Suspected(lane.surface, lane.family.name, code, catch.violation.sentence))
        history = self._history(catch)
        triaged = await self._triage.finding(catch, lane.surface, history)
        finding, trial, reason = triaged.finding, triaged.trial, triaged.reason
        if finding is None or trial is None:
            if invariants()[code].examines == "rounds":  # it was a suspicion, and the examination has answered it
                self._clear(lane, invariants()[code], catch.trial)
                return
            lane.unconfirmed[code] += 1
            self._tell(Unconfirmed(lane.surface, lane.family.name, code, reason))
            self.outcome.doubts.append(f"{lane.surface.key}: {reason}")
            return
        known = (lane.surface.key, code, finding.signature)
        drawn = (lane.surface.key, code, signature_of(catch.violation, catch.attack, catch.trial.observation.log_tail))
        fresh = known not in self._known
        self._known |= {known, drawn}
        lane.needs_more = catch.trial.observation.exit is None
        if fresh:
            self.outcome.findings.append(finding)
            self._tell(Found(finding, trial))

    def _history(self, catch: Catch) -> tuple[Attack, ...]:
        return tuple(attack for attack in self._harness.last_history if attack.scripts)[-200:]

    def _reach_claims(self) -> None:
        """A family that never reached the state it attacks has tested nothing."""
        for (key, name), reached in sorted(self.outcome.reached.items()):
            family = next(family for family in self._plan.families if family.name == name)
            if reached < family.needs:
                self.outcome.doubts.append(
                    f"{key}: {name} never got to {family.needs.name.lower()}, only to {reached.name.lower()}"
                )


def _again(violation: Violation) -> Violation:
    return type(violation)(
        violation.sentence, *violation.measures, signature=violation.signature, advice=violation.advice
    )


def _amplified(trial: Trial) -> Attack:
    """The attack in the size of a round: about 4 MiB, so that what stays behind shows above a program's own drift.

    Less where the target was slow: a round should take about half a second.
    """
    size = max(planned(trial.attack), 1)
    return scaled(trial.attack, min(4 * (1 << 20) / size, 2000, max(0.5 / trial.seconds, 1.0 / 16)))
