"""Messages that wait in a target: for a peer that does not read them, or for the application itself. Pure.

libzmq's high-water marks bound both, for each peer and in messages, unless they are 0 or very large (zmq_setsockopt(3),
ZMQ_SNDHWM and ZMQ_RCVHWM; 1000 by default). Memory tells how many wait at least: each costs its octets and what libzmq
keeps beside them (``src/msg.hpp``: 64 octets in the pipe, 40 and an allocation for a body of more than 33).

What tells a queue that has a mark from one that has none is that it stops growing. So what nobody reads is asked for in
rounds, each as soon as the target has worked off the one before: what waits then waits for the peer, however many
sockets and workers a request passed on its way. Where the mark is reached the next round adds nothing; where there is
none every round adds the same.
"""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.budget import MIB
from zmqfuzz.measured import Kept
from zmqfuzz.script import Attack, Await, Connect, ReadOn, Script, Send, Shake, Step, StopReading, Vanish, Wait
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Unit

__all__ = [
    "BACKLOG",
    "CUES",
    "ENOUGH",
    "FLOOR",
    "INTAKE",
    "LONGEST",
    "STANDING",
    "WAYS",
    "asking",
    "cues_of",
    "enough",
    "grows_anyway",
    "intake",
    "levelled",
    "nobody",
    "reading",
    "request_of",
    "round_of",
    "standing",
    "unlimited",
    "waiting",
    "ways",
]

BACKLOG = "backlog"
"""Instead of the name of a family."""

ENOUGH = 16_000
"""Messages that wait for one peer beyond which there is no mark, or one sixteen times as high as libzmq's own."""

FLOOR = 8 * MIB
"""Octets of resident memory that must be gained besides: below that a program's own growth may be all of it."""

UNREAD_FLOOR = 4 * MIB
"""The same of what nobody reads, which a control and the rounds tell from a program's own growth."""

COST = 128
"""Octets that a waiting message costs beside its own, at most as libzmq does it: so that few are not told as many."""

LONGEST = 10.0
"""Seconds that a reader stands still at most, and that a target may take for requests."""

STANDING, VANISHED, SLOW = "reader that stands still", "reader that vanished", "reader that hardly reads"
WAYS = (STANDING, VANISHED, SLOW)
"""Ways not to read, by the labels of the peers."""

CUES = tuple(f"round {number}" for number in range(1, 13))
"""Signals that a round is over: what was asked for in it waits."""

CALM = 0.25
"""Share of what is kept for who does not read that may be kept without such a peer, in as many rounds."""

_NARROW = 2048
_SLOWLY = 512
_GOING = 0.1
"""Seconds after which a peer vanishes that has asked for something."""

_SLOWING, _ASKED = 0.5, 0.5
"""Of what the earlier rounds brought, the share that the later ones bring at least where there is no mark; and of the
answers that were asked for, the share that is kept."""

_FLAT, _STILL = 0.25, 0.1
"""Shares of two rounds' messages that are too little to be some of them: of those that were asked for, and of those
that a target sends by itself, slower on a machine that has become busy."""

_ANSWERS, _SPOKEN = 4, 8
"""Rounds of answers, of messages that a target sends by itself, that are enough."""

_IN_PIPE = 64
"""Octets that any message costs in a pipe (``src/msg.hpp``)."""

INTAKE = "sender"
_BODY = 1024
_MOST = 400_000
"""Messages that are sent at most."""


def enough(kept: Kept) -> bool:
    """Whether so much waits that no usual high-water mark bounds it."""
    return waiting(kept) >= ENOUGH and kept.grown >= FLOOR


def waiting(kept: Kept) -> int:
    """How many messages wait at least: of rounds, the first does not count, in which all that is bounded fills."""
    return max(0, int((sum(kept.rounds[1:]) if kept.rounds else kept.grown) / (kept.size + COST)))


def unlimited(kept: Kept) -> bool:
    """Whether round for round as much is kept, far beyond every usual mark."""
    later = kept.rounds[1:]
    half = len(later) // 2
    if half < 2 or waiting(kept) < ENOUGH or sum(later) < UNREAD_FLOOR:
        return False
    steady = sum(later[-half:]) >= _SLOWING * sum(later[:half])
    return steady and (not kept.asked or sum(later) >= _ASKED * kept.each * kept.size * len(later))


