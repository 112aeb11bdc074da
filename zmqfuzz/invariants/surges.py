"""What little makes much for a moment: memory that comes and goes again."""

from __future__ import annotations

from zmqfuzz.budget import MIB, Limits
from zmqfuzz.catalogue import invariant
from zmqfuzz.finding import Measure, Severity, Violation
from zmqfuzz.trial import Trial

__all__ = ["small_messages_stay_small"]

SURGE = 40 * MIB
"""Octets that come for a moment, at least: less is within what an interpreter takes for a large message."""

EXPANDED = 100
"""Octets for each that was sent. A parser makes 20 to 80 of one (a list of empty lists), compression a thousand."""

CONNECTION = 128 * 1024
"""Octets that a connection may cost, whatever is sent in it."""

GONE = 4
"""What is left when the attack is over, as a part of the surge: what stays was loaded, or is kept, which is ZF204."""


@invariant("ZF213", "A small message takes much memory for a moment", severity=Severity.MEDIUM)
def small_messages_stay_small(trial: Trial, limits: Limits, violated: type[Violation]) -> None:
    """What a message is made into has a bound; a few KiB do not become a hundred times as much.

    Why: a message of 60 KiB that is unpacked becomes 60 MiB, some at once end the process, and no limit on frames
    helps. Measured: the largest resident set that the process ever had (VmHWM, proc(5)), where this attack raised it,
    above what it had before, less 128 KiB for each connection: 40 MiB and more, a hundred times what was sent, of which
    no quarter is left afterwards. What a program loads once, at its first request, stays, and is not told. Confirmed on
    fresh processes that have served before. To fix: unpack piece by piece, up to a bound (zlib:
    ``decompressobj().decompress(data, most)``), and refuse what does not end there; bound counts and sizes that a
    message announces before anything is made of them.
    """
    baseline, settled = trial.observation.baseline, trial.observation.settled
    if baseline is None or settled is None or trial.observation.exit is not None or trial.observation.killed_at_cap:
        return
    surge = trial.observation.surge - baseline.rss - CONNECTION * len(trial.transcripts)
    if surge < SURGE or surge < EXPANDED * trial.sent or settled.rss - baseline.rss > surge / GONE:
        return
    raise violated(
        f"{trial.sent / 1024:,.1f} KiB made it take {surge / MIB:,.0f} MiB for a moment.",
        Measure("taken per octet sent", f"{surge / max(trial.sent, 1):,.0f}", f"< {EXPANDED}"),
        Measure("resident memory, peak", f"{trial.observation.surge / MIB:,.0f} MiB", "of one process"),
        signature="much for little",
        advice="Bound what a message becomes before it is made: unpack piece by piece up to a limit, and check "
        "announced counts and sizes first.",
    )
