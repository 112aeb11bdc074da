"""Identities: what a peer calls itself, in every version, and what others with the same name make of it."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step, Wait
from zmqfuzz.strategies.pieces import IDENTITIES, bounded, ending, leaving, message, our_type, peers, spoken, stretched
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Greeting, Property, Unit

_GIANT = (65_536, 300_000, MIB)


def _name(draw: Draw) -> bytes:
    return draw.choice(IDENTITIES) if draw.choice((True, True, False)) else draw.binary(0, 12)


def _by_hand(draw: Draw, situation: Situation, name: bytes) -> list[Step]:
    """A READY whose Identity is giant, doubled, in other letters, or says another length than it has."""
    kind = Property(b"Socket-Type", our_type(draw, situation).encode())
    units: tuple[Unit, ...]
    shape = draw.integer(0, 3)
    if shape == 0:
        size = draw.choice(_GIANT)
        units = stretched(Command(b"READY", properties=(kind, Property(b"Identity", value_size=size))).body(), size)
    elif shape == 1:
        units = (Command(b"READY", properties=(Property(b"Identity", name), kind, Property(b"Identity", b"other"))),)
    elif shape == 2:
        word = draw.choice((b"identity", b"IDENTITY", b"Routing-Id", b"Identity\0"))
        units = (Command(b"READY", properties=(kind, Property(word, name))),)
    else:
        lie = draw.choice((0, 1, len(name) + 1, 2**31 - 1, 2**32 - 1))
        units = (Command(b"READY", properties=(Property(b"Identity", name, value_size=lie), kind)),)
    steps: list[Step] = [Connect(), Send((Greeting(mechanism=situation.surface.mechanism.encode()),))]
    return [*steps, Expect("ready", within=0.2), Send(units)]


def _life(draw: Draw, situation: Situation, name: bytes) -> list[Step]:
    """One connection under ``name``, with or without traffic that waits for it."""
    if draw.choice((True, True, True, False)):
        steps = list(spoken(draw, situation, draw.choice((31, 31, 30, 20, 10)), identity=name))
    else:
        steps = _by_hand(draw, situation, name)
    pending = draw.choice((1, 0, 2, 50))
    if pending:
        due = message(draw, most_parts=3)
        steps.append(Send(due, times=bounded(pending, due)))
    if draw.boolean():
        steps.append(Expect("message", within=draw.choice((0.002, 0.01))))
    return steps


@strategy("identity", needs=Reached.TRAFFIC, weight=2)
def identity(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Identities empty, reserved, giant, another peer's, kept or changed on reconnect, with and without traffic due."""
    name = _name(draw)
    scripts = []
    for number in range(peers(draw, situation, (1, 2, 2, 3))):
        steps: list[Step] = _life(draw, situation, name)
        for _ in range(draw.choice((0, 0, 1, 3) if situation.surface.side == "bind" else (0, 0, 1))):
            steps.append(leaving(draw))
            if draw.boolean():
                steps.append(Wait(0.002))
            steps += _life(draw, situation, name if draw.choice((True, True, False)) else _name(draw))
        if number == 0 and draw.boolean():
            steps.append(Wait(0.01))  # so that another finds the name taken
        steps.extend(ending(draw, situation))
        scripts.append(Script(tuple(steps), peers(draw, situation, (1, 1, 1, 4)), "squatter" if number else "attacker"))
    return tuple(scripts)
