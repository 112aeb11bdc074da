"""Does a target that answers nobody still take messages off its socket? Seen from outside, and never by chance.

Contract: a client offers more than high-water marks hold, and waits. A program that reads, however slowly, uses the
processor for it, or writes; one that has stopped does neither, for as long as it is given. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from zmqfuzz.standing import Standing
from zmqfuzz.trial import READING, ProbeResult

__all__ = ["reads_on"]

LEAST, STILL = 3.0, 1.5
"""Seconds that it has at least, and those at the end in which it must have been still to count as deaf."""

IDLE = 0.15
"""Share of a core below which it is: a loop that wakes up for its timers, and finds nothing to do."""

STEP = 0.1


async def reads_on(standing: Standing, take: Callable[[float], bool], within: float) -> tuple[ProbeResult, ...]:
    """Ask ``take`` whether messages are taken; ok=False where none are and the target is still. Empty: it is at work.

    ``within``: seconds to serve again, as declared.
    """
    began = trio.current_time()
    if not await standing.observer.steady(within):
        return ()
    taken = False
    seen: list[tuple[float, float, str]] = []
    patience = max(within, LEAST)

    async def ask() -> None:
        nonlocal taken
        taken = await trio.to_thread.run_sync(take, patience)
        watching.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with trio.CancelScope() as watching:
            while True:
                sample = standing.observer.sample()
                if sample is not None:
                    seen.append((trio.current_time(), sample.cpu, standing.running.log_tail()))
                await trio.sleep(STEP)
    seconds = trio.current_time() - began
    if taken:
        return (ProbeResult(READING, True, seconds, "it takes what it is sent"),)
    if standing.running.exit() is not None or not _still(seen):
        return ()
    said = "it has written of an error, " if standing.complained() else "it "
    detail = f"{said}is at rest, and takes no more messages off its socket"
    return (ProbeResult(READING, False, seconds, detail),)


def _still(seen: list[tuple[float, float, str]]) -> bool:
    """Whether it used hardly any CPU, and wrote nothing, at the end."""
    if not seen or seen[-1][0] - seen[0][0] < STILL:
        return False
    last = [one for one in seen if seen[-1][0] - one[0] <= STILL]
    used = (last[-1][1] - last[0][1]) / max(last[-1][0] - last[0][0], STEP)
    return used < IDLE and all(one[2] == last[-1][2] for one in last)
