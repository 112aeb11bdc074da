"""Octets within a message that are others each time they are sent, so that nothing keyed by them is found again.

What a program keeps of each key that it meets (a session, a cache entry, a request that waits) does not grow when the
same message is sent again.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

from zmqfuzz.script import Send
from zmqfuzz.zmtp.wire import Frame, Raw, Unit

__all__ = ["MARKER", "said"]

MARKER = b"720000000027"
"""What strategies put where a field is to be new each time: digits, which are a number and a text."""

_numbers = itertools.count(time.time_ns() // 1_000_000)  # others than those of an earlier run against the same process


def said(step: Send) -> tuple[Unit, ...]:
    """The units of ``step`` as they are sent this time: where ``step.fresh`` stands in a body, as many new digits."""
    if not step.fresh:
        return step.units
    digits = _digits(len(step.fresh))
    return tuple([_renewed(unit, step.fresh, digits) for unit in step.units])


def _digits(size: int) -> bytes:
    """Digits not used before, without a zero in front, which no number in JSON may have (RFC 8259, section 6)."""
    least = 10 ** (size - 1)
    return b"%d" % (least + next(_numbers) % (9 * least))


def _renewed(unit: Unit, fresh: bytes, digits: bytes) -> Unit:
    match unit:
        case Frame(bytes(body)) if fresh in body:
            return replace(unit, body=body.replace(fresh, digits))
        case Raw(bytes(data)) if fresh in data:
            return replace(unit, data=data.replace(fresh, digits))
        case _:
            return unit
