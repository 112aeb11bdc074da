"""Subscriptions: to PUB and XPUB doors, and to those that take none."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, bounded, ending, greeted, message, peers, stretched
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Raw, Unit, encode

_LONG = (0, 1, 254, 255, 256, 8192, 65_536, 300_000, MIB)
_DISTINCT = (16, 256, 4096)

Topic = tuple[bytes, int, int]
"""Octets, then so many more of one value: a long topic stays small on disk."""


def _topic(draw: Draw) -> Topic:
    kind = draw.integer(0, 3)
    if kind == 0:
        return b"A" * draw.integer(0, 4), 0, 0  # prefixes of each other
    if kind == 1:
        return draw.binary(0, 4), 0, 0
    if kind == 2:
        return b"", draw.choice(BOUNDARIES), 0x41
    return draw.choice((b"", b"A", b"\xff")), draw.choice(_LONG), draw.choice((0x41, 0, 0xFF))


def _about(draw: Draw, topic: Topic, *, cancel: bool) -> tuple[Unit, ...]:
    """SUBSCRIBE or CANCEL (RFC 37), or the message that says the same in ZMTP 2.0 and 3.0."""
    head, size, octet = topic
    legacy = draw.boolean()
    if size:
        name = (b"\0" if cancel else b"\1") if legacy else (b"\6CANCEL" if cancel else b"\x09SUBSCRIBE")
        return stretched(name + head, size, byte=octet, command=not legacy)
    if legacy:
        return (Frame((b"\0" if cancel else b"\1") + head, more=draw.choice((False, False, False, True))),)
    return (Command(b"CANCEL" if cancel else b"SUBSCRIBE", head),)


def _many(draw: Draw) -> Send:
    """Distinct topics in bulk: side by side, or each the prefix of the next."""
    count, first = draw.choice(_DISTINCT), draw.choice((b"\1", b"\0"))
    if draw.boolean():
        octets = b"".join([encode(Frame(first + b"A" * size)) for size in range(min(count, 256))])
    else:
        tail = b"t" * draw.choice((0, 16, 200))
        octets = b"".join([encode(Frame(first + number.to_bytes(3, "little") + tail)) for number in range(count)])
    return Send((Raw(octets),))


def _act(draw: Draw, pool: tuple[Topic, ...]) -> Send:
    kind = draw.integer(0, 9)
    times = 1
    units: tuple[Unit, ...]
    if kind < 4:
        units, times = _about(draw, draw.choice(pool), cancel=False), draw.choice((1, 1, 1, 2, 500))
    elif kind < 6:
        units, times = _about(draw, draw.choice(pool), cancel=True), draw.choice((1, 1, 2))
    elif kind == 6:  # perhaps never made, perhaps another peer's
        units = _about(draw, _topic(draw), cancel=True)
    elif kind == 7:
        units, times = (*_about(draw, pool[0], cancel=False), *_about(draw, pool[0], cancel=True)), 200
    elif kind == 8:
        return _many(draw)
    else:
        units = (draw.choice((Frame(), Frame(b"\2"), Frame(b"\xffuser"), Frame(Fill(draw.choice(BOUNDARIES), 2)))),)
        times = draw.choice((1, 3, 500))
    return Send(units, times=bounded(times, units))


@strategy("subscription", needs=Reached.TRAFFIC)
def subscription(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Topics subscribed and cancelled, own and others', nested, long, in bulk, beside user messages, left behind."""
    pool = tuple([_topic(draw) for _ in range(draw.integer(1, 3))])
    takes = situation.surface.socket_type.upper() in ("PUB", "XPUB", "")
    scripts = []
    for number in range(peers(draw, situation, (1, 2, 1, 3))):
        steps: list[Step] = list(greeted(draw, situation))
        steps += [_act(draw, pool) for _ in range(draw.integer(1, 5 if takes else 2))]
        if not takes or draw.boolean():
            steps.append(Send(message(draw)))
        steps += [Expect("message", within=draw.choice((0.002, 0.01))), *ending(draw, situation)]
        label = "second attacker" if number else "attacker"
        scripts.append(Script(tuple(steps), peers(draw, situation, (1, 1, 4)), label))
    return tuple(scripts)
