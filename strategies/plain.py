"""PLAIN (RFC 24): what is sent where user name and password are due, and after it."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.strategies.pieces import CHUNKS, body, ending, message, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Property, Raw, Unit

_TEXTS = (b"admin", b"", b"\0", b"admin\0", b"a:b", b"\xff\xfe", b"%s%n", b"A" * 254, b"A" * 255)
_LENGTHS = (None, None, None, 0, 1, 254, 255)

_WORDS = (
    *(b"", b"\0", b"admin", b"admin\0", b"\0admin", b"a:b", b" ", b"\n", b"%s%n", b"../x", b"\xc3\xbc"),
    *(b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbfadmin", b"\x80" * 255),
)
"""What careless readers of names and passwords trip over: nothing, zeros, separators, text in UTF-8 and almost."""

_SIZES = (1, 32, 33, 72, 73, 127, 128, 254, 255)
"""Octets of a name or password: one octet says how many (RFC 24), libzmq keeps 33 inline, bcrypt reads 72."""


def _text(draw: Draw) -> bytes:
    """RFC 24: a length in one octet, so many octets; the length may lie."""
    text, length = draw.choice(_TEXTS), draw.choice(_LENGTHS)
    return bytes([len(text) if length is None else length]) + text


def _word(draw: Draw) -> bytes:
    """A user name or password that a HELLO can hold."""
    choice = draw.integer(0, 2)
    if choice == 0:
        return draw.choice(_WORDS)
    return draw.binary(0, 24) if choice == 1 else draw.choice((b"A", b"\0", b"\xff", b"9")) * draw.choice(_SIZES)


def _login(draw: Draw, kind: str) -> Shake:
    """A well-formed handshake of somebody who is not known, or under a known name with another password."""
    known = draw.choice((False, False, True))
    name = b"" if known else _word(draw)
    return Shake(
        kind,
        mechanism="PLAIN",
        username=name,
        password=_word(draw),
        within=0.2,
        stranger=True,
        known_name=known,
    )


def _metadata(draw: Draw, kind: str) -> tuple[Property, ...]:
    value = draw.choice((kind.encode(), b"", b"\0", b"NONSENSE", b"V" * 70_000))
    name = draw.choice((b"Socket-Type", b"Identity", b"User-Id", b"", b"A" * 255))
    return (Property(name, value, draw.choice((None, None, 0, 255)), draw.choice((None, None, 0, 2**31, 2**32 - 1))),)


def _instead(draw: Draw, name: bytes, kind: str) -> Unit:
    """What is sent where ``name`` is due."""
    choice = draw.integer(0, 4)
    if choice == 0 and name == b"HELLO":
        more = draw.choice((b"", b"", b"\0", b"x" * 300))
        return Command(b"HELLO", _text(draw) + _text(draw) + more)
    if choice <= 1:
        return Command(name, body(draw), _metadata(draw, kind) * draw.choice((1, 0, 2)))
    if choice == 2:
        return Command(name, draw.binary(0, 24), name_size=draw.choice((None, 0, 4, 6, 255)), more=draw.boolean())
    if choice == 3:
        other = draw.choice((b"HELLO", b"WELCOME", b"INITIATE", b"READY", b"ERROR", b"PING", b"MESSAGE", b"", b"WHAT"))
        return Command(other, body(draw))
    said = bytes([len(name)]) + name
    units: tuple[Unit, ...] = (Raw(b""), Frame(said), Frame(body(draw)), Raw(b"\x04\x09^RROR\x03400"))
    return draw.choice(units)


@strategy("plain-handshake", needs=Reached.GREETING, mechanism="PLAIN", weight=3)
def plain_handshake(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """PLAIN handshakes with odd and wrong user names and passwords, lengths that lie, commands out of turn."""
    kind = our_type(draw, situation)
    ours = (b"HELLO", b"INITIATE") if situation.surface.side == "bind" else (b"WELCOME", b"READY")
    place = draw.integer(0, 1)
    lie = _instead(draw, ours[place], kind)
    steps: list[Step] = [Connect()]
    choice = draw.integer(0, 4)
    if choice == 3:  # all at once, waiting for nothing
        units = tuple(_instead(draw, name, kind) for name in ours)
        steps.append(Send((Greeting(mechanism=b"PLAIN"), *units), chunk=draw.choice(CHUNKS)))
    elif choice in (2, 4):
        steps.append(_login(draw, kind))
    else:
        steps.append(Shake(kind, mechanism="PLAIN", within=0.2, honest=place, instead=(lie,)))
    if draw.boolean():
        steps.append(Send((lie, *message(draw))))
    steps += [Expect("close", within=0.01), *ending(draw, situation)]
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 2, 8))),)
