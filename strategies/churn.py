"""Churn: connections one after another, each left at some point of its life."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, ShutdownWrite, Step
from zmqfuzz.strategies.pieces import BOUNDARIES, bounded, leaving, message, our_type, peers, spoken
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Greeting, Raw, Unit

_MOST = 64
"""Connections of one attack."""

_VOLUME = 4 * MIB
"""Octets of one attack."""


def _connection(draw: Draw, situation: Situation, volume: int) -> list[Step]:
    """One connection, as far as it goes, and its end; at most about ``volume`` octets."""
    kind = our_type(draw, situation)
    depth = draw.integer(0, 6)
    if depth == 0:
        return [Connect(), Shake(kind), leaving(draw)]
    if depth == 1:
        return [Connect(), Send((Raw(draw.binary(0, 20)),)), leaving(draw)]
    if depth == 2:
        greeting = Greeting(mechanism=situation.surface.mechanism.encode())
        return [Connect(), Send((greeting,)), Expect("greeting", within=0.1), leaving(draw)]
    if depth == 3:
        return [*spoken(draw, situation, draw.choice((31, 30, 20, 10))), leaving(draw)]
    units: tuple[Unit, ...]
    if depth == 4:
        units = message(draw)
    elif depth == 5:  # queued, and then perhaps without an end
        units = (Frame(Fill(draw.choice(BOUNDARIES)), more=draw.boolean()),)
    else:
        units = (Command(draw.choice((b"PING", b"SUBSCRIBE", b"CANCEL")), draw.binary(2, 4)), *message(draw))
    times = bounded(draw.choice((1, 10, 100, 2000)), units, volume)
    steps: list[Step] = [Connect(), Shake(kind), Send(units, times=times)]
    if draw.boolean():
        steps.append(Expect("message", within=0.002))
    if draw.choice((False, False, True)):
        steps.append(ShutdownWrite())
    return [*steps, leaving(draw)]


@strategy("churn", needs=Reached.TRAFFIC)
def churn(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Many short connections one after another, left after TCP, greeting, handshake or messages, by FIN and RST."""
    least = min(_MOST, situation.budget.peers)
    count = min(peers(draw, situation, (1, 2, 4, 16)), least)
    rounds = draw.choice((1, 2, 5, 16, 60)) if situation.surface.side == "bind" else draw.choice((1, 2, 3))
    rounds = max(1, min(rounds, _MOST // count))
    lives = [_connection(draw, situation, _VOLUME // (count * rounds)) for _ in range(draw.choice((1, 1, 2, 3)))]
    steps = [step for number in range(rounds) for step in lives[number % len(lives)]]
    return (Script(tuple(steps), times=count),)
