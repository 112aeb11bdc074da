"""What one trial shows, and how much of it: cheap, and before anything is confirmed."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import Invariant, invariants
from zmqfuzz.examiner import stayed
from zmqfuzz.exposure import Exposure
from zmqfuzz.finding import Violation
from zmqfuzz.harness import Harness
from zmqfuzz.trial import Examination, Trial

__all__ = ["broken", "judge_trial", "left_behind", "violations"]

EXECUTED = "ZF301"
"""The invariant that is judged first: code that was executed may end the process, too."""


def judge_trial(trial: Trial, harness: Harness) -> Violation | None:
    """The first violation that one trial shows."""
    return next(violations(trial, harness), None)


def violations(trial: Trial, harness: Harness) -> Iterator[Violation]:
    """All that one trial shows, in the order of the codes; executed code, which explains the rest, first."""
    for entry in sorted(invariants().values(), key=lambda entry: entry.code != EXECUTED):
        if not entry.examines:
            violation = entry.judge(trial, harness.limits)
            if violation is not None:
                yield violation


def broken(seen: Trial | Examination | Exposure, limits: Limits) -> list[Violation]:
    """All that ``seen`` shows by itself, by every invariant that judges such a thing."""
    kind = "" if isinstance(seen, Trial) else seen.kind
    judged = (entry.judge(seen, limits) for entry in invariants().values() if entry.examines == kind)
    return [violation for violation in judged if violation is not None]


def left_behind(entry: Invariant, trial: Trial | None) -> int:
    """What a suspect trial held or left behind, in the invariant's own unit (octets, descriptors); 0 without one."""
    if entry.examines == "beside":
        return int(trial is not None)
    if trial is None or (baseline := trial.observation.baseline) is None:
        return 0
    seen = trial.observation
    if entry.examines == "workers":
        return baseline.threads - seen.settled.threads if seen.settled is not None else 0
    sample = seen.held if entry.examines == "held" else seen.settled
    return 0 if sample is None else stayed(entry.code, sample, seen.abandoned) - stayed(entry.code, baseline, 0)
