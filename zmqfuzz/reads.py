"""Does a target that answers nobody still take messages off its socket? Seen from outside, and never by chance.

Contract: a client offers more than high-water marks hold, and waits. A program that reads, however slowly, uses the
processor, and waits in between; one that has stopped does neither, for as long as it is given. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from zmqfuzz.observer import Observer
from zmqfuzz.standing import Standing
from zmqfuzz.trial import READING, ProbeResult

__all__ = ["reads_on"]

LEAST = 3.0
"""Seconds that it has at least."""

LOOK = 1.0
"""Seconds of a look: one when it has nothing to do, and one at the end, while messages wait."""

STEP = 0.05
IDLE, PAUSES = 0.15, 8
"""Share of a core, and pauses in a look beyond those when it has nothing to do, that are no work: a loop wakes up for
its timers, and finds nothing."""


async def reads_on(standing: Standing, untaken: Callable[[float], float], within: float) -> tuple[ProbeResult, ...]:
    """Offer messages; ok=False where they are not taken and the target is still. Empty: it is at work, or we were slow.

    ``untaken``: seconds for which nothing more could be sent, which ends after so many (0: all was taken). ``within``:
    seconds to serve again, as declared.
    """
    began, observer = trio.current_time(), standing.observer
    if not await observer.steady(within):
        return ()
    rest = await _pauses(observer)
    patience = max(within, LEAST)
    waited: float | None = None

    async def ask() -> None:
        nonlocal waited
        waited = await trio.to_thread.run_sync(untaken, patience)
        looking.cancel()

    still = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with trio.CancelScope() as looking:
            while True:  # the last whole look counts, in which nothing more could be sent
                pauses = await _pauses(observer)
                still = pauses is not None and pauses <= (rest or 0) + PAUSES
    seconds = trio.current_time() - began
    if not waited:
        return (ProbeResult(READING, True, seconds, "it takes what it is sent"),)
    if not still or waited < 2 * LOOK or standing.running.exit() is not None:
        return ()
    said = "it has written of an error, " if standing.complained() else "it "
    return (ProbeResult(READING, False, seconds, f"{said}is at rest, and takes no more messages off its socket"),)


async def _pauses(observer: Observer) -> int | None:
    """How often its threads paused in a look; None where it used the processor, or waited for one."""
    first, before, began = observer.sample(), observer.pauses(), trio.current_time()
    while trio.current_time() - began < LOOK:
        await trio.sleep(STEP)
        if observer.busy():
            return None
    last, after = observer.sample(), observer.pauses()
    if first is None or last is None or last.cpu - first.cpu > IDLE * (last.at - first.at):
        return None
    return after - before
