"""Nothing is at work any more when the peers have gone."""

from __future__ import annotations

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.measured import Rest
from zmqfuzz.trial import Examination, Trial

__all__ = ["comes_to_rest"]

ALWAYS, SELDOM = 0.95, 0.5
"""Shares of looks at which a thread runs: where one never rests, and where none does that all the time."""

MORE = 0.02
"""Share of a processor by which it must be busier: on a machine where fifty others want one, a thread gets as much."""


def spins(trial: Trial) -> bool:
    """Whether a thread never rests in two looks after the attack, and was at rest before it."""
    if trial.observation.exit is not None or len(trial.observation.rests) < 3:
        return False
    before, *after = trial.observation.rests
    busy = all(rest.running >= ALWAYS and rest.cpu >= before.cpu + MORE for rest in after)
    return busy and before.running <= SELDOM


def _said(rest: Rest) -> str:
    return f"{rest.cpu:.0%}"


@invariant(
    "ZF105",
    "A thread spins after an attack, with nobody connected",
    severity=Severity.MEDIUM,
    examines="rest",
)
def comes_to_rest(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """With nobody connected the target is as much at rest after an attack as before it.

    Why: a loop that waits for what never comes takes a processor for ever, from the program's own work and from all
    others on the machine; a few such messages take all processors. Measured: after an attack of a few
    hundred messages, with all peers gone, and after at least six seconds in which some thread ran at each of hundreds
    of looks, and three of a processor's time were used, two more windows of a second: a thread runs, or waits for a
    processor, at 95 of 100 looks, and more of a processor is used than before the attack, on three fresh processes,
    where it was at rest before, and is after an honest peer that sent as many messages: else it may only be at work on
    what it took. Inconclusive: no process to watch; one that is never at rest is not judged. To fix: do not poll with a
    timeout of 0 while something is left over that cannot be done; drop it after some tries, or wait longer each time.
    """
    if seen.doubts or not seen.trials or not seen.controls or any(map(spins, seen.controls)):
        return
    if not all(map(spins, seen.trials)):
        return
    before, *after = seen.trials[0].observation.rests
    raise violated(
        f"With nobody connected a thread went on and on, with {after[0].cpu:.0%} of a processor.",
        Measure(
            "processor before, after, later", ", ".join(map(_said, (before, *after))), f"< {before.cpu + MORE:.0%}"
        ),
        Measure("looks at which a thread ran", ", ".join(f"{rest.running:.0%}" for rest in (before, *after))),
        Measure("control", "at rest after an honest peer that sent as many messages"),
        signature="spins with nobody connected",
        advice="Do not poll with a timeout of 0 while something is left over that cannot be done: drop it after some "
        "tries, or wait longer each time.",
    )
