"""Peers that call themselves somebody in their metadata, beside such that do not (RFC 37 metadata, RFC 27 user id)."""

from __future__ import annotations

import re

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.forged import CLAIMANT, HARMLESS, NOT_THEIRS, PLAIN_PEER
from zmqfuzz.script import Await, Connect, Expect, Script, Send, Shake, Signal, Step
from zmqfuzz.strategies.roles import honest_type, usual
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Property, Unit

_NAMES = (b"admin", b"root", b"operator", b"system", b"user", b"localhost", b"127.0.0.1", b"zmqfuzz")
"""Whom programs know; the last one nobody."""

_NUMBERS = 1000
"""Users that have a number, from 0."""

_WORD = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]{2,20}")
_MOST_WORDS = 32

_ANSWERS = ("REP", "ROUTER", "DEALER", "PAIR", "")
"""Types of sockets that may answer who asks."""

_WITHIN = 0.15
_ORDER = "pcpcopcp"
"""Plain peers, claimants, and one that says something harmless: what changes by itself, or in turns, is no answer."""


def _value(draw: Draw, situation: Situation) -> bytes:
    """A name that programs know, a number, or a word that the program itself was heard to say."""
    if draw.choice((False, False, True)):
        return b"%d" % draw.integer(0, _NUMBERS)
    words = sorted({word for seed in situation.seeds for frame in seed for word in _WORD.findall(frame[:4096])})
    return draw.choice(words[:_MOST_WORDS]) if words and draw.boolean() else draw.choice(_NAMES)


def _peer(number: int, kind: str, properties: tuple[Property, ...], question: tuple[Unit, ...], label: str) -> Script:
    """Each waits until the one before has been answered."""
    before: tuple[Step, ...] = (Await(f"{number} was answered", within=2 * _WITHIN + 1.0),) if number else ()
    asks = (Shake(kind, properties=properties), Send(question), Expect("message", within=_WITHIN, keep=True))
    return Script((Connect(), *before, *asks, Signal(f"{number + 1} was answered")), label=label)


@strategy("forged-metadata", needs=Reached.TRAFFIC, known=True)
def forged_metadata(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Peers that say who they are in READY (User-Id, Peer-Address), between peers that ask the same and do not."""
    kind, question = honest_type(situation), usual(draw, situation)
    name, value = draw.choice((NOT_THEIRS[0], *NOT_THEIRS)), _value(draw, situation)
    claim = (Property(name, value),)
    if situation.surface.socket_type.upper() not in _ANSWERS or situation.surface.side != "bind":
        says = (Send(question),) if question else ()
        steps = (Connect(), Shake(kind, properties=claim), *says, Expect("message", within=0.02))
        return (Script(steps, label=CLAIMANT),)
    properties = {"p": (), "c": claim, "o": (Property(HARMLESS, value),)}
    return tuple(
        _peer(number, kind, properties[letter], question, CLAIMANT if letter == "c" else PLAIN_PEER)
        for number, letter in enumerate(_ORDER)
    )
