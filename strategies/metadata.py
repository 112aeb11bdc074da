"""Metadata: the properties of READY, one by one and by the hundred thousand (RFC 37 metadata)."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, CHUNKS, bounded, ending, message, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Property, Raw, Unit, encode_properties

_NAMES = (
    b"X-Application",
    b"Identity",
    b"Resource",
    b"User-Id",
    b"Peer-Address",
    b"Routing-Id",
    b"__fd",
    b"Socket-Type",
)
"""What libzmq and applications look up (``zmq_msg_gets``), most of which no peer should be able to set."""

_VALUES = (b"admin", b"", b"0", b"-1", b"127.0.0.1", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"%s%n", b"\n", b"a\0b")
_COUNTS = (2, 16, 255, 256, 4096)
_MANY = (0, 1, 300, 10_000, 100_000)


def _property(draw: Draw) -> Property:
    name = draw.choice(_NAMES)
    case = draw.integer(0, 5)
    if case == 1:
        name = name.lower()
    elif case == 2:
        name = name.upper()
    elif case == 3:
        name = draw.choice((b"", b"N" * 255, b"\xff", b"\0", name + b"\0", b" " + name))
    value = draw.choice(_VALUES) if draw.boolean() else b"V" * draw.choice(BOUNDARIES)
    return Property(name, value)


def _endless(draw: Draw, first: tuple[Property, ...]) -> list[Step]:
    """One READY with a bulk of small properties: all different, or one again and again."""
    head = Command(b"READY", properties=first).body()
    if draw.boolean():
        count = draw.choice(_COUNTS)
        many = encode_properties(tuple([Property(b"P%06d" % number, b"V") for number in range(count)]))
        return [Send((Frame(head, command=True, declared_size=len(head) + len(many)), Raw(many)))]
    one = encode_properties((draw.choice((Property(b"P", b"V"), Property(b""), _property(draw))),))
    count = min(draw.choice(_MANY), (1 << 20) // len(one))
    start = Frame(head, command=True, declared_size=len(head) + len(one) * count)
    return [Send((start,)), *([Send((Raw(one),), times=count)] if count else [])]


def _huge(draw: Draw, first: tuple[Property, ...]) -> list[Step]:
    """One READY with a property whose value is large."""
    size = draw.choice((65_535, 300_000, 1 << 20))
    head = Command(b"READY", properties=(*first, Property(draw.choice(_NAMES), value_size=size))).body()
    octets = Fill(size, draw.choice((0x56, 0, 0xFF)))
    return [Send((Frame(head, command=True, declared_size=len(head) + size), Raw(octets)))]


@strategy("metadata", needs=Reached.HANDSHAKE)
def metadata(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """READY with properties known, forged, repeated, in other letters, not UTF-8, large, none, or very many."""
    kind = our_type(draw, situation)
    some = tuple([_property(draw) for _ in range(draw.choice((1, 0, 2, 3, 8)))])
    shape = draw.integer(0, 5)
    steps: list[Step] = [Connect()]
    if shape <= 1:
        steps.append(Shake(kind, properties=some, within=0.2))
    else:
        own = Property(b"Socket-Type", kind.encode())
        steps += [Send((Greeting(mechanism=situation.surface.mechanism.encode()),)), Expect("ready", within=0.2)]
        if shape == 2:
            steps += _endless(draw, (own, *some))
        elif shape == 3:
            steps += _huge(draw, (own, *some))
        else:
            wrong = Property(b"Socket-Type", draw.choice((b"", b"PAIR", kind.lower().encode(), kind.encode() + b"\0")))
            ready: Unit = Command(
                b"READY", properties=draw.choice(((*some, own), (own, own, *some), (own, wrong), (*some, *some), some))
            )
            steps.append(Send((ready,), chunk=draw.choice(CHUNKS)))
    if draw.choice((True, True, False)):
        traffic = message(draw)
        steps.append(Send(traffic, times=bounded(draw.choice((1, 1, 20)), traffic)))
    steps += [Expect("message", within=0.005), *ending(draw, situation)]
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 2, 8))),)
