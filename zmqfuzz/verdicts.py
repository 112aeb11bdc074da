"""What an item of a pytest session amounts to: held, known, violated or inconclusive, and what pytest is told of it.

Contract: importing this module loads nothing of the engine. Whatever a target said is printable in what comes out.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.expected import Expected

if TYPE_CHECKING:
    from zmqfuzz.assembly import Spec
    from zmqfuzz.finding import Finding
    from zmqfuzz.trial import Trial

__all__ = [
    "HERE",
    "AttackFailed",
    "Cover",
    "Ending",
    "Here",
    "Result",
    "Session",
    "again",
    "in_a_suite",
    "judged",
    "lines_printable",
    "told",
]

_KEYS = (
    "bind",
    "connect",
    "probe",
    "counter",
    "ready",
    "start-within",
    "stop-signal",
    "allow-remote",
    "seeds",
    "username",
    "password",
    "server-key",
    "client-key",
    "our-secret-key",
)
"""Of a target, beside what it promises."""


class AttackFailed(AssertionError):
    """An item failed; the message is complete, printable, and needs no traceback. ``summary`` is one line of it."""

    def __init__(self, text: str, summary: str) -> None:
        super().__init__(text)
        self.summary = summary


@dataclass(frozen=True, slots=True)
class Session:
    """What was decided for an item: by the session's options, and by its own mark ``zmqfuzz``.

    ``late``: see :class:`~zmqfuzz.campaign.events.Plan`.
    ``folder`` is where relative paths begin (rootdir), ``shell`` where the user typed the command. ``fail_on``: a
    severity; what is less is only told. ``isolation``: a fresh process for each ``case``, each ``test``, or one for the
    ``session``. ``recorded``: play these findings (IDs, paths, or ``all``) instead of attacks that are drawn.
    ``known`` is what the marks of the item expect, ``accepted`` what the baseline accepts, found or not.
    """

    seconds: float = 5.0
    late: float = 10.0
    seed: int = 0
    inconclusive: Literal["fail", "warn", "pass"] = "warn"
    folder: Path = Path()
    shell: Path = Path()
    store: Path = Path(".zmqfuzz")
    fail_on: str = "low"
    isolation: Literal["case", "test", "session"] = "test"
    known: tuple[Expected, ...] = ()
    accepted: tuple[Expected, ...] = ()
    recorded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cover:
    """Of one target: which of its promises, as fields of Limits, were put to the test (``tested``).

    ``target`` is one word for the same program and promises, ``name`` what people call it. Of an item: its ``family``,
    of how many that were made for the target (``whole``; 0: some were chosen); all promises that were ``made``, and
    those that it is there to test (``answers``: it is inconclusive itself where it did not).
    """

    target: str
    name: str
    tested: tuple[str, ...] = ()
    family: str = ""
    whole: int = 0
    made: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How an item ended, small and plain enough to travel between pytest-xdist's processes.

    ``metrics``: of each that was measured, by name, the least, the most, and the strategy of that attack.
    """

    verdict: str
    findings: tuple[str, ...] = ()
    cases: int = 0
    reason: str = ""
    known: tuple[str, ...] = ()
    metrics: Mapping[str, tuple[float, float, str]] = field(default_factory=dict)
    covers: tuple[Cover, ...] = ()


class Here:
    """The item that runs in this process now, as far as a target that a test plays itself must know it.

    ``turn`` counts the items; ``cases``, ``doubts`` and ``minor`` are what was played, what could not be said, and what
    was found that is less than ``fail_on``, since it began. ``result``: how it has ended, where it ended itself.
    ``metrics``: as in a Result. ``unfit``: why nothing of an attack can have got to the application. ``tested``: the
    promises that were put to the test, by the target's word and name (:class:`Cover`).
    """

    def __init__(self) -> None:
        self.turn = self.cases = 0
        self.doubts: list[str] = []
        self.minor: dict[str, Finding] = {}
        self.result: Result | None = None
        self.metrics: dict[str, tuple[float, float, str]] = {}
        self.unfit: list[str] = []
        self.tested: dict[tuple[str, str], set[str]] = {}
        self._decided: Callable[[], tuple[Session, str]] = lambda: (Session(), "")

    def begin(self, decided: Callable[[], tuple[Session, str]]) -> None:
        """Another item begins; ``decided`` gives what holds for it, and its ID, where that is asked for."""
        self.turn += 1
        self.cases, self.doubts, self.minor, self.result, self.metrics, self.unfit = 0, [], {}, None, {}, []
        self.tested = {}
        self._decided = functools.cache(decided)

    @property
    def session(self) -> Session:
        """What holds for it."""
        return self._decided()[0]

    @property
    def nodeid(self) -> str:
        """As it must be typed where the user is."""
        return self._decided()[1]


