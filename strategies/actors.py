"""Several actors: what no single connection reaches, played by peers who know of each other."""

from __future__ import annotations

from collections.abc import Callable

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Await, Close, Connect, Reset, Script, Send, Shake, Signal, Step, Vanish, Wait
from zmqfuzz.strategies.pieces import IDENTITIES, ending, message, our_type
from zmqfuzz.strategies.roles import hostile, talk, with_bystander
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Unit

_WITHIN = 0.3
"""Seconds an actor waits for another; most come at once."""

Scene = tuple[Script, Script]


def _await(name: str) -> Await:
    return Await(name, within=_WITHIN)


def _cut(draw: Draw) -> tuple[Step, ...]:
    """How an actor leaves while another is at it."""
    ways: tuple[tuple[Step, ...], ...] = ((Close(),), (Reset(),), (Vanish(),), ())
    return draw.choice(ways)


def _squatter(draw: Draw, situation: Situation) -> Scene:
    """Two peers of one identity: the second finds it taken, before or after the honest one has talked."""
    name, kind = draw.choice(IDENTITIES[:6]), our_type(draw, situation)
    does: tuple[Step, ...] = (Send(hostile(draw)),) if draw.boolean() else talk(situation, 100)
    if draw.boolean():
        squatter = (Connect(), Shake(kind, identity=name), *does, Signal("taken"), _await("came"), *_cut(draw))
        victim = (Connect(), _await("taken"), Shake(kind, identity=name), *talk(situation), Signal("came"))
    else:
        victim = (Connect(), Shake(kind, identity=name), *talk(situation), Signal("there"), _await("taken"))
        squatter = (Connect(), _await("there"), Shake(kind, identity=name), *does, Signal("taken"), *_cut(draw))
    return Script(squatter, label="squatter"), Script((*victim, *talk(situation, 1)), label="victim")


def _between_parts(draw: Draw, situation: Situation) -> Scene:
    """One peer's message has begun when another says something, goes, or begins one of its own."""
    kind = our_type(draw, situation)
    units = hostile(draw) if draw.boolean() else message(draw)
    victim = (Send((Frame(b"", more=True),)), Signal("begun"), _await("said"), Send((Frame(b"%08d" % 0),)))
    attacker = (_await("begun"), Send(units, times=draw.choice((1, 1, 20))), *_cut(draw), Signal("said"))
    opening = (Connect(), Shake(kind))
    return Script((*opening, *attacker)), Script((*opening, *victim, *talk(situation, 1)), label="victim")


def _subscription(draw: Draw, situation: Situation) -> Scene:
    """Two peers subscribe to the same, one takes it back or goes; where nobody publishes the commands are junk."""
    topic = draw.choice((b"", b"a", b"\0", b"a" * 255))
    kind = our_type(draw, situation)
    subscribe, cancel = Command(b"SUBSCRIBE", topic), Command(b"CANCEL", topic)
    attacker: list[Step] = [Connect(), Shake(kind), _await("there"), Send((subscribe,), times=draw.choice((1, 2, 50)))]
    if draw.choice((True, False, True)):
        attacker.append(Send((cancel,), times=draw.choice((1, 2, 100))))
    victim = (Connect(), Shake(kind), Send((subscribe,)), Signal("there"), _await("gone"), *talk(situation, 1))
    return Script((*attacker, *_cut(draw), Signal("gone"))), Script(victim, label="victim")


def _leaving(draw: Draw, situation: Situation) -> Scene:
    """One peer goes in the middle of what another sends."""
    kind = our_type(draw, situation)
    body: Unit = Frame(Fill(draw.choice((16, 1024, 65_536))), more=draw.choice((False, False, True)))
    send = Send((body,), times=draw.choice((1, 20, 100)))
    leaver = (Connect(), Shake(kind), *talk(situation), Signal("there"), _await("begun"), *_cut(draw), Signal("gone"))
    sender = (Connect(), Shake(kind), _await("there"), send, Signal("begun"), send, _await("gone"), *talk(situation, 1))
    return Script(leaver), Script(sender, label="second attacker")


_SCENES: tuple[Callable[[Draw, Situation], Scene], ...] = (_squatter, _between_parts, _subscription, _leaving)


def _alone(first: Script, second: Script) -> Script:
    """The same two lives one after the other, for a target that opens one connection at a time."""
    played = (*first.steps, Wait(0.002), *second.steps)
    return Script(tuple(step for step in played if not isinstance(step, Signal | Await)))


@strategy("several-actors", needs=Reached.TRAFFIC)
def several_actors(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """An attacker beside a victim or a second attacker: one identity, one topic, between parts, gone while it sends."""
    first, second = draw.choice(_SCENES)(draw, situation)
    if situation.surface.side != "bind":
        return (_alone(first, second),)
    if draw.boolean():
        second = Script((*second.steps, *ending(draw, situation)), label=second.label)
    return with_bystander(draw, situation, (first, second) if draw.boolean() else (second, first))