def levelled(kept: Kept) -> bool:
    """Whether the last two rounds, not the first, brought nothing any more."""
    least = (_FLAT if kept.asked else _STILL) * max(kept.size, _IN_PIPE) * kept.each
    return len(kept.rounds) > 2 and sum(kept.rounds[-2:]) < 2 * least


def round_of(request: Request, size: float) -> int:
    """Messages of one round, those of all peers together."""
    rounds = _ANSWERS if request.answered else _SPOKEN
    return min(_MOST, round(max(ENOUGH, UNREAD_FLOOR / max(size, _IN_PIPE)) / rounds))


def ways(request: Request) -> tuple[str, ...]:
    """Ways not to read that can go on for rounds: a peer that has vanished asks for nothing more."""
    return tuple(way for way in WAYS if way != VANISHED or not request.answered)


def _opening(surface: Surface, request: Request, buffer: int | None) -> tuple[Step, ...]:
    return Connect(buffer), Shake(request.kind, mechanism=surface.mechanism, within=5.0)


def standing(surface: Surface, request: Request, size: float, *those: str, rounds: int = len(CUES)) -> Attack:
    """Peers that have messages of about ``size`` octets sent to them, round by round, and do not read, in these ways.

    ``rounds``: seven are enough where as many messages wait as were asked for.
    """
    times = -(-round_of(request, size) // len(those)) if request.answered else 1
    sends: tuple[Step, ...] = (Send(request.units, times=times),) if request.units else ()

    def script(way: str) -> Script:
        pace: Step = ReadOn(_SLOWLY) if way == SLOW else StopReading()
        gone: tuple[Step, ...] = (Wait(_GOING), Vanish()) if way == VANISHED else ()
        played: list[Step] = []
        for number, cue in enumerate(CUES[:rounds]):
            played += [*(sends if request.answered or not number else ()), *(gone if not number else ())]
            played += [Await(cue, within=6 * LONGEST)]
        return Script((*_opening(surface, request, _NARROW), pace, *played), label=way)

    return Attack(tuple(map(script, those)), strategy=BACKLOG)


def cues_of(attack: Attack) -> tuple[str, ...]:
    """The signals that the peers of such an attack await, in their order."""
    return tuple(step.name for step in attack.scripts[0].steps if isinstance(step, Await)) if attack.scripts else ()


def reading(attack: Attack) -> Attack:
    """The same peers, who read all of it."""
    left_out = StopReading | ReadOn | Vanish | Wait | Connect

    def script(script: Script) -> Script:
        kept = tuple(step for step in script.steps if not isinstance(step, left_out))
        return replace(script, steps=(Connect(), *kept), label="reader")

    return replace(attack, scripts=tuple(map(script, attack.scripts)))


def nobody(attack: Attack) -> Attack:
    """Instead of a peer that reads: a target that speaks by itself may do so faster than anybody reads."""
    return replace(attack, scripts=())


def grows_anyway(trial: Trial, calm: Trial) -> bool:
    """Whether a target gains CALM as much, round for round, without a peer that does not read."""
    kept, alone = trial.observation.kept, calm.observation.kept
    if kept is None or alone is None:
        return True
    rounds = min(len(kept.rounds), len(alone.rounds))
    return rounds < 2 or sum(alone.rounds[1:rounds]) > CALM * sum(kept.rounds[1:rounds])


def asking(surface: Surface, request: Request, times: int, seconds: float) -> Attack:
    """A peer that reads what it is sent for ``times`` requests, or for some seconds by itself."""
    sends: tuple[Step, ...] = ()
    if request.units:
        sends = (Send(request.units, times=times if request.answered else 1),)
    steps = (*_opening(surface, request, None), *sends, Wait(seconds))
    return Attack((Script(steps, label="reader"),), strategy=BACKLOG)


def intake(surface: Surface, request: Request) -> Attack:
    """One honest peer that sends complete messages as fast as they are taken."""
    units: tuple[Unit, ...] = request.units
    if not units or isinstance(units[0], Command):
        units = (Frame(Fill(_BODY)),)
    size = sum(map(unit_size, units))
    times = min(_MOST, round(2.5 * max(ENOUGH, FLOOR / (size + 64))))
    steps = (*_opening(surface, request, None), Send(units, times=times))
    return Attack((Script(steps, label=INTAKE),), strategy=BACKLOG)


def request_of(attack: Attack) -> tuple[Unit, ...]:
    """The message that the peer of such an attack sends; empty: it sends none."""
    return next((step.units for step in attack.scripts[0].steps if isinstance(step, Send)), ())
