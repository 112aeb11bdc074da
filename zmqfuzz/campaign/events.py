"""What a run is asked to do, what it tells as it goes, and what it amounts to: plain data, no engine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis.strategies import SearchStrategy

from zmqfuzz.campaign.envelope import Envelope
from zmqfuzz.campaign.reach import Reach
from zmqfuzz.catalogue import Family
from zmqfuzz.exposure import EXPOSURE, Exposure
from zmqfuzz.finding import Finding, Verdict
from zmqfuzz.rating import RATING
from zmqfuzz.script import Attack
from zmqfuzz.trial import Examination, Reached, Surface, Trial

__all__ = [
    "Calibrated",
    "Ended",
    "Event",
    "Found",
    "Outcome",
    "Plan",
    "Sliced",
    "Suspected",
    "Unconfirmed",
    "Waiting",
    "doubted",
]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was caught, and not triaged in time: ``history`` are the attacks before it, ``said`` a sentence."""

    door: str
    family: str
    code: str
    attack: Attack
    history: tuple[Attack, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: wall seconds, families, seed; stop after so many findings (None: never).

    ``shrinking``: Hypothesis draws, and shrinks what was caught; else the fast driver draws, and only our own
    minimiser makes it smaller. ``seeds`` and ``payloads``: as in :class:`~zmqfuzz.catalogue.Situation`. ``accepted``:
    IDs of findings that are known already, and do not count for ``stop_after``.
    ``stop``: when it is looked at how the target ends: where it promises something about that, or in any case.
    ``exposure``: when it is looked at what it shows without an attack (:mod:`zmqfuzz.exposure`), likewise.
    ``looks``: by name, what else is looked at, each door by itself: :data:`~zmqfuzz.rating.RATING`, where a rate is
    promised; :data:`~zmqfuzz.backlog.BACKLOG`; :data:`~zmqfuzz.company.COMPANY`;
    :data:`~zmqfuzz.dropping.DROPS`, where that is promised.
    ``late``: seconds by which it may be late to play some attacks of each family at each door, where chance may have
    missed what they are to attack.
    ``isolated``: each attack that is drawn meets a fresh process, where that is possible.
    ``known``: ways of failing that are findings already, as door, code and signature: they are not caught again.
    ``corpus``: attacks by the door they were kept for, played before others are drawn.
    ``again``: what has waited for its triage since an earlier run; ``settle``: that, and nothing else, is played.
    """

    families: tuple[Family, ...]
    seconds: float = 60.0
    seed: int = 0
    stop_after: int | None = None
    cases: int | None = None
    minimise_seconds: float = 12.0
    shrinking: bool = False
    seeds: tuple[tuple[bytes, ...], ...] = ()
    payloads: SearchStrategy[Any] | None = None
    accepted: frozenset[str] = frozenset()
    stop: Literal["never", "promised", "always"] = "promised"
    exposure: Literal["never", "promised", "always"] = "never"
    late: float = 0.0
    isolated: bool = False
    known: frozenset[tuple[str, str, str]] = frozenset()
    corpus: tuple[tuple[str, Attack], ...] = ()
    looks: frozenset[str] = frozenset({RATING})
    again: tuple[Waiting, ...] = ()
    settle: bool = False

    @property
    def asked(self) -> frozenset[str]:
        """Kinds of examinations (:data:`~zmqfuzz.catalogue.LOOKED_AT`) that were asked for as such."""
        named = {"stop": self.stop == "always", EXPOSURE: self.exposure == "always"}
        looks = self.looks if not self.families else frozenset()
        return looks | {kind for kind, asked in named.items() if asked}


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
    """A suspicion has ended without a finding; ``reason`` says how. Doubts that remain are in the outcome."""

    surface: Surface
    family: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A confirmed finding, the trial that showed it last, and honest traffic of the same volume, if any was played.

    ``evidence``: what was judged when it was confirmed.
    """

    finding: Finding
    trial: Trial
    control: Trial | None = None
    evidence: tuple[Trial | Examination | Exposure, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over."""

    outcome: Outcome


Event = Calibrated | Sliced | Suspected | Unconfirmed | Found | Ended


def doubted(doubts: Iterable[str]) -> frozenset[str]:
    """Codes of invariants that doubts are about, as ``DOOR: ZF101? seen ...``."""
    found = (re.search(r"(?:^|: )([A-Z]+[0-9]+)\? ", doubt) for doubt in doubts)
    return frozenset(match[1] for match in found if match is not None)


@dataclass(slots=True)
class Outcome:
    """What a run amounts to.

    ``seen``: those of the ``doubts``, and of ``not_covered``, that are not about how much was played. ``known``: ways
    of failing that are findings, as door, code and signature. ``waiting``: what was caught and not triaged, which are
    doubts, too.
    """

    findings: list[Finding] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    reached: dict[tuple[str, str], Reached] = field(default_factory=dict)
    reach: Reach = field(default_factory=Reach)
    envelope: Envelope = field(default_factory=Envelope)
    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_covered: list[str] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    seen: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    known: frozenset[tuple[str, str, str]] = frozenset()
    waiting: tuple[Waiting, ...] = ()
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
