"""Malformed handshakes: READY and what is sent in its place (RFC 37 NULL, metadata)."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import CHUNKS, body, ending, message, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Property, Unit

_NAMES = (b"Socket-Type", b"Identity", b"socket-type", b"Resource", b"User-Id", b"X-custom", b"", b"\xff", b"A" * 255)
_LIES = (None, None, None, 0, 1, 255, 2**31 - 1, 2**31, 2**32 - 1)


def _property(draw: Draw, kind: bytes) -> Property:
    value = draw.choice((kind, b"", b"\0", kind + b"\0", b"NONSENSE", b"\xff\xfe", b"V" * 256, b"V" * 70_000))
    return Property(draw.choice(_NAMES), value, draw.choice((None, None, None, 0, 255)), draw.choice(_LIES))


def _handshake(draw: Draw, kind: bytes) -> Unit:
    honest = Property(b"Socket-Type", kind)
    choice = draw.integer(0, 4)
    if choice == 0:
        extra = tuple(_property(draw, kind) for _ in range(draw.integer(0, 4)))
        return Command(b"READY", properties=(honest, *extra))
    if choice == 1:
        return Command(b"READY", properties=tuple(_property(draw, kind) for _ in range(draw.integer(0, 3))))
    if choice == 2:
        return Command(b"READY", data=draw.binary(0, 24), properties=(honest,), name_size=draw.choice((0, 4, 6, 255)))
    if choice == 3:
        name = draw.choice((b"ERROR", b"HELLO", b"INITIATE", b"PING", b"PONG", b"SUBSCRIBE", b"MESSAGE", b"", b"WHAT"))
        return Command(name, data=body(draw))
    return Frame(b"\x05READY", command=draw.boolean(), more=draw.boolean(), reserved=draw.choice((0, 8, 0xF8)))


@strategy("malformed-handshake", needs=Reached.HANDSHAKE, mechanism="NULL")
def malformed_handshake(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """READY with wrong, missing, repeated, lying or huge metadata, other commands in its place, then traffic."""
    kind = our_type(draw, situation).encode()
    steps: list[Step] = [Connect(), Send((Greeting(mechanism=situation.surface.mechanism.encode()),))]
    steps.append(Expect("ready", within=0.5))
    units = tuple(_handshake(draw, kind) for _ in range(draw.integer(1, 3)))
    steps.append(Send(units, chunk=draw.choice(CHUNKS)))
    if draw.boolean():
        steps.append(Send(message(draw)))
    steps.append(Expect("close", within=0.005))
    steps.extend(ending(draw, situation))
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 2, 8))),)
