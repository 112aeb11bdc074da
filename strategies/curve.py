"""CURVE (RFC 26), in front of its boxes, in them and behind them; sealed with fresh keys whenever it is played."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, IDENTITIES, body, ending, message, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import (
    CURVE_WORDS,
    Command,
    CurveCommand,
    Frame,
    Greeting,
    Property,
    Raw,
    Unit,
    curve_size,
    encode,
)

_NAMES = (b"HELLO", b"WELCOME", b"INITIATE", b"READY", b"MESSAGE", b"ERROR")
_FLAGS = (0, 1, 2, 3, 4, 0x80, 0xFF)
_RESERVED = (0, 8, 0x80, 0xF8)


def _honest(name: bytes, kind: str) -> CurveCommand:
    metadata = (Property(b"Socket-Type", kind.encode()),) if name in (b"INITIATE", b"READY") else ()
    return CurveCommand(name, properties=metadata)


_SEALED = 4096
"""Octets of a property that may be there many times: all of it is sealed before it is sent."""


def _metadata(draw: Draw, kind: str) -> tuple[Property, ...]:
    value = draw.choice(
        (kind.encode(), b"", b"\0", b"NONSENSE", b"V" * 255, b"V" * 256, b"V" * 70_000, b"V" * 1_000_000)
    )
    name = draw.choice((b"Socket-Type", b"Identity", b"User-Id", b"X-custom", b"", b"A" * 255))
    lie = draw.choice((None, None, 0, 1, 2**31, 2**32 - 1))
    times = draw.choice((1, 0, 2, 64))
    times = times if len(value) <= _SEALED else min(times, 2)
    return (Property(name, value, draw.choice((None, None, 0, 255)), lie),) * times


def _dishonest(draw: Draw, honest: CurveCommand, kind: str) -> CurveCommand:
    """The command with one lie, of any kind that RFC 26 leaves room for."""
    size = curve_size(honest)
    choice = draw.integer(0, 9)
    if choice == 0:
        return replace(honest, size=draw.choice((size - 1, size + 1, 0, 1, size // 2, 2 * size, 65_536)))
    if choice == 1:
        return replace(honest, flip=draw.integer(0, 8 * size - 1))
    if choice == 2:
        return replace(honest, flip_inside=draw.integer(0, 8 * size - 1))
    if choice == 3:
        return replace(
            honest, version=(draw.choice((0, 2, 255)), draw.choice((0, 1, 255))), padding=draw.integer(0, 255)
        )
    if choice == 4:
        return replace(honest, properties=_metadata(draw, kind))
    if choice == 5:
        reserved = draw.choice(_RESERVED)
        return replace(honest, more=draw.boolean(), command=draw.choice((None, False, True)), reserved=reserved)
    if choice == 6:
        return replace(honest, spelling=draw.choice((b"", b"hello", honest.name + b"\0", b"A" * 255, b"WHAT")))
    if choice == 7:
        return replace(honest, flags=draw.choice(_FLAGS), body=body(draw))
    field = draw.choice(tuple(CURVE_WORDS))
    word: Any = draw.choice(CURVE_WORDS[field][1:])
    return replace(honest, **{field: word})


def _instead(draw: Draw, name: bytes, kind: str) -> Unit:
    """What is sent where ``name`` is due."""
    choice = draw.integer(0, 5)
    if choice == 4:
        return _dishonest(draw, _honest(draw.choice(_NAMES), kind), kind)
    if choice == 5:
        early = Command(draw.choice((b"READY", b"PING", b"HELLO", b"ERROR", b"")), body(draw))
        units: tuple[Unit, ...] = (Raw(b""), Frame(body(draw)), early)
        return draw.choice(units)
    return _dishonest(draw, _honest(name, kind), kind)


def _login(draw: Draw, kind: str) -> Shake:
    """All boxes are right, and of somebody whose key is not known; what is said of him in them may be anything."""
    metadata = _metadata(draw, kind) if draw.boolean() else ()
    return Shake(kind, draw.choice(IDENTITIES), mechanism="CURVE", properties=metadata, within=0.2, stranger=True)


@strategy("curve-handshake", needs=Reached.GREETING, mechanism="CURVE")
def curve_handshake(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """CURVE handshakes that lie at one step: sizes, keys, nonces, cookies, vouches, bits in and outside the boxes."""
    kind = our_type(draw, situation)
    ours = (b"HELLO", b"INITIATE") if situation.surface.side == "bind" else (b"WELCOME", b"READY")
    scripts = []
    for _ in range(peers(draw, situation, (1, 1, 2))):
        place = draw.integer(0, 1)
        lie = _instead(draw, ours[place], kind)
        steps: list[Step] = [Connect()]
        if draw.choice((False, False, False, True)):  # before anything was agreed, or without a connection's keys
            steps.append(Send((Greeting(mechanism=b"CURVE"), lie)))
        elif draw.choice((False, False, True)):
            steps.append(_login(draw, kind))
        else:
            stranger = draw.choice((False, False, False, True))
            shake = Shake(kind, mechanism="CURVE", within=0.2, stranger=stranger, honest=place, instead=(lie,))
            steps.append(shake)
        if draw.boolean():
            steps.append(Send((_dishonest(draw, _honest(draw.choice(ours), kind), kind), *message(draw))))
        steps += [Expect("close", within=0.01), *ending(draw, situation)]
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 8))))
    return tuple(scripts)


@strategy("curve-traffic", needs=Reached.TRAFFIC, mechanism="CURVE", known=True)
def curve_traffic(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """MESSAGE commands that lie, after an honest CURVE handshake and among honest messages."""
    kind = our_type(draw, situation)
    steps: list[Step] = [Connect(), Shake(kind, mechanism="CURVE")]
    if draw.boolean():
        steps.append(Send(message(draw)))
    for _ in range(draw.integer(1, 3)):
        unit: Unit
        choice = draw.integer(0, 5)
        if choice == 4:
            clear: tuple[Unit, ...] = (Frame(body(draw)), Command(b"PING", b"\0\0"), Frame(b"", command=True))
            unit = Raw(encode(draw.choice(clear)))
        elif choice == 5:
            unit = _dishonest(draw, _honest(draw.choice(_NAMES), kind), kind)
        else:
            payload = b"P" * draw.choice(BOUNDARIES)
            honest = CurveCommand(b"MESSAGE", body=payload, flags=draw.choice(_FLAGS))
            unit = _dishonest(draw, honest, kind) if draw.boolean() else honest
        steps.append(Send((unit,), times=draw.choice((1, 1, 3))))
    if draw.boolean():
        steps.append(Send(message(draw)))
    steps += [Expect("close", within=0.005), *ending(draw, situation)]
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 4))),)
