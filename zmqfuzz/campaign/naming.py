"""What tells one way of failing from another: the signature of a finding, free of seeds, times and addresses."""

from __future__ import annotations

import re

from zmqfuzz.campaign.attribution import LIBRARY_SAYS
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack, Send
from zmqfuzz.zmtp.measure import announced_size, body_size
from zmqfuzz.zmtp.wire import Frame

__all__ = ["SHAPED", "shape", "signature_of"]

SHAPED = ("ZF203", "ZF206")
"""Invariants whose findings differ by what the attack is made of: parts of a message, or one announced frame, are held
for different reasons. What is left behind says nothing of the kind."""


def shape(attack: Attack) -> str:
    """What the attack's largest Send is made of, in a word or two: tells findings about volume apart."""
    largest: Send | None = None
    for script in attack.scripts:
        for step in script.steps:
            if isinstance(step, Send) and (largest is None or step.octets > largest.octets):
                largest = step
    if largest is None:
        return "no octets"
    words = set()
    for unit in largest.units:
        if not isinstance(unit, Frame):
            words.add(type(unit).__name__.lower())
        elif announced_size(unit) > body_size(unit):
            words.add("frame announced larger")
        elif unit.more:
            words.add("frame MORE")
        else:
            words.add("frame")
    return " + ".join(sorted(words))


def signature_of(violation: Violation, attack: Attack, log: str) -> str:
    """What tells this way of failing from another one with the same code; free of seeds, times and addresses."""
    parts = [violation.signature]
    if violation.code in SHAPED:
        parts.append(shape(attack))
    place = _python_place(log)
    if (
        place and violation.code == "ZF101" and LIBRARY_SAYS not in violation.signature
    ):  # that is another thread's place
        parts.append(place)
    return ": ".join(parts)


def _python_place(log: str) -> str:
    """The innermost function of the last Python traceback, without line numbers."""
    # faulthandler prints the innermost call first, and several threads: the first is the one that crashed.
    inner, _, crashed = log.rpartition("most recent call first")
    found = re.findall(r'File "([^"]+)", line \d+,? in (\S+)', crashed if inner else log)
    frames = [frame for frame in found if not frame[0].startswith("<frozen")]
    if not frames:
        return ""
    file, function = frames[0] if inner else frames[-1]
    return f"{file.rsplit('/', 1)[-1]}:{function}"
