"""Tempo: honest conversations at a pace and in segments that nobody expects, and silence where an answer is due."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step, StopReading, Wait
from zmqfuzz.strategies.pieces import BOUNDARIES, ending, message, opening, our_type, peers, waited_out
from zmqfuzz.strategies.roles import with_bystander
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import SIGNATURE, Command, Fill, Frame, Greeting, Property, Raw, Unit, encode

_PAUSES = (0.001, 0.01, 0.03)
_VERSIONED = len(SIGNATURE) + 2
"""Octets after which libzmq knows the version and goes on with its greeting (zmtp_engine.cpp:receive_greeting)."""


def _greeting(situation: Situation) -> Greeting:
    return Greeting(mechanism=situation.surface.mechanism.encode())


def _ready(kind: str) -> Command:
    return Command(b"READY", properties=(Property(b"Socket-Type", kind.encode()),))


def _cut(draw: Draw, octets: bytes) -> tuple[bytes, bytes]:
    place = draw.integer(0, len(octets))
    return octets[:place], octets[place:]


def _at_each_event(draw: Draw, situation: Situation, units: tuple[Unit, ...]) -> list[Step]:
    """A pause before each thing that the target may be waiting for."""
    pause = Wait(draw.choice(_PAUSES))
    greeting = encode(_greeting(situation))
    parts = (greeting[: len(SIGNATURE)], greeting[len(SIGNATURE) : _VERSIONED], greeting[_VERSIONED:])
    steps: list[Step] = []
    for part in parts:
        steps += [pause, Send((Raw(part),))]
    steps += [Expect("ready", within=0.3), pause, Send((_ready(our_type(draw, situation)),))]
    for unit in units:
        steps += [pause, Send((unit,))]
    return steps


@strategy("tempo", needs=Reached.TRAFFIC)
def tempo(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Honest conversations dripped octet by octet, cut anywhere, in one segment, or with pauses at each event."""
    units = message(draw)
    chunk = draw.choice((1, 2, 3, 7, 63))
    every = draw.choice((0.0, 0.0002, 0.0005))
    steps: list[Step] = [Connect()]
    shape = draw.integer(0, 5)
    if shape == 0:
        steps = [*opening(draw, situation), Send(units, times=draw.choice((1, 20)), chunk=chunk, every=every)]
    elif shape == 1:  # all in one go, before the target has said a word
        steps.append(Send((_greeting(situation), _ready(our_type(draw, situation)), *units)))
    elif shape == 2:
        octets = b"".join(map(encode, (_greeting(situation), _ready(our_type(draw, situation)), *units)))
        first, rest = _cut(draw, octets)
        steps += [Send((Raw(first),)), Wait(draw.choice(_PAUSES)), Send((Raw(rest),))]
    elif shape == 3:
        steps += _at_each_event(draw, situation, units)
    elif shape == 4:
        steps.append(Send((_greeting(situation),), chunk=chunk, every=every))
        steps.append(Expect("ready", within=0.3))
        steps.append(Send((_ready(our_type(draw, situation)),), chunk=chunk, every=every))
        steps.append(Send(units, times=draw.choice((1, 20))))
    else:  # frames and halves of frames in segments of their own
        steps = list(opening(draw, situation))
        first, rest = _cut(draw, b"".join(map(encode, units)))
        for _ in range(draw.choice((1, 3, 10))):
            steps += [Send((Raw(first),)), Wait(0.001), Send((Raw(rest + first),)), Wait(0.001), Send((Raw(rest),))]
    steps.append(Expect("message", within=draw.choice((0.005, 0.02))))
    script = Script((*steps, *ending(draw, situation)), peers(draw, situation, (1, 1, 2, 8)))
    return with_bystander(draw, situation, (script,))


@strategy("stall", needs=Reached.TRAFFIC)
def stall(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Silence after TCP, part of the signature, the greeting or READY, in a frame, in a message; alone and many."""
    greeting = encode(_greeting(situation))
    kind = our_type(draw, situation)
    steps: list[Step]
    moment = draw.integer(0, 6)
    if moment == 0:
        steps = [Connect(), Shake(kind)]
    elif moment == 1:
        steps = [Connect()]
    elif moment == 2:
        steps = [Connect(), Send((Raw(greeting[: draw.choice((1, 9, 10, 11, 12, 20, 32, 63))]),))]
    elif moment == 3:
        steps = [Connect(), Send((Raw(greeting),)), Expect("ready", within=0.2)]
    elif moment == 4:
        ready = encode(_ready(kind))
        steps = [Connect(), Send((Raw(greeting),)), Expect("ready", within=0.2)]
        steps.append(Send((Raw(ready[: draw.integer(1, len(ready) - 1)]),)))
    elif moment == 5:
        size = max(1, draw.choice(BOUNDARIES))
        sent = draw.choice((0, 1, size // 2, size - 1))
        steps = [Connect(), Shake(kind), Send((Frame(Fill(min(sent, size)), declared_size=size, long=size > 255),))]
    else:
        steps = [Connect(), Shake(kind), Send((Frame(Fill(draw.choice(BOUNDARIES)), more=True),))]
    if draw.boolean():
        steps.append(StopReading())
    steps += [Wait(draw.choice((0.002, 0.02, 0.1))), *waited_out(draw, situation)]
    count = min(peers(draw, situation, (1, 1, 4, 16, situation.budget.peers)), situation.budget.peers)
    return with_bystander(draw, situation, (Script((*steps, *ending(draw, situation)), count),))
