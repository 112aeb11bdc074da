"""Reconnecting peers: the same peer again, but not as it was before."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, ShutdownWrite, Step, Vanish, Wait
from zmqfuzz.strategies.pieces import IDENTITIES, ending, message, odd_greeting, peers, spoken
from zmqfuzz.strategies.roles import hostile, with_bystander
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Raw

_VERSIONS = (31, 30, 20, 10)


def _honest(draw: Draw, situation: Situation, version: int, name: bytes) -> list[Step]:
    steps = list(spoken(draw, situation, version, identity=name))
    if draw.choice((False, True, True)):
        steps += [Send(message(draw), times=draw.choice((1, 1, 5))), Expect("message", within=0.005)]
    return steps


def _dishonest(draw: Draw, situation: Situation, version: int, name: bytes) -> list[Step]:
    shape = draw.integer(0, 3)
    if shape == 0:
        return [Connect(), Send((Raw(draw.binary(0, 40)),)), Expect("bytes", within=0.02)]
    if shape == 1:
        return [Connect(), Send((odd_greeting(draw),)), Expect("greeting", within=0.02)]
    return [*spoken(draw, situation, version, identity=name), Send(hostile(draw)), Expect("close", within=0.005)]


def _gone(draw: Draw) -> list[Step]:
    """How a connection is left before the next one; Vanish leaves it half open beside."""
    ways: tuple[list[Step], ...] = ([Close()], [Reset()], [ShutdownWrite(), Wait(0.002)], [Vanish()])
    return draw.choice(ways)


@strategy("reconnect", needs=Reached.TRAFFIC)
def reconnect(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Honest and then hostile, hostile and then honest, in another version, many times, with and without a goodbye."""
    name = draw.choice(IDENTITIES[:6])
    first = draw.choice(_VERSIONS)
    second = first if draw.boolean() else draw.choice(_VERSIONS)
    order = draw.integer(0, 3)
    if order == 0:
        lives = [_honest(draw, situation, first, name), _honest(draw, situation, second, name)]
    elif order == 1:
        lives = [_dishonest(draw, situation, first, name), _honest(draw, situation, second, name)]
    elif order == 2:
        lives = [_honest(draw, situation, first, name), _dishonest(draw, situation, second, name)]
    else:
        lives = [_honest(draw, situation, first, name), _dishonest(draw, situation, first, name)]
        lives.append(_honest(draw, situation, second, name))
    rounds = draw.choice((1, 1, 2, 5)) if situation.surface.side == "bind" else 1
    pause: list[Step] = [Wait(0.002)] if draw.boolean() else []
    steps: list[Step] = []
    for number in range(rounds * len(lives)):
        steps += [*(_gone(draw) if number else []), *(pause if number else []), *lives[number % len(lives)]]
    script = Script((*steps, *ending(draw, situation)), peers(draw, situation, (1, 1, 2, 8)))
    return with_bystander(draw, situation, (script,))
