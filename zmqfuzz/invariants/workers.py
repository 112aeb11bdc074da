"""The workers of a program, threads or processes, are still there when the attack is over."""

from __future__ import annotations

import re

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.trial import Examination, Trial

__all__ = ["workers_stay"]

_DIED = re.compile(
    r"^(?:Exception in thread \S|Process \S+:$|thread '[^'\n]*' (?:\(\d+\) )?panicked at"
    r"|#<Thread:\S+ .*terminated with exception)",
    re.MULTILINE,
)
"""What runtimes say of a thread or child that ends with an error: Python's ``threading.excepthook`` and
``multiprocessing``, the JVM's default handler, Rust's panic hook, Ruby's ``report_on_exception``."""

_ERROR = re.compile(r"^(?:Exception in thread \S+ )?([A-Za-z_][\w.]*(?:Error|Exception|Fault|Again))\b", re.MULTILINE)


def _ended(trial: Trial) -> int:
    """Threads of the process tree that were there before the attack and have not come back."""
    seen = trial.observation
    if seen.baseline is None or seen.settled is None or seen.exit is not None:
        return 0
    return seen.baseline.threads - seen.settled.threads


@invariant(
    "ZF104",
    "A worker ends under attack, and nothing takes its place",
    severity=Severity.MEDIUM,
    examines="workers",
    suspects=lambda trial, limits: _ended(trial) > 0,
)
def workers_stay(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """The threads and child processes that the program had before an attack are there after it.

    Why: a pool of workers that loses one to each bad message serves ever fewer, and in the end nobody, while the
    process lives and shakes hands. Measured: threads of the process tree before the attack and seconds after it, on
    three fresh processes; fewer on each of them, where the program itself says that a worker ended with an error, and
    not fewer beside honest peers that say nothing. Not judged: threads that end without a word, as pools that shrink
    by themselves do. Inconclusive: no process to watch. To fix: catch what one message can raise inside the worker's
    loop; start another worker where one has ended.
    """
    if seen.doubts or not seen.trials or not seen.controls or any(_ended(control) > 0 for control in seen.controls):
        return
    if not all(_ended(trial) > 0 and _DIED.search(trial.observation.log_tail) for trial in seen.trials):
        return
    shown = seen.trials[-1]
    before, after = shown.observation.baseline, shown.observation.settled
    assert before is not None
    assert after is not None
    errors = _ERROR.findall(shown.observation.log_tail)
    error = errors[-1] if errors else "an error"
    ended = before.threads - after.threads
    raise violated(
        f"{ended} of {before.threads} threads had ended with {error} after the attack, and had not been replaced.",
        Measure("threads", f"{before.threads} -> {after.threads}", "as before"),
        Measure("control", "as many as before, beside honest peers that say nothing"),
        signature=f"worker ended with {error}",
        advice="Catch what one message can raise inside the worker's loop, and start another where one has ended.",
    )
