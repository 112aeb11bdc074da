"""Malformed greetings: the first bytes, before anything is agreed."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Step
from zmqfuzz.strategies.pieces import CHUNKS, ending, message, odd_greeting, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Property, Raw, Unit, encode


@strategy("malformed-greeting", needs=Reached.GREETING)
def malformed_greeting(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Greetings with wrong fields, of other versions, cut short, dripped, or that are not ZMTP at all."""
    scripts = []
    for _ in range(peers(draw, situation, (1, 2, 3))):
        steps: list[Step] = [Connect()]
        if draw.boolean():
            steps.append(Expect("bytes", within=0.5))
        greeting: Unit
        shape = draw.integer(0, 3)
        if shape == 3:
            greeting = Raw(draw.binary(0, 96))
        else:
            greeting = odd_greeting(draw)
            if shape == 2:
                octets = encode(greeting)
                greeting = Raw(octets[: draw.integer(0, len(octets))])
        steps.append(Send((greeting,), chunk=draw.choice(CHUNKS)))
        if draw.boolean():
            steps.append(Send((Command(b"READY", properties=(Property(b"Socket-Type", b"DEALER"),)), *message(draw))))
        steps.append(Expect("greeting", within=0.01))
        steps.extend(ending(draw, situation))
        scripts.append(Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 4))))
    return tuple(scripts)
