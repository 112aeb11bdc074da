"""Commands: every name, every length, in every state of a connection and a message."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import (
    BOUNDARIES,
    CHUNKS,
    COMMANDS,
    bounded,
    ending,
    greeted,
    message,
    opening,
    our_type,
    peers,
    stretched,
)
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Property, Unit, encode_properties

_TTLS = (0, 1, 655, 656, 657, 16384, 65535)
"""Tenths of a second (RFC 37); libzmq multiplies them by 100 in sixteen bits (``zmtp_engine.cpp``)."""

_CONTEXTS = (0, 1, 2, 8, 14, 15, 16, 17, 18, 32, 255, 256)
"""RFC 37: a PING brings at most sixteen octets of context."""

_PRESSURE = 1500
"""Small messages that bring a socket to libzmq's default high-water mark of 1000, when nobody reads them."""


def _data(draw: Draw, name: bytes, kind: str) -> bytes:
    """What belongs behind ``name``."""
    if name == b"PING":
        return draw.choice(_TTLS).to_bytes(2, "big") + b"c" * draw.choice(_CONTEXTS)
    if name in (b"READY", b"INITIATE"):
        return encode_properties((Property(b"Socket-Type", kind.encode()), Property(b"Identity")))
    if name == b"ERROR":
        reason = draw.choice((b"300", b"", b"400", b"x" * 255))
        return bytes([len(reason)]) + reason
    if name == b"HELLO":
        return b"\4user\4pass"
    return b"" if name == b"WELCOME" else b"A" * draw.choice(_CONTEXTS)


def _command(draw: Draw, kind: str) -> tuple[Unit, ...]:
    name = draw.choice(COMMANDS)
    data = _data(draw, name, kind)
    more = draw.choice((False, False, True))
    shape = draw.integer(0, 5)
    if shape == 1:  # the same, cut or filled up to a length
        size = draw.choice(BOUNDARIES)
        data = data[:size] if size <= len(data) else data + b"\0" * (size - len(data))
    elif shape == 2:
        size = draw.choice((0, 1, len(name) - 1, len(name) + 1, 255))
        return (Command(name, draw.choice((data, b"")), name_size=size, more=more),)
    elif shape == 3:
        head = Command(name, data).body()
        return stretched(head, draw.choice((65536, 300_000, MIB)), more=more)
    elif shape == 4:
        name = draw.choice((name.lower(), name + b"\0", name + name, b"N" * 255, b"\xff" * 9))
    elif shape == 5:  # as a frame that is no command, or with bits that have no meaning
        body = Command(name, data).body()
        return (Frame(body, more, command=draw.boolean(), long=True, reserved=draw.choice((0, 8, 0xF8))),)
    return (Command(name, data, more=more),)


@strategy("commands", needs=Reached.TRAFFIC)
def commands(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Every command, known and unknown, at every length: before READY, in traffic, inside messages, under pressure."""
    kind = our_type(draw, situation)
    flood = draw.choice((1, 1, 1, 2, 100, 3000))
    units: tuple[Unit, ...] = ()
    for _ in range(draw.integer(1, 3)):
        units += _command(draw, kind)
    times = bounded(flood, units)
    spoken = Send(units, times=times, chunk=draw.choice(CHUNKS) if times == 1 else None)
    moment = draw.integer(0, 4)
    steps: list[Step] = list(greeted(draw, situation) if draw.boolean() else opening(draw, situation))
    if moment == 1:
        steps = [Connect(), Send((Greeting(mechanism=situation.surface.mechanism.encode()),))]
        steps += [Expect("ready", within=0.2), spoken]
    elif moment == 2:
        steps += [Send((Frame(b"", more=True),)), spoken, Send((Frame(b"A"),))]
    elif moment == 3:
        steps += [Send((*message(draw), Frame(Fill(draw.choice(BOUNDARIES)), more=True))), spoken]
    elif moment == 4:
        steps += [Send((Frame(b"", more=True), Frame(b"A")), times=_PRESSURE), spoken]
    else:
        steps.append(spoken)
    if draw.boolean():
        steps += [Send(message(draw)), Expect("message", within=0.005)]
    steps += [Expect("close", within=0.002), *ending(draw, situation)]
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 2))),)
