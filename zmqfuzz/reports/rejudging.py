"""A stored run judged again, by the invariants that there are today.

A finding stands where what it was confirmed with breaks its invariant still. What nothing was said of before counts as
a finding when it is seen on at least two processes, as it would have to be in a run; else it is in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from zmqfuzz.budget import Limits
from zmqfuzz.campaign.judging import broken
from zmqfuzz.campaign.keeper import Kept, unpacked
from zmqfuzz.campaign.naming import finding_of, signature_of
from zmqfuzz.catalogue import invariants
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Finding, Violation
from zmqfuzz.reports.journal import read_journal
from zmqfuzz.reports.record import Found, Run
from zmqfuzz.reports.shelf import TRIALS
from zmqfuzz.trial import Examination, Trial

__all__ = ["Again", "Rejudged", "limits_of", "rejudge", "stored_trials"]

PROCESSES = 2
"""On which something new must be seen to be a finding."""

Way = tuple[str, str, str]
"""Door, code and signature."""


@dataclass(frozen=True, slots=True)
class Again:
    """A finding of the run: ``shown`` of the ``tried`` things that it was confirmed with, which are stored.

    ``standing``: it is one today. ``sentence`` says why, or why not.
    """

    found: Found
    standing: bool
    shown: int
    tried: int
    sentence: str


@dataclass(slots=True)
class Rejudged:
    """``new`` findings, each with a trial that shows it; ``doubts`` in words; ``judged``: how many there were, by kind.

    ``doubtful``: attacks behind doubts, as trials, by code.
    """

    again: list[Again] = field(default_factory=list)
    new: list[tuple[Finding, Trial]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    doubtful: dict[str, Trial] = field(default_factory=dict)
    judged: Counter[str] = field(default_factory=Counter)


def stored_trials(folder: Path) -> tuple[list[Kept], list[str]]:
    """What the run in ``folder`` has stored, each once, and sentences about what could not be read. Raises UsageError:
    there is nothing."""
    try:
        lines, said = read_journal(folder / TRIALS)
    except OSError:
        raise UsageError(
            f"{folder.name} has no stored trials: the newest 20 runs have, from this version of zmqfuzz on; run again."
        ) from None
    kept = []
    for text in dict.fromkeys(str(line.get("z", "")) for line in lines):
        try:
            kept += list(unpacked(text))
        except UsageError as error:
            said.append(str(error))
    return kept, said


def limits_of(run: Run) -> Limits:
    """What the target had promised. Raises UsageError."""
    try:
        return msgspec.convert(run.started.description.get("limits", {}), Limits, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(f"What the target of {run.name} had promised cannot be understood ({error}).") from None


def rejudge(run: Run, kept: Iterable[Kept]) -> Rejudged:
    """Judge all that is stored. Pure, but for the catalogue of invariants."""
    limits, result = limits_of(run), Rejudged()
    evidence: dict[str, list[Kept]] = {}
    fresh: dict[Way, list[tuple[Kept, Violation]]] = {}
    tested: dict[tuple[str, str], set[str]] = {}
    for one in kept:
        result.judged[_kind(one)] += 1
        if one.finding:
            evidence.setdefault(one.finding, []).append(one)
        for code in _testing(one, limits):
            tested.setdefault((one.door, code), set()).add(one.process)
        for violation in broken(one.seen, limits):
            if violation.code not in one.shown:
                fresh.setdefault((one.door, violation.code, _signature(one, violation)), []).append((one, violation))
    result.again = [_again(found, evidence.get(found.finding.id, []), limits) for found in run.found]
    for (door, code, _), shown in fresh.items():
        _weigh(result, run, door, shown, len(tested.get((door, code), ())))
    return result


def _kind(one: Kept) -> str:
    return "trial" if isinstance(one.seen, Trial) else "examination" if isinstance(one.seen, Examination) else "look"


def _testing(one: Kept, limits: Limits) -> Iterator[str]:
    """Codes of the invariants that it puts to the test."""
    for entry in invariants().values():
        if isinstance(one.seen, Trial):
            if not entry.examines and entry.tested(one.seen, limits):
                yield entry.code
        elif entry.examines == one.seen.kind:
            yield entry.code


def _signature(one: Kept, violation: Violation) -> str:
    trial = _trial(one)
    return signature_of(violation, trial.attack, trial.observation.log_tail) if trial else violation.signature


def _trial(one: Kept) -> Trial | None:
    if isinstance(one.seen, Trial):
        return one.seen
    return one.seen.trials[0] if isinstance(one.seen, Examination) and one.seen.trials else None


def _again(found: Found, evidence: list[Kept], limits: Limits) -> Again:
    finding = found.finding
    entry = invariants().get(finding.code)
    if entry is None:
        return Again(found, True, 0, 0, f"there is no invariant {finding.code} here: it stays as it was")
    fitting = [one for one in evidence if entry.examines == ("" if isinstance(one.seen, Trial) else one.seen.kind)]
    if not fitting:
        return Again(found, True, 0, 0, "what it was confirmed with is not stored: it stays as it was")
    judged = [entry.judge(one.seen, limits) for one in fitting]
    shown = [violation for violation in judged if violation is not None]
    rare = finding.confirmed < finding.tried
    enough = bool(shown) if rare else len(shown) * 3 >= len(judged) * 2
    sentence = shown[-1].sentence if shown else f"{finding.code} is not broken by what it was confirmed with"
    return Again(found, enough, len(shown), len(judged), sentence)


def _weigh(result: Rejudged, run: Run, door: str, shown: list[tuple[Kept, Violation]], tested: int) -> None:
    """Of one way of failing that the run said nothing of: a finding, or a doubt."""
    processes = {one.process for one, _ in shown}
    smallest = min(shown, key=lambda pair: _size(pair[0]))
    violation, trial = smallest[1], _trial(smallest[0])
    count = f"{len(shown)} of what is stored, on {len(processes)} of {max(tested, len(processes))} processes"
    if trial is None or len(processes) < PROCESSES:
        result.doubts.append(f"{door}: {violation.code}? seen in {count}: {violation.sentence}")
        if trial is not None:
            result.doubtful.setdefault(violation.code, trial)
        return
    notes = (f"judged again: seen in {count}; not made smaller",)
    finding = finding_of(
        violation,
        trial,
        run.started.target,
        confirmed=len(processes),
        tried=max(tested, len(processes)),
        notes=notes,
        bare=None,
    )
    result.new.append((finding, trial))


def _size(one: Kept) -> tuple[int, int]:
    trial = _trial(one)
    return (len(trial.transcripts), trial.sent) if trial is not None else (1 << 30, 0)
