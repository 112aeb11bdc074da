"""Descriptor exhaustion: idle peers that take what the target has left, while somebody asks it to work."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Await, Connect, Expect, Script, Send, Shake, Signal, Step, Wait
from zmqfuzz.strategies.pieces import ending, our_type
from zmqfuzz.strategies.roles import asking
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Frame, Greeting, Raw, Unit, encode

_MARGINS = (8, 1, 64)
"""Peers more than the target has descriptors left."""

_COUNTS = (64, 200)
"""Peers where the target has more left than we may hold; programs share their limit with files, pipes and threads."""

_GREETED = 200
"""Peers that greet: each costs libzmq 25 KiB (measured, 4.3.5), and no more descriptors than one that says nothing."""

_WAVE, _APART = 100, 0.03
"""Peers that connect at once, and seconds between two such waves: a listening libzmq socket has 100 wait
(``ZMQ_BACKLOG``), and a peer that finds no place tries again after a second (tcp(7), SYN)."""

_INSIDE, _TAKEN, _DONE = "inside", "taken", "done"


def _count(draw: Draw, situation: Situation) -> int:
    if situation.surface.side != "bind":
        return 1
    most, room = situation.budget.connections, situation.room
    if room is None:
        return draw.choice((*_COUNTS, *_COUNTS, most))
    return max(1, room + draw.choice(_MARGINS)) if room + max(_MARGINS) <= most else draw.choice(_COUNTS)


def _stage(draw: Draw, situation: Situation, count: int) -> tuple[Step, ...]:
    """How far an idle peer goes: TCP, part of the greeting, all of it, traffic."""
    greeting = encode(Greeting(mechanism=situation.surface.mechanism.encode()))
    stage = draw.integer(0, 3 if count <= _GREETED else 1)
    if stage == 1:
        return (Send((Raw(greeting[: draw.choice((1, 10, 11, 63))]),)),)
    if stage == 2:
        return (Send((Raw(greeting),)),)
    return (Shake(our_type(draw, situation), within=0.5),) if stage == 3 else ()


def _work(draw: Draw, situation: Situation) -> tuple[Unit, ...]:
    """An honest message; one that the target was heard to understand, where there is one."""
    honest = asking(situation, draw.choice((b"1", b"{}", b"/")))
    if not honest or not isinstance(honest[0], Frame) or not situation.seeds or draw.boolean():
        return honest
    frames = draw.choice(situation.seeds)
    if len(honest) > 1 and frames[0]:  # RFC 28: a request has an empty delimiter in front
        frames = (b"", *frames)
    return tuple([Frame(frame, more=number < len(frames) - 1) for number, frame in enumerate(frames)])


def _idle(count: int, before: tuple[Step, ...], stage: tuple[Step, ...], after: tuple[Step, ...]) -> list[Script]:
    """``count`` peers in waves, which do ``before``, connect, go to ``stage``, and do ``after``."""
    scripts = []
    for place in range(0, max(1, count), _WAVE):
        wait = (Wait(_APART * place / _WAVE),) if place else ()
        last = (Signal(_TAKEN),) if before and place + _WAVE >= count else ()
        steps = (*before, *wait, Connect(), *stage, *last, *after)
        scripts.append(Script(steps, max(1, min(_WAVE, count - place)), "idle"))
    return scripts


def _insider(draw: Draw, situation: Situation) -> Script:
    """A peer that was there before them, and asks the target to work while it has no descriptor left."""
    steps: list[Step] = [Connect(), Shake(our_type(draw, situation)), Signal(_INSIDE), Await(_TAKEN, 5.0), Wait(0.05)]
    units = _work(draw, situation)
    for _ in range(draw.choice((1, 3, 10))):
        steps += [Send(units)] if units else []
        steps.append(Expect("message", within=0.02))
    return Script((*steps, Signal(_DONE)), label="insider")


@strategy("descriptor-exhaustion", needs=Reached.CONNECTED, many=True)
def descriptor_exhaustion(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """As many idle peers as take all descriptors the target has left, held while one at work goes on, then gone."""
    count = _count(draw, situation)
    stage = _stage(draw, situation, count)
    if situation.surface.side != "bind":
        return tuple(_idle(count, (), stage, (Wait(draw.choice((0.02, 0.2, 1.0))), *ending(draw, situation))))
    after = (Await(_DONE, 10.0), *ending(draw, situation))
    return (_insider(draw, situation), *_idle(count - 1, (Await(_INSIDE, 3.0),), stage, after))
