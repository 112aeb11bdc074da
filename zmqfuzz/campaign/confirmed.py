"""What confirming a catch came to."""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.exposure import Exposure
from zmqfuzz.finding import Finding, Violation
from zmqfuzz.script import Attack
from zmqfuzz.trial import Examination, Trial

__all__ = ["Confirmed", "Triaged"]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What confirmation saw: ``shown`` of ``tried`` fresh processes, and the last trial and violation that did.

    ``same``: of those shown, how many failed in the way that was asked for. ``growth``: octets that each round of an
    examination left behind. ``control``: the honest traffic beside it. ``evidence``: what was judged, of each process.
    ``forgotten``: what stayed behind was let go of after a pause, which is an answer.
    """

    shown: int
    tried: int
    violation: Violation | None = None
    trial: Trial | None = None
    doubts: tuple[str, ...] = ()
    growth: float = 0.0
    control: Trial | None = None
    evidence: tuple[Trial | Examination | Exposure, ...] = ()
    same: int = 0
    forgotten: bool = False

    @property
    def attack(self) -> Attack | None:
        """What was played in the end, enlarged where that tells more."""
        return self.trial.attack if self.trial is not None else None

    @property
    def holds(self) -> bool:
        """At least two thirds showed it."""
        return self.tried > 0 and self.shown * 3 >= self.tried * 2


@dataclass(frozen=True, slots=True)
class Triaged:
    """A confirmed finding, the trial that showed it last, its control and evidence; or none, and the ``reason``.

    ``unsure``: an examination could not tell, which is not to say that there is nothing.
    """

    finding: Finding | None = None
    trial: Trial | None = None
    reason: str = ""
    control: Trial | None = None
    evidence: tuple[Trial | Examination | Exposure, ...] = ()
    unsure: bool = False
