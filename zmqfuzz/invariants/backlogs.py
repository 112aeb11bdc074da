"""What waits in the target is bounded: for a peer that does not read, and for the application itself."""

from __future__ import annotations

from zmqfuzz.backlog import ENOUGH, WAYS, grows_anyway, unlimited, waiting
from zmqfuzz.budget import MIB, Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.measured import Kept
from zmqfuzz.trial import Examination, Trial

__all__ = ["intake_bounded", "unread_bounded"]

LEAST = 1.0
"""Seconds that a target must go on with what it had taken, and at least as long as the taking took."""


def _alive(trials: tuple[Trial, ...]) -> bool:
    return all(trial.observation.exit is None or trial.observation.killed_at_cap for trial in trials)


def _kept(trials: tuple[Trial, ...]) -> list[Kept]:
    return [trial.observation.kept for trial in trials if trial.observation.kept is not None]


def _beside(calm: Trial) -> str:
    return "a peer that reads all of it" if calm.attack.scripts else "nobody connected"


def _said(kept: Kept) -> str:
    rounds = f" in {len(kept.rounds)} rounds," if kept.rounds else ""
    return f"{kept.grown / MIB:.1f} MiB{rounds} in {kept.seconds:.1f} s"


@invariant(
    "ZF210",
    "What a peer does not read is kept for it without limit",
    severity=Severity.HIGH,
    examines="unread",
)
def unread_bounded(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """What waits for one peer that does not read is bounded by a number of messages.

    Why: one reader that stands still, hangs or has vanished makes the target keep all it would have sent it, until its
    memory has gone; honest readers with a slow disk do the same. Measured: a peer has messages sent to it and reads
    none, hardly any, or vanishes. Answers are asked for by thousands, in rounds, each when the target has worked off
    the one before; what a target sends by itself is watched as long. The resident memory that a round adds, divided by
    the size of one message and what libzmq keeps beside it, says how many of it wait at least. Where there is a mark it
    is reached, and the next rounds add nothing. A breach is 16,000 and more after the first round (libzmq's own mark is
    1000), and 4 MiB, as many in the later rounds as in the earlier ones, on three fresh processes, where a quarter as
    much is not gained with nobody connected, or, of answers, beside a peer that reads all. Inconclusive, and told as
    not covered: a target that sends too little in ten seconds to reach so many, or so large messages that memory ends
    first. To fix: set SNDHWM, before bind, to what a slow reader may be behind (0 is no limit); HEARTBEAT_IVL and
    HEARTBEAT_TIMEOUT let go of peers that hang or have vanished.
    """
    every = _kept(seen.trials)
    if seen.doubts or not every or len(every) < len(seen.trials) or not _alive(seen.trials):
        return
    calm = _kept(seen.controls)
    if not calm or not all(map(unlimited, every)) or any(grows_anyway(each, seen.controls[0]) for each in seen.trials):
        return
    worst = every[0]
    label = seen.trials[0].attack.scripts[0].label
    raise violated(
        f"For one {label if label in WAYS else 'reader'} it kept {worst.grown / MIB:.1f} MiB in {worst.seconds:.1f} s: "
        f"{waiting(worst):,} messages at least, and growing.",
        Measure("kept for it", ", ".join(map(_said, every)), f"< {ENOUGH:,} messages"),
        Measure("messages that wait", f">= {min(map(waiting, every)):,} of {worst.size:,.0f} octets"),
        Measure("control", f"{_beside(seen.controls[0])}: {_said(calm[0])}"),
        signature="kept for who does not read",
        advice="Set SNDHWM before bind to what a slow reader may be behind; 0 is no limit. Heartbeats (HEARTBEAT_IVL, "
        "HEARTBEAT_TIMEOUT) let go of readers that hang or have vanished.",
    )


@invariant(
    "ZF211",
    "What comes faster than it is worked off is taken without limit",
    severity=Severity.HIGH,
    examines="intake",
)
def intake_bounded(seen: Examination, limits: Limits, violated: type[Violation]) -> None:
    """A peer that sends faster than its messages are worked off is held back, by TCP in the end.

    Why: one sender, honest or not, that is faster than the program's work makes it keep all the difference, until its
    memory has gone. Measured: one peer sends complete messages as fast as they are taken, for six seconds at most. A
    breach is, on three fresh processes, that all were taken; that the resident memory gained holds at least 16,000 of
    them (libzmq's own mark is 1000) and 8 MiB; and that its threads went on with them for a second at least, and for
    longer than it took to take them all, so that they waited and were not what the program means to keep. Not judged: a
    program that is at rest with what it keeps. Inconclusive: no process to watch. To fix: set RCVHWM before bind (0 is
    no limit), and bound the queues of your own between the socket and the work (queue.Queue(maxsize),
    asyncio.Queue(maxsize)): stop receiving while they are full.
    """
    every = _kept(seen.trials)
    if seen.doubts or not every or len(every) < len(seen.trials) or not _alive(seen.trials):
        return
    if not all(kept.worked is not None and kept.worked >= max(LEAST, kept.seconds) for kept in every):
        return
    worst = every[0]
    raise violated(
        f"It took {seen.trials[0].sent / MIB:.1f} MiB of messages from one peer in {worst.seconds:.1f} s, kept "
        f"{worst.grown / MIB:.1f} MiB, and was at work on them for {worst.worked or 0:.1f} s and more.",
        Measure("kept", ", ".join(map(_said, every)), f"< {ENOUGH:,} messages"),
        Measure("messages that wait", f">= {min(map(waiting, every)):,} of {worst.size:,.0f} octets"),
        Measure("at work afterwards", ", ".join(f">= {kept.worked or 0:.1f} s" for kept in every)),
        signature="taken without limit",
        advice="Set RCVHWM before bind (0 is no limit), and bound the queues of your own between the socket and the "
        "work: stop receiving while they are full.",
    )
