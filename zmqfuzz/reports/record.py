"""A stored run as typed data: what its lines and its outcome hold. Reading it is strict; fields may be added later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from zmqfuzz.campaign.reach import Row, rows_from
from zmqfuzz.finding import Severity, Verdict

__all__ = ["FORMAT", "Case", "Check", "Door", "Finding", "Found", "Gate", "Outcome", "Run", "Started", "build"]

UNFINISHED = "the run did not come to its end: it was killed, or it is still going"

FORMAT = 1
"""Of ``run.json`` and ``events.jsonl``; a change that an older zmqfuzz would misread raises it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Started:
    """What was to be done: the first line. ``description`` is the target as :meth:`Spec.to_plain` tells it.

    ``words`` of the command line, without secrets.
    """

    target: str = "unknown"
    time: str = ""
    seed: int = 0
    seconds: float = 0.0
    families: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    fail_on: str = "low"
    inconclusive: str = "fail"
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Door:
    """A door that was found, and how an honest client was answered; fields as of a Surface."""

    door: str
    address: str
    level: str
    ok: bool
    socket_type: str = ""
    mechanism: str = "NULL"
    version: str = "3.1"
    side: str = "bind"


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding without its attacks; ``history`` counts the attacks before it, ``measures`` are name, value, limit."""

    id: str
    code: str
    title: str
    severity: Severity
    sentence: str
    signature: str
    target: str
    door: str
    surface: dict[str, Any]
    measures: tuple[tuple[str, str, str], ...] = ()
    confirmed: int = 1
    tried: int = 1
    owner: str = "unknown"
    advice: str = ""
    control: str = ""
    history: int = 0
    log_tail: str = ""
    seconds: float = 0.0
    sent: int = 0
    notes: tuple[str, ...] = ()
    source: str = ""
    opened: str = ""
    cost: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding as it was told, and saved in ``folder``; ``marks`` are steps of the attack.

    Curves are lists of seconds, octets sent, resident octets, virtual octets, descriptors. ``asked`` and ``calm``: an
    honest client's answers, under attack and in the control: when they were asked for, how long they took, whether
    they came. ``rounds``: resident octets, descriptors, connections without a peer after each round of an examination.
    """

    finding: Finding
    door: str
    family: str
    text: str
    folder: str = ".zmqfuzz/findings"
    transcript: tuple[str, ...] = ()
    series: tuple[tuple[float, int, int, int, int], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    control: tuple[tuple[float, int, int, int, int], ...] = ()
    asked: tuple[tuple[float, float, bool], ...] = ()
    calm: tuple[tuple[float, float, bool], ...] = ()
    rounds: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A family at a door. ``tested``: it got to the state that it attacks; ``seconds`` of its slices."""

    door: str
    family: str
    cases: int
    reached: str = "nothing"
    needs: str = ""
    tested: bool = True
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant in this run: ``result`` is ``held``, ``violated``, ``in doubt`` or ``not exercised``."""

    code: str
    name: str
    title: str
    count: int
    result: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What was decided: the exit code, one sentence why, and finding IDs by what the baseline says of them.

    ``known``: ID and reason; ``lines``: what else a person is told.
    """

    code: int
    sentence: str
    new: tuple[str, ...] = ()
    known: dict[str, str] = field(default_factory=dict)
    expired: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run amounts to. ``complete``: it was written at the end of the run; ``error``: how the run failed.

    ``fixed``: IDs of findings of earlier runs that their replay did not show any more.
    """

    verdict: str
    findings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    cases: tuple[Case, ...] = ()
    doubts: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    reach: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    seconds: float = 0.0
    gate: Gate | None = None
    error: str = ""
    complete: bool = True
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``name`` is that of its folder; ``said``: what could not be read of it."""

    name: str
    started: Started
    doors: tuple[Door, ...]
    found: tuple[Found, ...]
    outcome: Outcome
    memory: tuple[tuple[float, int], ...] = ()
    said: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The reach map."""
        return rows_from(self.outcome.reach) if "cells" in self.outcome.reach else ()

    def status(self, id: str) -> str:
        """``new``, ``known`` or ``expired``, as the gate had it."""
        gate = self.outcome.gate
        if gate is not None and id in gate.known:
            return "known"
        return "expired" if gate is not None and id in gate.expired else "new"


def build(name: str, events: Sequence[Mapping[str, Any]], plain: Mapping[str, Any] | None, said: Iterable[str]) -> Run:
    """A run from its events and its outcome (None: there is none); what is not understood is said, and left out."""
    notes = list(said)

    def read(kind: type[T], value: object, what: str) -> T | None:
        try:
            return msgspec.convert(value, kind, strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            notes.append(f"{what} cannot be understood ({error}); it was left out")
            return None

    def of(kind: type[T], word: str) -> tuple[T, ...]:
        several = [read(kind, event, f"an event {word!r}") for event in events if event["event"] == word]
        return tuple(one for one in several if one is not None)

    started = next(iter(of(Started, "started")), Started())
    found = of(Found, "found")
    outcome = read(Outcome, plain, "the outcome") if plain is not None else None
    timed, memory = _slices(of(_Slice, "slice"))
    if outcome is None:
        outcome = _unfinished(found, timed)
    cases = tuple(replace(one, seconds=timed.get((one.door, one.family), (0, 0.0))[1]) for one in outcome.cases)
    return Run(name, started, of(Door, "door"), found, replace(outcome, cases=cases), memory, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Slice:
    door: str
    family: str
    cases: int
    took: float
    at: float
    rss: int


_Timed = dict[tuple[str, str], tuple[int, float]]
"""By door and family: attacks, and seconds."""


def _slices(slices: Iterable[_Slice]) -> tuple[_Timed, tuple[tuple[float, int], ...]]:
    """Attacks and seconds of each family at each door, and the target's memory after each slice."""
    timed: _Timed = {}
    memory = []
    for one in slices:
        cases, seconds = timed.get((one.door, one.family), (0, 0.0))
        timed[(one.door, one.family)] = cases + one.cases, round(seconds + one.took, 3)
        if one.rss:
            memory.append((one.at, one.rss))
    return timed, tuple(memory)


def _unfinished(found: tuple[Found, ...], timed: _Timed) -> Outcome:
    """What can be said of a run that was killed, or that is still going."""
    return Outcome(
        verdict=(Verdict.VIOLATED if found else Verdict.INCONCLUSIVE).value,
        findings=tuple(one.finding.id for one in found),
        cases=tuple(Case(door, family, cases, tested=True) for (door, family), (cases, _) in timed.items()),
        doubts=(UNFINISHED,),
        complete=False,
    )
