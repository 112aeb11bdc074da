"""Messages that wait in a target: how many they are at least, and when that is no limit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.backlog import (
    BACKLOG,
    CUES,
    ENOUGH,
    FLOOR,
    STANDING,
    VANISHED,
    WAYS,
    enough,
    intake,
    levelled,
    reading,
    request_of,
    standing,
    unlimited,
    waiting,
    ways,
)
from zmqfuzz.backlogger import Backlogger
from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.catalogue import invariants
from zmqfuzz.measured import Kept
from zmqfuzz.procfs import parse_switches
from zmqfuzz.script import Attack, Await, ReadOn, Script, Send, StopReading, Vanish
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Examination, Exit, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Command, Frame

ZF210, ZF211 = invariants()["ZF210"], invariants()["ZF211"]
EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
ASKS = Request("DEALER", (Frame(b"", more=True), Frame(b"x")), answered=True)
SUBSCRIBES = Request("SUB", (Command(b"SUBSCRIBE", b""),), answered=False)


def kept(grown: float, seconds: float = 2.0, worked: float | None = None) -> Kept:
    return Kept(1024.0, round(grown * MIB), seconds, worked=worked)


def rounds(*each: float, asked: bool = True, size: float = 1024.0) -> Kept:
    """MiB that each round added, of 4000 messages."""
    gains = tuple(round(gain * MIB) for gain in each)
    return Kept(size, sum(gains), 0.4 * len(gains), gains, 4000, asked)


LEVEL, SLOWER, RISING = rounds(9.6, 1.1, 0.1), rounds(5, 9, 9, 1, 0.1), rounds(1.4, 4.6, 4.6, 4.6, 4.6)


def trial(of: Kept | None, gone: Exit | None = None) -> Trial:
    attack = standing(DOOR, ASKS, 1024.0, STANDING)
    return Trial(attack, DOOR, (), Observation(exit=gone, kept=of), 2.0)


def test_how_many_wait_is_told_too_low_and_never_too_high() -> None:
    assert waiting(kept(32)) == 32 * MIB // (1024 + 128)
    assert enough(kept(32))
    assert not enough(kept(16))  # fewer messages than any mark that is not meant as one
    assert not enough(Kept(1.0, FLOOR - 1, 1.0))  # so many tiny ones may be the program's own growth


def test_a_queue_that_has_a_mark_stops_growing() -> None:
    assert unlimited(RISING)
    assert not levelled(RISING)
    assert unlimited(rounds(0, 5, 4.6, 4.4, 4, asked=False))  # a busy machine slows it
    for bounded in (LEVEL, SLOWER, rounds(30, 0, 0), rounds(2, 4.6, 4.6, 4.6, 1.2, 0)):
        assert not unlimited(bounded)
        assert levelled(bounded)
    assert not unlimited(rounds(0, 4.6, 4.6))  # so much fits under a mark that is meant
    assert not levelled(rounds(0, 4.6, 4.6))
    assert not levelled(rounds(9.6))  # the first round fills what has a mark, too
    assert not unlimited(rounds(20, *(1.5,) * 12))  # not even half of what was asked for: something else
    assert not unlimited(rounds(*(0.3,) * 12, size=8.0))  # so many tiny ones may be the program's own growth
    assert waiting(LEVEL) < 1200  # the first round is not counted: what is in it may be requests


@pytest.mark.parametrize(
    ("of", "calm", "broken"),
    [
        ((RISING,) * 3, rounds(9, 0.5, 0, 0, 0), True),
        ((RISING, LEVEL, RISING), rounds(1, 0, 0, 0, 0), False),  # one process did not show it
        ((LEVEL,) * 3, rounds(1, 0, 0), False),
        ((RISING,) * 3, rounds(1, 4, 4, 4, 4), False),  # it grows beside a peer that reads, too
        ((RISING,) * 3, rounds(1), False),  # nothing to compare with
        ((RISING, None, RISING), rounds(1, 0, 0, 0, 0), False),  # there was no process to watch
    ],
)
def test_what_is_told_as_kept_without_limit(of: tuple[Kept | None, ...], calm: Kept, broken: bool) -> None:
    seen = Examination("unread", tuple(map(trial, of)), (trial(calm),))
    assert (ZF210.judge(seen, Limits()) is not None) is broken


def test_who_has_ended_or_could_not_be_compared_is_not_judged() -> None:
    every = (trial(RISING),) * 3
    assert ZF210.judge(Examination("unread", every), Limits()) is None
    assert (
        ZF210.judge(Examination("unread", every, (trial(rounds(1, 0, 0, 0, 0)),), doubts=("busy",)), Limits()) is None
    )
    ended = (trial(RISING, Exit(code=1)),) * 3
    assert ZF210.judge(Examination("unread", ended, (trial(rounds(1, 0, 0, 0, 0)),)), Limits()) is None


@pytest.mark.parametrize(
    ("of", "broken"),
    [
        (kept(40, seconds=1.0, worked=8.0), True),
        (kept(40, seconds=1.0, worked=0.5), False),  # it is at rest with what it keeps: that is meant
        (kept(40, seconds=6.0, worked=4.0), False),  # what the kernels held, at most
        (kept(40, seconds=1.0), False),
        (None, False),
    ],
)
def test_what_is_told_as_taken_without_limit(of: Kept | None, broken: bool) -> None:
    assert (ZF211.judge(Examination("intake", (trial(of),) * 3), Limits()) is not None) is broken


@pytest.mark.parametrize("way", ways(ASKS))
def test_a_peer_that_does_not_read(way: str) -> None:
    attack = standing(DOOR, ASKS, 100.0, way)
    (script,) = attack.scripts
    sends = [step for step in script.steps if isinstance(step, Send)]
    assert attack.strategy == BACKLOG
    assert [step.name for step in script.steps if isinstance(step, Await)] == list(CUES)
    assert len(sends) == len(CUES)
    assert sum(send.times for send in sends[1:]) > ENOUGH
    assert any(isinstance(step, StopReading | ReadOn) for step in script.steps)
    assert "zmqfuzz replay" in cannot_play(attack)
    (calm,) = reading(attack).scripts
    assert not any(isinstance(step, StopReading | ReadOn | Vanish) for step in calm.steps)
    assert [step for step in calm.steps if isinstance(step, Send)] == sends
    assert len(standing(DOOR, ASKS, 100.0, *ways(ASKS)).scripts) == len(ways(ASKS))


@pytest.mark.parametrize("way", WAYS)
def test_who_speaks_by_itself_is_asked_once(way: str) -> None:
    (script,) = standing(DOOR, SUBSCRIBES, 100.0, way).scripts
    (once,) = (step for step in script.steps if isinstance(step, Send))
    assert once.times == 1
    assert any(isinstance(step, Vanish) for step in script.steps) is (way == VANISHED)
    assert ways(SUBSCRIBES) == WAYS


def test_a_sender_sends_whole_messages() -> None:
    assert request_of(intake(DOOR, ASKS)) == ASKS.units
    (unit,) = request_of(intake(DOOR, SUBSCRIBES))
    assert isinstance(unit, Frame)
    assert not request_of(Attack((Script(()),)))


def test_context_switches_are_those_of_both_kinds() -> None:
    status = b"Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"
    assert parse_switches(status) == 695
    assert parse_switches(b"") == 0


@pytest.mark.parametrize(
    ("words", "bounded"),
    [
        (("feed.py", "--socket", "ROUTER"), False),
        pytest.param(("feed.py", "--socket", "ROUTER", "--hardened"), True, marks=pytest.mark.slow),
        (("worker_pool.py", "--hardened"), True),  # two sockets and four queues behind each other fill first
    ],
)
def test_what_is_kept_of_rounds(words: tuple[str, ...], bounded: bool) -> None:
    name, *others = words

    async def session() -> Trial:
        async with Spec((sys.executable, str(EXAMPLES / name), *others)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            backlogger = Backlogger(harness)
            sounded = await backlogger.sound(surface.key)
            assert sounded is not None
            assert sounded.request.answered
            return await backlogger.unread(surface.key, sounded, *ways(sounded.request))

    seen = trio.run(session).observation.kept
    assert seen is not None
    assert unlimited(seen) is not bounded
    assert levelled(seen) is bounded
