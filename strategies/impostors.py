"""Servers without the key that a client is to insist on. Registers nothing itself: a part of ``authorisation``."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation
from zmqfuzz.drawing import Draw
from zmqfuzz.impostors import IMPOSTOR
from zmqfuzz.script import Close, Connect, Expect, Script, Send, Shake, Step, Wait
from zmqfuzz.strangers import LISTENS, SHAKES
from zmqfuzz.strategies.pieces import our_octet
from zmqfuzz.strategies.roles import honest_type
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Greeting1, Greeting2, Property, Unit

__all__ = ["impostors"]

_AGAIN = 0.7
"""Seconds between two visits: libzmq connects again after 100 ms, programs that give a server up after about one."""

_VISITS = (1, 1, 4)


def _offers(situation: Situation) -> tuple[Unit, ...]:
    """What an honest server would send such a client unasked; a REQ, DEALER or PUSH speaks first."""
    match situation.surface.socket_type.upper():
        case "SUB" | "XSUB" | "PULL" | "PAIR":
            return (Frame(b"zmqfuzz"),)
        case "REP" | "ROUTER":
            return (Frame(b"", more=True), Frame(b"zmqfuzz"))
    return ()


def _says(units: tuple[Unit, ...]) -> tuple[Step, ...]:
    return (Send(units),) if units else ()


def _older(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """ZMTP 2.0 or 1.0, in both forms of a length: a client that follows has left its keys behind."""
    if draw.boolean():
        return (Send((Greeting2(our_octet(draw, situation)),)), Expect("bytes", within=0.2))
    return (Send((Greeting1(long=draw.boolean()),)), Wait(0.05))


def _early(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """In clear behind a greeting that names the mechanism that the client wants, or another."""
    named = draw.choice(((situation.surface.mechanism or "NULL").encode(), b"CURVE", b"NULL", b"PLAIN", b""))
    greeting = Greeting(minor=draw.choice((1, 0)), mechanism=named, as_server=draw.choice((1, 0)))
    kind = Property(b"Socket-Type", honest_type(situation).encode())
    ready = (Command(b"READY", properties=(kind,)),) if draw.boolean() else ()
    return (Send((greeting,)), Expect("greeting", within=0.3), *_says(ready))


def _visit(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """One connection of the client, and what it is told."""
    choice, offers = draw.integer(0, 5), _says(_offers(situation))
    opening: tuple[Step, ...]
    if choice == 5:
        opening = _older(draw, situation)
    elif choice == 4:
        opening = _early(draw, situation)
    else:
        way = ("NULL", "CURVE", "PLAIN", "NULL")[choice]
        shake = Shake(
            honest_type(situation),
            mechanism=way,
            version=draw.choice(((3, 1), (3, 1), (3, 0))),
            within=SHAKES,
            stranger=way == "CURVE",
        )
        opening = (shake,)
    return (Connect(), *opening, *offers, Expect("message", within=LISTENS))


def impostors(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """One server without the key, once, or as often as the client comes back."""
    visit = _visit(draw, situation)
    again = (Close(), Wait(_AGAIN), *visit) * (draw.choice(_VISITS) - 1)
    return (Script((*visit, *again), label=IMPOSTOR),)
