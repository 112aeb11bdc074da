"""What is known of each door: findings, what was examined and cleared, and how long that took."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from zmqfuzz.campaign.judging import left_behind
from zmqfuzz.campaign.naming import ANYWHERE, SHAPED, shape, signature_of, way_of
from zmqfuzz.campaign.volleys import FIRST
from zmqfuzz.catalogue import Family, Invariant, invariants
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface, Trial

__all__ = ["HELD", "Known", "Lane"]

CLEARED = 2
"""Examinations that came out clean, after which suspects need twice the growth, or their share of the time."""

HELD, WARM = "ZF203", 16 << 20
"""What is examined at once, and octets up to which a clean examination of it counts at every door: a process warms up
once, whichever door it is asked at."""

LEAK_SHARE = 0.3
"""Of a run, for examinations for leaks, after the first CLEARED of a door."""

WAITING = ""
"""Instead of a signature: what was caught is not triaged yet."""

ENOUGH_HITS, WORTH_A_HIT = 5, 50
"""Times a family may run into what is known before its other attacks are left alone, as each costs a restart; and
attacks that are worth one more."""


@dataclass(slots=True)
class Lane:
    """One family against one door, over all its slices."""

    surface: Surface
    family: Family
    needs_more: bool = True
    unconfirmed: Counter[str] = field(default_factory=Counter)
    leak: dict[str, Trial] = field(default_factory=dict)
    picked: list[Trial] = field(default_factory=list)
    busiest: Trial | None = None
    played: int = 0
    slices: int = 0
    cases: int = 0
    hits: int = 0
    volley: int = FIRST
    alone: deque[Attack] = field(default_factory=deque)

    def hit(self) -> None:
        """It ran into what is known."""
        self.hits += 1
        self.needs_more = self.hits < ENOUGH_HITS + self.cases // WORTH_A_HIT


class Known:
    """The findings and cleared suspicions of a run."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()
        self._supposed: set[tuple[str, str, str]] = set()
        self._began = time.monotonic()
        self.cleared: Counter[tuple[str, str]] = Counter()
        self._floor: dict[tuple[str, str], int] = {}
        self._examined: dict[str, tuple[int, float]] = {}

    def remember(self, ways: Iterable[tuple[str, str, str]]) -> None:
        """Findings of other runs, as door, code and signature."""
        self._known |= {way_of(*way) for way in ways}

    def ways(self) -> frozenset[tuple[str, str, str]]:
        """All findings so far, as door, code and signature; not what was only caught: another run may confirm it."""
        return frozenset(marker for marker in self._known - self._supposed if marker[2] != WAITING)

    def learn(self, lane: Lane, code: str, signature: str) -> bool:
        """Note a finding; False when it was known."""
        marker = way_of(lane.surface.key, code, signature)
        fresh = marker not in self._known
        self._known.add(marker)
        self._supposed.discard(marker)
        return fresh

    def suppose(self, lane: Lane, code: str, signature: str) -> None:
        """What was caught is taken for a finding in this run, so that it is not caught again."""
        marker = way_of(lane.surface.key, code, signature)
        if marker not in self._known:
            self._known.add(marker)
            self._supposed.add(marker)

    def put_off(self, lane: Lane, code: str) -> None:
        """A catch waits for its triage: until then it is taken for known."""
        self._known.add((lane.surface.key, code, WAITING))

    def resume(self, lane: Lane, code: str) -> None:
        """Its triage begins."""
        self._known.discard((lane.surface.key, code, WAITING))

    def knows(self, lane: Lane, violation: Violation, attack: Attack, trial: Trial) -> bool:
        """Whether this way of failing is a finding already, or could not be confirmed twice."""
        signature = signature_of(violation, attack, trial.observation.log_tail)
        known = way_of(lane.surface.key, violation.code, signature) in self._known
        return known or lane.unconfirmed[violation.code] > 1

    def clear(self, lane: Lane, code: str, trial: Trial) -> None:
        """An examination came out clean."""
        amount = 2 * left_behind(invariants()[code], trial)
        for where, most in ((lane.surface.key, amount), *([(ANYWHERE, WARM)] if code == HELD else [])):
            self.cleared[where, code] += 1
            if self.cleared[where, code] >= CLEARED:
                self._floor[where, code] = max(self._floor.get((where, code), 0), min(amount, most))

    def examined(self, lane: Lane, code: str, seconds: float) -> None:
        """An examination for leaks took so long; those of a door take no more than their share of a run."""
        if invariants()[code].examines == "rounds":
            count, spent = self._examined.get(lane.surface.key, (0, 0.0))
            self._examined[lane.surface.key] = count + 1, spent + seconds

    def may_examine(self, lane: Lane) -> bool:
        """Whether examinations for leaks have not taken their share of the run yet."""
        count, spent = self._examined.get(lane.surface.key, (0, 0.0))
        return count < CLEARED or spent < LEAK_SHARE * (time.monotonic() - self._began)

    def below_floor(self, lane: Lane, entry: Invariant, trial: Trial) -> bool:
        """Whether as much was examined already, and cleared."""
        floors = [self._floor.get((where, entry.code), 0) for where in (lane.surface.key, ANYWHERE)]
        return left_behind(entry, trial) < max(floors)

    def knows_shape(self, lane: Lane, entry: Invariant, attack: Attack) -> bool:
        """Whether something is known that is held, or left behind, for the same reason."""
        return self.here(lane, entry.code, shape(attack) if entry.code in SHAPED else "")

    def here(self, lane: Lane, code: str, words: str = "") -> bool:
        """Whether a finding with this code, and these words at the end of its signature, is known at the door."""
        marker = (lane.surface.key, code)
        return any(known[:2] == marker and known[2].endswith(words) for known in self._known)
