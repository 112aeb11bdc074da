"""Which scripts are short and simple enough to be played many together (:mod:`zmqfuzz.volley`)."""

from __future__ import annotations

from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, StopReading, Wait
from zmqfuzz.writer import MOST_PIECES

__all__ = ["plays"]

LARGEST = 64 * 1024
"""Octets of one Send, at most."""

LONGEST = 0.6
"""Seconds that a script may wait, all its steps together."""


def plays(script: Script) -> bool:
    """Whether a Volley can play it: short, and without the steps that need more than one poll loop."""
    return all(map(_simple, script.steps)) and sum(map(_patience, script.steps)) <= LONGEST


def _simple(step: Step) -> bool:
    match step:
        case Send():
            return step.octets <= LARGEST
        case Connect() | Shake() | Expect() | Wait() | StopReading() | ShutdownWrite() | Reset() | Close():
            return True
        case _:
            return False


def _patience(step: Step) -> float:
    match step:
        case Expect(within=seconds) | Wait(seconds):
            return seconds
        case Send():
            pieces = step.times if step.chunk is None else min(MOST_PIECES, step.octets // max(step.chunk, 1))
            return pieces * step.every
        case _:
            return 0.0
