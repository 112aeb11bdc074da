"""Messages that wait in a target: for a peer that does not read them, or for the application itself. Pure.

libzmq's high-water marks bound both, for each peer and in messages, unless they are 0 or very large (zmq_setsockopt(3),
ZMQ_SNDHWM and ZMQ_RCVHWM; 1000 by default). Memory tells how many wait at least: each costs its octets and what libzmq
keeps beside them (``src/msg.hpp``: 64 octets in the pipe, 40 and an allocation for a body of more than 33).
"""

from __future__ import annotations

from dataclasses import replace

from zmqfuzz.budget import MIB
from zmqfuzz.measured import Kept
from zmqfuzz.script import Attack, Connect, ReadOn, Script, Send, Shake, Step, StopReading, Vanish, Wait
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Unit

__all__ = [
    "BACKLOG",
    "ENOUGH",
    "FLOOR",
    "INTAKE",
    "LONGEST",
    "STANDING",
    "WAYS",
    "asking",
    "enough",
    "grows_anyway",
    "intake",
    "nobody",
    "reading",
    "request_of",
    "standing",
    "unlimited",
    "waiting",
]

BACKLOG = "backlog"
"""Instead of the name of a family."""

ENOUGH = 16_000
"""Messages that wait for one peer beyond which there is no mark, or one sixteen times as high as libzmq's own."""

FLOOR = 8 * MIB
"""Octets of resident memory that must be gained besides: below that a program's own growth may be all of it."""

COST = 128
"""Octets that a waiting message costs beside its own, at most as libzmq does it: so that few are not told as many."""

LONGEST = 10.0
"""Seconds that a reader stands still at most, and that a target may take for requests."""

STANDING, VANISHED, SLOW = "reader that stands still", "reader that vanished", "reader that hardly reads"
WAYS = (STANDING, VANISHED, SLOW)
"""Ways not to read, by the labels of the peers."""

CALM = 0.25
"""Share of what is kept for who does not read that may be kept without such a peer, in the same time."""

_NARROW = 2048
_SLOWLY = 512
_GOING = 0.1
"""Seconds after which a peer vanishes that has asked for something."""

_GROWING = 0.1
"""Of what was gained, the share of the last third of the time below which it levels off."""

INTAKE = "sender"
_BODY = 1024
_MOST = 400_000
"""Messages that are sent at most."""


def enough(kept: Kept) -> bool:
    """Whether so much waits that no usual high-water mark bounds it."""
    return waiting(kept) >= ENOUGH and kept.grown >= FLOOR


def waiting(kept: Kept) -> int:
    """How many messages wait at least."""
    return int(kept.grown / (kept.size + COST))


def unlimited(kept: Kept) -> bool:
    """Whether it goes on growing beyond every usual mark."""
    return enough(kept) and kept.lately >= _GROWING * kept.grown


def _times(request: Request, size: float) -> int:
    """Requests whose answers are enough, with a quarter more for what the kernels take."""
    if not request.answered:
        return 1
    return min(_MOST, round(1.25 * max(ENOUGH, FLOOR / (size + 64))))


def _opening(surface: Surface, request: Request, buffer: int | None) -> tuple[Step, ...]:
    return Connect(buffer), Shake(request.kind, mechanism=surface.mechanism, within=5.0)


def standing(surface: Surface, request: Request, size: float, way: str) -> Attack:
    """One peer that has messages sent to it, each of about ``size`` octets, and does not read them, in this ``way``."""
    sends: tuple[Step, ...] = (Send(request.units, times=_times(request, size)),) if request.units else ()
    pace: Step = ReadOn(_SLOWLY) if way == SLOW else StopReading()
    end: tuple[Step, ...] = (Wait(_GOING), Vanish(), Wait(LONGEST)) if way == VANISHED else (Wait(LONGEST),)
    steps = (*_opening(surface, request, _NARROW), pace, *sends, *end)
    return Attack((Script(steps, label=way),), strategy=BACKLOG)


def reading(attack: Attack, seconds: float = LONGEST) -> Attack:
    """The same peer, who reads all of it, for so many seconds."""
    (script,) = attack.scripts
    kept = tuple(step for step in script.steps if not isinstance(step, StopReading | ReadOn | Vanish | Wait | Connect))
    steps = (Connect(), *kept, Wait(seconds))
    return replace(attack, scripts=(replace(script, steps=steps, label="reader"),))


def nobody(attack: Attack) -> Attack:
    """Instead of a peer that reads: a target that speaks by itself may do so faster than anybody reads."""
    return replace(attack, scripts=())


def grows_anyway(trial: Trial, calm: Trial) -> bool:
    """Whether a target gains CALM as much, in the same time, without a peer that does not read."""
    kept, alone = trial.observation.kept, calm.observation.kept
    if kept is None or alone is None:
        return True
    return alone.grown / max(alone.seconds, kept.seconds) > CALM * kept.grown / kept.seconds


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