HERE = Here()
"""Of this process; outside of pytest it stays as it is."""


@dataclass(slots=True)
class Ending:
    """What an item amounts to, and at most one way to tell pytest."""

    result: Result
    failure: AttackFailed | None = None
    skipped: str = ""
    expected: str = ""
    warnings: tuple[str, ...] = ()

    def noting(self, metrics: Mapping[str, tuple[float, float, str]], *covers: Cover) -> Ending:
        """With what was measured, and what was put to the test."""
        return replace(self, result=replace(self.result, metrics=dict(metrics), covers=covers))

    def act(self) -> None:
        """Raise what pytest understands; nothing where it held."""
        __tracebackhide__ = True
        import warnings

        import pytest

        for text in self.warnings:
            warnings.warn(pytest.PytestWarning(text), stacklevel=2)
        if self.failure is not None:
            raise self.failure
        if self.skipped:
            pytest.skip(self.skipped)
        if self.expected:
            pytest.xfail(self.expected)


def told(store: Path, finding: Finding, trial: Trial | None, spec: Spec | None) -> str:
    """The failure text of a finding, which is saved with ``spec`` (None: it is kept already); or why it was not."""
    from zmqfuzz.campaign.corpus import Corpus
    from zmqfuzz.campaign.report import failure_message

    corpus = Corpus(store)
    text = failure_message(finding, trial, folder=corpus.findings / finding.id).rstrip("\n")
    try:
        if spec is not None:
            corpus.save(finding, spec.to_plain(), trial)
    except ZmqfuzzError as error:  # a full disk must not cost the finding
        text += f"\n  Not saved: {lines_printable(str(error))}"
    return text


def judged(
    session: Session,
    nodeid: str,
    family: str,
    findings: Sequence[Finding],
    texts: Mapping[str, str],
    *,
    doubts: Sequence[str] = (),
    cases: int = 0,
    option: str = "",
    searched: bool = True,
) -> Ending:
    """Sort what was found into new, known and minor. ``texts`` are the messages by ID; ``doubts``: it is inconclusive.

    ``searched``: what is known and was not found is gone; else nothing was looked for but what was recorded.
    """
    from zmqfuzz.campaign.report import summary_line
    from zmqfuzz.finding import Severity

    expected = [entry for entry in session.known if entry.concerns(family)]
    new: list[Finding] = []
    late: list[str] = []
    known: dict[str, Expected] = {}
    minor: list[Finding] = []
    for finding in findings:
        entry = next((entry for entry in (*expected, *session.accepted) if entry.fits(finding)), None)
        if entry is not None and not entry.over:
            known[finding.id] = entry
        elif finding.severity.rank > Severity(session.fail_on).rank:
            minor.append(finding)
        else:
            new.append(finding)
            late += [f"  {entry.expired}"] if entry is not None else []
    gone = _gone(expected, nodeid, findings, clear=searched and not doubts)
    reason = "; ".join(doubts)
    names = tuple(finding.id for finding in (*new, *minor))
    told = tuple(known)
    notes = [f"  Also inconclusive: {doubt}" for doubt in doubts]
    notes += [f"  Also found: {name}, {entry}" for name, entry in known.items()]
    warnings = tuple(f"{summary_line(finding)} (less than {session.fail_on})" for finding in minor)
    if new or gone:
        parts = [*[texts[finding.id] for finding in new], *late, *gone, "\n".join(notes)]
        alone = session.isolation != "session" or not any(finding.history for finding in new)
        parts.append(
            again(session, nodeid if alone else "", [finding.id for finding in new], option, drawn=bool(family))
        )
        more = f" (and {len(new) - 1} more)" if len(new) > 1 else ""
        summary = summary_line(new[0]) + more if new else gone[0].strip()
        failure = AttackFailed("\n\n".join(filter(None, parts)) + "\n", summary)
        return Ending(Result("violated", names, cases, "" if new else summary, told), failure, warnings=warnings)
    if doubts:
        ending = Ending(Result("inconclusive", names, cases, reason, told), warnings=warnings)
        if session.inconclusive == "fail":
            text = "\n".join(["INCONCLUSIVE", *[f"  {line}" for line in doubts], ""])
            ending.failure = AttackFailed(
                f"{text}\n{again(session, nodeid, (), option, drawn=bool(family))}\n", f"INCONCLUSIVE: {reason}"
            )
        elif session.inconclusive == "warn":
            ending.skipped = reason
        return ending
    if known:
        said = "; ".join(f"{name}, {entry}" for name, entry in known.items())
        return Ending(Result("known", names, cases, said, told), expected=said, warnings=warnings)
    return Ending(Result("held", names, cases), warnings=warnings)


