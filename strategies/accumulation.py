"""Visitors and names that are new each time: what is kept of each, for ever, adds up."""

from __future__ import annotations

import re

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.fresh import MARKER
from zmqfuzz.script import Close, Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.strategies.documents import Members, Node, Odd, read_json, write_json
from zmqfuzz.strategies.packed import read_msgpack, write_msgpack
from zmqfuzz.strategies.payloads import enveloped, plausible
from zmqfuzz.strategies.pieces import our_type
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Frame, Unit

_VISITORS, _VISITS = 8, 4
"""Peers at once, and how often each of them comes."""

_SAID = 50
"""Messages of one peer that stays, each with something new in it."""

_LARGEST = 16 * 1024
"""Octets of a frame up to which its fields are looked at."""

_SUBSCRIBE = b"\x01"
"""RFC 37 has commands for it from ZMTP 3.1 on; libzmq takes the message of older versions from all (``xpub.cpp``)."""


def _fields(node: Node) -> int:
    """How many texts, numbers and keys it has."""
    match node:
        case Members(pairs):
            return len(pairs) + sum(_fields(value) for _, value in pairs)
        case tuple():
            return sum(map(_fields, node))
        case bool() | None | Odd():
            return 0
        case _:
            return 1


def _renewed(node: Node, place: int, number: Node) -> Node:
    """The same with the text, number or key at ``place`` (of :func:`_fields`) replaced by what is new each time.

    ``number`` is what stands for a number: msgpack has no digits.
    """
    match node:
        case Members(pairs):
            made = []
            for key, value in pairs:
                size = _fields(value)
                if 0 <= place < size:
                    value = _renewed(value, place, number)
                elif place == size:
                    key = MARKER.decode()
                place -= size + 1
                made.append((key, value))
            return Members(tuple(made))
        case tuple():
            items = []
            for item in node:
                items.append(_renewed(item, place, number) if 0 <= place < _fields(item) else item)
                place -= _fields(item)
            return tuple(items)
        case bytes():
            return MARKER
        case str():
            return MARKER.decode()
        case bool() | None | Odd():
            return node
        case _:
            return number


def _frame(draw: Draw, octets: bytes) -> bytes:
    """A frame with one field that is new each time: of its structure, a word or a number of a text, or all of it."""
    text = MARKER.decode()
    for read, write, number in ((read_json, write_json, int(text)), (read_msgpack, write_msgpack, text)):
        try:
            node: Node = read(octets[:_LARGEST])
        except ValueError:
            continue
        if fields := _fields(node):
            return write(_renewed(node, draw.integer(0, fields - 1), number))
    words = list(re.finditer(rb"[^\s,;:=&/|\"'<>()\0]+", octets[:_LARGEST]))
    place = draw.integer(0, len(words))
    if place == len(words):
        return MARKER
    return octets[: words[place].start()] + MARKER + octets[words[place].end() :]


def _units(draw: Draw, situation: Situation) -> tuple[Unit, ...]:
    """A message like the application's own in which something is new each time; towards a publisher a subscription."""
    if situation.surface.socket_type in ("PUB", "XPUB"):
        return (Frame(_SUBSCRIBE + MARKER),)
    message = plausible(draw, situation) if draw.integer(0, 3) < 3 else (b"\xff" + MARKER,)
    place = draw.choice([place for place, frame in enumerate(message) if frame] or [0])  # a delimiter names nothing
    message = enveloped(draw, situation, (*message[:place], _frame(draw, message[place]), *message[place + 1 :]))
    return tuple([Frame(frame, more=number < len(message) - 1) for number, frame in enumerate(message)])


@strategy("accumulation", needs=Reached.TRAFFIC, stays=True)
def accumulation(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Peers that come and go, messages with a field that is new each time: sessions, caches and tables that grow."""
    bind = situation.surface.side == "bind"
    scripts = []
    for _ in range(draw.choice((1, 1, 2)) if bind else 1):
        kind = our_type(draw, situation)
        said = [Send(_units(draw, situation), times=_SAID, fresh=MARKER) for _ in range(draw.choice((1, 1, 2)))]
        scripts.append(Script((Connect(), Shake(kind), *said, Expect("message", within=0.02), Close())))
    if draw.choice((False, True, True)):
        visits: list[Step] = []
        for _ in range(2):
            asked = Send(_units(draw, situation), fresh=MARKER)
            visits += [Connect(), Shake(our_type(draw, situation)), asked, Expect("message", within=0.02), Close()]
        visitors = min(_VISITORS, situation.budget.peers) if bind else 1
        scripts.append(Script(tuple(visits) * (_VISITS // 2 if bind else 1), times=visitors))
    return tuple(scripts if bind else scripts[-1:])
