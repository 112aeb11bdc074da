"""Abrupt disconnects: FIN, RST, half-close or silence at every moment of a connection's life."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, Vanish
from zmqfuzz.strategies.pieces import BOUNDARIES, message, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Property, Raw, encode

_CUTS: tuple[Step, ...] = (Close(), Reset(), ShutdownWrite(), Vanish())


@strategy("abrupt-disconnect", needs=Reached.TRAFFIC)
def abrupt_disconnect(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """An honest conversation cut at any octet, from greeting to parts: by FIN, RST, half-close or silence, no ACK."""
    kind = our_type(draw, situation)
    greeting = encode(Greeting(mechanism=situation.surface.mechanism.encode()))
    ready = encode(Command(b"READY", properties=(Property(b"Socket-Type", kind.encode()),)))
    moment = draw.integer(0, 5)
    steps: list[Step]
    if moment == 0:
        steps = [Connect(), Send((Raw(greeting[: draw.integer(0, 64)]),))]
    elif moment == 1:
        steps = [Connect(), Send((Raw(greeting),)), Expect("ready", within=0.5)]
        steps.append(Send((Raw(ready[: draw.integer(0, len(ready))]),)))
    else:
        steps = [Connect(), Shake(kind)]
        if draw.boolean():
            steps.append(Send(message(draw)))
        if moment == 3:
            octets = encode(Frame(Fill(draw.choice(BOUNDARIES)), more=draw.boolean()))
            steps.append(Send((Raw(octets[: draw.integer(0, min(len(octets), 300))]),)))
        elif moment == 4:
            steps.append(Send((Frame(Fill(draw.choice(BOUNDARIES)), more=True),), times=draw.choice((1, 2, 20))))
        elif moment == 5:
            steps.append(Expect("message", within=0.01))
    cut = draw.choice(_CUTS)
    steps.append(cut)
    if draw.boolean():
        steps += [Connect(), Shake(kind), Send(message(draw))] if not isinstance(cut, ShutdownWrite) else []
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 4, 24))),)
