"""More than the target can take: messages and connections in bulk."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import body, ending, greeted, message, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Unit

_SIZES = (0, 1, 33, 200, 1024, 8192, 100_000)


@strategy("flood", needs=Reached.TRAFFIC)
def flood(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Complete messages, commands and connections in bulk, from one peer and from many."""
    count = peers(draw, situation, (1, 2, 8, 32))
    volume = draw.choice((64 * 1024, MIB, 8 * MIB)) // count
    kind = draw.integer(0, 3)
    steps: list[Step] = list(greeted(draw, situation))
    units: tuple[Unit, ...]
    if kind == 0:
        units = (Frame(Fill(draw.choice(_SIZES))),)
    elif kind == 1:
        units = message(draw)
    elif kind == 2:
        units = (Command(draw.choice((b"PING", b"PONG", b"SUBSCRIBE", b"CANCEL", b"WHAT")), b"\0\0" + body(draw)),)
    else:
        steps = [Connect(), Send((Greeting(),)), Expect("greeting", within=0.5)]
        units = ()
    if units:
        size = sum(map(unit_size, units))
        steps.append(Send(units, times=max(1, min(volume // max(size, 1), 100_000 // count))))
    steps.extend(ending(draw, situation))
    return (Script(tuple(steps), times=count),)
