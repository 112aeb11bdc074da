"""Foreign openings: what port scanners, browsers and clients of other protocols send to a ZMTP endpoint."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import CHUNKS, ending, message, our_type, peers
from zmqfuzz.strategies.protocols import foreign_client, foreign_server
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Greeting, Property, Raw, Unit


def _honest(draw: Draw, situation: Situation) -> tuple[Unit, ...]:
    ready = Command(b"READY", properties=(Property(b"Socket-Type", our_type(draw, situation).encode()),))
    return (Greeting(mechanism=situation.surface.mechanism.encode()), ready, *message(draw))


def _foreign(draw: Draw, situation: Situation) -> bytes:
    """Mostly what the other side of a connection of this direction would say; now and then the wrong side's words."""
    expected = draw.choice((True, True, True, False))
    return foreign_client(draw) if expected == (situation.surface.side == "bind") else foreign_server(draw)


@strategy("foreign-opening", needs=Reached.CONNECTED)
def foreign_opening(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Other protocols (HTTP, TLS, SSH, RDP, Redis, MQTT, plain text), alone, repeated, pipelined, in front of ZMTP."""
    scripts = []
    for _ in range(peers(draw, situation, (1, 1, 2, 3))):
        steps: list[Step] = [Connect()]
        if draw.boolean():
            steps.append(Expect("bytes", within=0.2))
        opening, times = Raw(_foreign(draw, situation)), 1
        later: tuple[Unit, ...] = ()
        follows = draw.integer(0, 4)
        if follows == 1:
            times = draw.choice((2, 40, 1000))
        elif follows == 2:
            later = (Raw(_foreign(draw, situation)),)
        elif follows >= 3:
            later = _honest(draw, situation)
        if later and draw.boolean():
            steps.append(Send((opening, *later), chunk=draw.choice(CHUNKS)))
        else:
            steps.append(Send((opening,), times, draw.choice(CHUNKS)))
            if later:
                steps += [Expect("close", within=0.002), Send(later)]
        steps.append(Expect("close", within=0.005))
        steps.extend(ending(draw, situation))
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 4))))
    return tuple(scripts)
