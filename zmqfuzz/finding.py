"""What a trial means: Violation, Verdict, Finding, and the fingerprint that names a finding everywhere."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from zmqfuzz.script import Attack, Script
from zmqfuzz.trial import Surface

__all__ = ["Finding", "Measure", "Severity", "Verdict", "Violation", "finding_id"]


class Verdict(StrEnum):
    """Three words and a half, never a bool."""

    HELD = "held"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"


class Severity(StrEnum):
    """How bad, from measurement; ordered by :attr:`rank`."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of evidence: what was measured, and the limit beside it."""

    name: str
    observed: str
    limit: str = ""


class Violation(AssertionError):
    """A promise that was broken. One subclass per invariant, made by the ``invariant`` decorator.

    ``culprit``: one script of the attack that shows it by itself, where that is known: it is tried alone first.
    ``severity``: where it is not that of the invariant.
    Hypothesis tells bugs apart by exception class and place, so a shared class would merge them. ``finding`` and its
    failure ``text`` are there once it was confirmed in a test that plays attacks itself.
    """

    code = ""
    title = ""
    severity = Severity.HIGH
    finding: Finding | None = None
    text = ""

    def __init__(
        self,
        sentence: str,
        *measures: Measure,
        signature: str = "",
        advice: str = "",
        culprit: Script | None = None,
        severity: Severity | None = None,
    ) -> None:
        super().__init__(f"{self.code} {sentence}")
        self.sentence = sentence
        self.measures = measures
        self.signature = signature
        self.advice = advice
        self.culprit = culprit
        if severity is not None:
            self.severity = severity

    def again(self) -> Violation:
        """The same, to be raised once more."""
        said = {"signature": self.signature, "advice": self.advice}
        return type(self)(self.sentence, *self.measures, **said, culprit=self.culprit, severity=self.severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation that was confirmed, with the attack that shows it.

    ``history`` are the attacks that had to be played first on the same process (usually none). ``confirmed`` of
    ``tried`` fresh processes showed it. ``owner``: ``application``, ``libzmq``, ``libzmq design`` or ``unknown``.
    ``source``: the line of the program that opens the socket, as ``/path/server.py:48``, and ``opened`` how it does and
    with which options; empty: not known.
    """

    id: str
    code: str
    title: str
    severity: Severity
    sentence: str
    signature: str
    measures: tuple[Measure, ...]
    surface: Surface
    attack: Attack
    original: Attack
    target: str
    confirmed: int = 1
    tried: int = 1
    owner: str = "unknown"
    advice: str = ""
    control: str = ""
    history: tuple[Attack, ...] = ()
    log_tail: str = ""
    seconds: float = 0.0
    sent: int = 0
    notes: tuple[str, ...] = field(default=())
    source: str = ""
    opened: str = ""


def finding_id(code: str, *parts: str) -> str:
    """``ZF203-7q2k``: the code and four base-32 letters of a hash over what names the bug.

    Seed, time and addresses must not be among ``parts``: two machines give the same bug the same name.
    """
    digest = hashlib.sha256("\0".join((code, *parts)).encode()).digest()
    return f"{code}-{base64.b32encode(digest[:3]).decode().lower()[:4]}"
