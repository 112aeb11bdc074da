"""Roles that several families give their peers: an honest bystander, what makes a target answer, something hostile.

Registers nothing itself.
"""

from __future__ import annotations

from zmqfuzz.catalogue import Situation
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step
from zmqfuzz.strategies.pieces import COMMANDS, body
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Raw, Unit, peer_type

__all__ = ["asking", "bystander", "honest_type", "hostile", "talk", "usual", "with_bystander"]

_PATIENCE = 0.02
"""Seconds an honest peer waits for an answer; a socket type that gives none costs it this."""

_LIES = (0, 1, 255, 256, 2**31 - 1, 2**32, 2**63 - 1, 2**64 - 1)


def honest_type(situation: Situation) -> str:
    """The socket type that usually talks to the target's: the first of those that may."""
    return peer_type(situation.surface.socket_type)[0]


def asking(situation: Situation, body: bytes | Fill) -> tuple[Unit, ...]:
    """What an honest peer sends to be sent something: a request, a subscription to everything, or a message.

    RFC 28: a request has an empty delimiter in front; RFC 37: a 3.1 subscriber sends SUBSCRIBE. PUSH sends unasked.
    """
    match situation.surface.socket_type.upper():
        case "PUB" | "XPUB":
            return (Command(b"SUBSCRIBE", b""),)
        case "PUSH":
            return ()
        case "REP" | "ROUTER" | "REQ" | "":
            return (Frame(b"", more=True), Frame(body))
        case _:
            return (Frame(body),)


def usual(draw: Draw, situation: Situation) -> tuple[Unit, ...]:
    """What an honest peer would send, like a message that the target was heard to take where there is one."""
    known = asking(situation, b"zmqfuzz")
    if not situation.seeds or not known or isinstance(known[0], Command) or draw.boolean():
        return known
    frames = draw.choice(situation.seeds)
    before = (Frame(b"", more=True),) if situation.surface.socket_type.upper() == "REP" and frames[0] else ()
    return (*before, *(Frame(frame, more=place < len(frames) - 1) for place, frame in enumerate(frames)))


def talk(situation: Situation, first: int = 0, count: int = 1) -> tuple[Step, ...]:
    """``count`` honest exchanges, their messages numbered from ``first``."""
    steps: list[Step] = []
    for number in range(first, first + count):
        units = asking(situation, b"%08d" % number)
        if units and not (number and isinstance(units[0], Command)):  # a subscription is made once
            steps.append(Send(units))
        steps.append(Expect("message", within=_PATIENCE))
    return tuple(steps)


def bystander(draw: Draw, situation: Situation) -> Script:
    """An honest peer with nothing to do with the attack: it shakes hands, and talks while the others attack."""
    steps = (Connect(), Shake(honest_type(situation)), *talk(situation, count=draw.choice((1, 2, 3))))
    return Script(steps, label="bystander")


def with_bystander(draw: Draw, situation: Situation, scripts: tuple[Script, ...]) -> tuple[Script, ...]:
    """``scripts``, and sometimes a bystander, where the target takes several connections and the budget has room."""
    room = sum(script.times for script in scripts) < situation.budget.peers
    if situation.surface.side == "bind" and room and draw.boolean():
        return (*scripts, bystander(draw, situation))
    return scripts


def hostile(draw: Draw) -> tuple[Unit, ...]:
    """What no honest peer sends in traffic: a message without an end, a lie, a reserved bit, a command, junk."""
    kind = draw.integer(0, 4)
    if kind == 0:
        return (Frame(body(draw), more=True),)
    if kind == 1:
        return (Frame(body(draw), declared_size=draw.choice(_LIES)),)
    if kind == 2:
        return (Frame(body(draw), more=draw.boolean(), reserved=draw.choice((8, 0x80, 0xF8))),)
    if kind == 3:
        return (Command(draw.choice(COMMANDS), draw.binary(0, 24), more=draw.boolean()),)
    return (Raw(draw.binary(1, 40)),)
