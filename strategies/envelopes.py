"""Envelopes: what stands in front of a message's delimiter, and whether there is one (RFC 28)."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, body, bounded, ending, greeted, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Fill, Frame, Unit

_DEPTHS = (0, 1, 2, 3, 17, 255, 256, 1000, 10_000)
_ADDRESSES = (b"A", b"\0\0\0\0\1", b"\0" * 4, b"\0\0\0\1", b"\xff" * 255)
"""Own routing ids, generated ones (a zero and four octets), and the four octets of a correlated request."""


def _addresses(draw: Draw) -> list[Step]:
    """No or many frames in front of the delimiter, of one size or huge."""
    depth = draw.choice(_DEPTHS)
    if not depth:
        return []
    frame = Frame(draw.choice(_ADDRESSES), more=True)
    if draw.boolean():
        frame = Frame(Fill(draw.choice((*BOUNDARIES, 300_000))), more=True)
    return [Send((frame,), times=bounded(depth, (frame,)))]


def _envelope(draw: Draw) -> list[Step]:
    shape = draw.integer(0, 5)
    times = draw.choice((1, 1, 1, 2, 50))
    delimiter, last = Frame(more=True), Frame(body(draw))
    units: tuple[Unit, ...] = (delimiter, last)
    addresses = _addresses(draw)
    if shape == 1:  # no delimiter
        units = (last,)
    elif shape == 2:  # the delimiter is the end
        units = (Frame(),)
    elif shape == 3:  # only empty frames
        addresses = [Send((delimiter,), times=draw.choice(_DEPTHS) or 1)]
        units = (Frame(),)
    elif shape == 4:  # two delimiters, or one between the parts of the body
        units = (delimiter, draw.choice((delimiter, Frame(b"B", more=True))), delimiter, last)
    elif shape == 5:  # nobody asked
        times = draw.choice((1500, 1, 3))
    return [*addresses, Send(units, times=bounded(times, units))]


@strategy("envelope", needs=Reached.TRAFFIC, weight=2)
def envelope(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Envelopes of requests and replies: deep, huge, without delimiter, with several, unsolicited, left unfinished."""
    scripts = []
    for _ in range(peers(draw, situation, (1, 1, 2))):
        steps: list[Step] = list(greeted(draw, situation))
        for _ in range(draw.integer(1, 3)):
            steps += _envelope(draw)
        if draw.choice((False, False, True)):
            steps += _addresses(draw)
        steps += [Expect("message", within=0.005), *ending(draw, situation)]
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 2))))
    return tuple(scripts)
