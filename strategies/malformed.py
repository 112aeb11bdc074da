"""Malformed frames and commands, in traffic."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, CHUNKS, body, ending, greeted, message, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Property, Raw, Unit

_NAMES = (b"PING", b"PONG", b"READY", b"ERROR", b"SUBSCRIBE", b"CANCEL", b"JOIN", b"LEAVE", b"MESSAGE", b"HELLO", b"")

_BEHIND = (1, 8191, 8193, 20_000)
"""Octets behind a header that lies: within one batch of libzmq's decoder (``config.hpp:in_batch_size``), and beyond."""


def odd_frame(draw: Draw) -> Unit:
    """A frame or command with something that no honest peer sends in traffic, or octets that are neither."""
    choice = draw.integer(0, 4)
    more = draw.boolean()
    if choice == 0:
        return Frame(body(draw), more=more, reserved=draw.choice((0, 8, 0x80, 0xF8)), long=draw.choice((None, True)))
    if choice == 1:
        lie = draw.choice((0, 1, 255, 256, 2**31 - 1, 2**31, 2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 41, 2**64 - 1))
        brought: bytes | Fill = Fill(draw.choice(_BEHIND)) if draw.boolean() else body(draw)
        return Frame(brought, more=more, declared_size=lie)
    if choice == 2:
        data = draw.binary(0, 24)
        return Command(draw.choice(_NAMES), data, name_size=draw.choice((None, None, 0, 1, 255)), more=more)
    if choice == 3:
        return Command(draw.choice(_NAMES), properties=(Property(b"Socket-Type", body(draw)),), more=more)
    if draw.boolean():
        return Raw(draw.binary(0, 40))
    return Frame(Fill(draw.choice(BOUNDARIES)), more=more, command=draw.boolean())


@strategy("malformed-frame", needs=Reached.TRAFFIC)
def malformed_frame(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Frames with reserved bits, sizes that lie, commands in traffic of every length, MORE where none follows."""
    scripts = []
    for _ in range(peers(draw, situation, (1, 2))):
        steps: list[Step] = list(greeted(draw, situation))
        for _ in range(draw.integer(1, 4)):
            steps.append(Send(tuple(odd_frame(draw) for _ in range(draw.integer(1, 3))), chunk=draw.choice(CHUNKS)))
        if draw.boolean():
            steps.append(Send(message(draw)))
        steps.append(Expect("close", within=0.005))
        steps.extend(ending(draw, situation))
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 4))))
    return tuple(scripts)


@strategy("malformed-message", needs=Reached.TRAFFIC, weight=2)
def malformed_message(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Well-framed messages that the application may not expect: part counts, empty parts, missing delimiters."""
    scripts = []
    for _ in range(peers(draw, situation, (1, 2))):
        steps: list[Step] = list(greeted(draw, situation))
        for _ in range(draw.integer(1, 3)):
            steps.append(Send(message(draw, most_parts=draw.choice((1, 2, 3, 4, 12))), times=draw.choice((1, 1, 3))))
        steps.append(Expect("message", within=0.005))
        steps.extend(ending(draw, situation))
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 2))))
    return tuple(scripts)
