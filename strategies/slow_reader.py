"""Slow readers: back pressure, so that what the target sends piles up on its side."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import (
    Close,
    Connect,
    Expect,
    ReadOn,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Step,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.strategies.pieces import COMMANDS, our_type, peers
from zmqfuzz.strategies.roles import asking, hostile, with_bystander
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command, Fill

_SIZES = (16, 8192, 1024, 65_536)
_ASKED = (1, 50, 1100, 3000)
"""Requests; libzmq's high-water mark is 1000 messages unless a program sets another (zmq_setsockopt(3))."""

_VOLUME = 12 * MIB
"""Octets asked for by all peers: more than the send buffer that Linux lets a connection have (4 MiB, tcp(7))."""

_RATES = (1, 1000, 100_000)


def _then(draw: Draw, situation: Situation) -> list[Step]:
    """What a peer does once the target has been made to wait."""
    ways: tuple[list[Step], ...] = (
        [],
        [ReadOn(), Expect("message", within=0.05)],
        [Reset()],
        [Close()],
        [Vanish()],
        [ShutdownWrite()],
        [ReadOn(draw.choice(_RATES)), Wait(0.02)],
    )
    way = draw.integer(0, len(ways))
    if way < len(ways):
        return ways[way]
    units = hostile(draw) if draw.boolean() else (Command(draw.choice(COMMANDS), draw.binary(0, 20)),)
    steps: list[Step] = [Send(units, times=draw.choice((1, 10, 500)))]
    return [*steps, ReadOn(), Expect("close", within=0.02)] if draw.boolean() else steps


@strategy("slow-reader", needs=Reached.TRAFFIC)
def slow_reader(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Peers that ask for much and read little or nothing, then read on, reset, vanish, half-close or send on."""
    count = min(peers(draw, situation, (1, 1, 2, 8)), situation.budget.peers)
    opening: list[Step] = [Connect(draw.choice((None, 2048, 16_384))), Shake(our_type(draw, situation))]
    pace: Step = StopReading() if draw.choice((True, True, False)) else ReadOn(draw.choice(_RATES))
    units = asking(situation, Fill(draw.choice(_SIZES)))
    asked: list[Step] = [Wait(0.01)]
    if units:
        most = _VOLUME // (count * sum(map(unit_size, units)))
        times = 1 if isinstance(units[0], Command) else max(1, min(draw.choice(_ASKED), most))
        asked = [Send(units, times=times)]
    order = [*asked, pace] if draw.choice((False, False, True)) else [pace, *asked]
    steps = [*opening, *order, Wait(draw.choice((0.002, 0.02, 0.1))), *_then(draw, situation)]
    if units and isinstance(units[0], Command) and draw.boolean():  # what it says by itself takes its time to pile up
        steps = [Connect(2048), opening[1], StopReading(), *asked, Wait(draw.choice((1.0, 2.5)))]
    return with_bystander(draw, situation, (Script(tuple(steps), count, "slow reader"),))