def _gone(expected: Iterable[Expected], nodeid: str, findings: Sequence[Finding], *, clear: bool) -> list[str]:
    """Sentences for what was expected and is not there any more."""
    sentences = []
    for entry in expected:
        seen = any(entry.fits(finding) for finding in findings)
        entry.whole &= clear or seen
        if entry.ended(nodeid, seen=seen):
            sentences.append(f"  {entry.gone}")
    return sentences


def again(session: Session, nodeid: str, ids: Iterable[str], option: str = "", *, drawn: bool = True) -> str:
    """How to see it again: each finding alone, and the whole item; ``option`` is what pytest needs to have it.

    Without a ``nodeid`` no item shows it alone: it needs what others played on the same process.
    ``drawn``: its attacks follow our seed; what a test of its own plays does not.
    """
    store = f" --store {shlex.quote(str(session.store))}" if session.store != session.shell / ".zmqfuzz" else ""
    quoted = shlex.quote(nodeid) if set(nodeid) & set('"$`\\!') else f'"{nodeid}"'
    lines = [f"    zmqfuzz replay {name}{store}" for name in ids]
    more = f" {option}" if option else ""
    if drawn:
        more += f" --zmqfuzz-seed {session.seed} --zmqfuzz-budget {session.seconds:g}s"
    lines += [f"    pytest {quoted}{more}"] if nodeid else []
    return "\n".join(["  See it again", *map(lines_printable, lines)])


_SAID = {"for": "--zmqfuzz-budget", "store": "--zmqfuzz-store", "baseline": "--zmqfuzz-baseline"}


def in_a_suite(text: str, *, declared: bool = False) -> str:
    """``text`` with the options of ``zmqfuzz run`` as they are called here.

    They are keywords of ``zmqfuzz.target``, or keys in pyproject.toml where the target is ``declared`` there.
    """
    from zmqfuzz.contract import PROMISES  # which every session of the environment would pay for

    def word(found: re.Match[str]) -> str:
        name = found[1]
        if name in _SAID:
            return _SAID[name]
        if name not in _KEYS and name not in (promise.key for promise in PROMISES):
            return found[0]
        return f"{name} =" if declared else f"{name.replace('-', '_').replace('mem_cap', 'hard_cap')}="

    ours, it_said, theirs = text.partition(" It said last:\n")
    return re.sub(r"(?<![\w-])--([a-z][a-z-]*[a-z])\b", word, ours) + it_said + theirs


def lines_printable(text: str) -> str:
    """``text`` with its line breaks, and nothing else that could act on a terminal or break an XML file."""
    from zmqfuzz.campaign.report import printable

    return "\n".join(printable(line) for line in text.rstrip().split("\n"))
