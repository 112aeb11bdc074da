"""Messages that wait in a target: how many they are at least, and when that is no limit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.backlog import (
    BACKLOG,
    ENOUGH,
    FLOOR,
    STANDING,
    WAYS,
    enough,
    intake,
    reading,
    request_of,
    standing,
    unlimited,
    waiting,
)
from zmqfuzz.backlogger import Backlogger
from zmqfuzz.budget import MIB, Limits
from zmqfuzz.campaign.repro import cannot_play
from zmqfuzz.catalogue import invariants
from zmqfuzz.measured import Kept
from zmqfuzz.procfs import parse_switches
from zmqfuzz.script import Attack, ReadOn, Script, Send, StopReading, Vanish
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Examination, Exit, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Command, Frame

ZF210, ZF211 = invariants()["ZF210"], invariants()["ZF211"]
EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
ASKS = Request("DEALER", (Frame(b"", more=True), Frame(b"x")), answered=True)
SUBSCRIBES = Request("SUB", (Command(b"SUBSCRIBE", b""),), answered=False)


def kept(grown: float, lately: float = 0.3, seconds: float = 2.0, worked: float | None = None) -> Kept:
    octets = round(grown * MIB)
    return Kept(1024.0, octets, round(lately * octets), seconds, worked)


def trial(of: Kept | None, gone: Exit | None = None) -> Trial:
    attack = standing(DOOR, ASKS, 1024.0, STANDING)
    return Trial(attack, DOOR, (), Observation(exit=gone, kept=of), 2.0)


def test_how_many_wait_is_told_too_low_and_never_too_high() -> None:
    assert waiting(kept(32)) == 32 * MIB // (1024 + 128)
    assert enough(kept(32))
    assert not enough(kept(16))  # fewer messages than any mark that is not meant as one
    assert not enough(Kept(1.0, FLOOR - 1, 0, 1.0))  # so many tiny ones may be the program's own growth
    assert unlimited(kept(32))
    assert not unlimited(kept(32, lately=0.05))  # it has levelled off


@pytest.mark.parametrize(
    ("of", "calm", "broken"),
    [
        ((kept(32), kept(40), kept(32)), kept(0.5), True),
        ((kept(32), kept(10), kept(32)), kept(0.5), False),  # one process did not show it
        ((kept(2), kept(2), kept(2)), kept(0.5), False),
        ((kept(32, 0.01), kept(32, 0.01), kept(32, 0.01)), kept(0.5), False),
        ((kept(32), kept(32), kept(32)), kept(20), False),  # it grows beside a peer that reads, too
        ((kept(32), None, kept(32)), kept(0.5), False),  # there was no process to watch
    ],
)
def test_what_is_told_as_kept_without_limit(of: tuple[Kept | None, ...], calm: Kept, broken: bool) -> None:
    seen = Examination("unread", tuple(map(trial, of)), (trial(calm),))
    assert (ZF210.judge(seen, Limits()) is not None) is broken


def test_who_has_ended_or_could_not_be_compared_is_not_judged() -> None:
    every = (trial(kept(32)),) * 3
    assert ZF210.judge(Examination("unread", every), Limits()) is None
    assert ZF210.judge(Examination("unread", every, (trial(kept(0)),), doubts=("busy",)), Limits()) is None
    ended = (trial(kept(32), Exit(code=1)),) * 3
    assert ZF210.judge(Examination("unread", ended, (trial(kept(0)),)), Limits()) is None


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


@pytest.mark.parametrize("way", WAYS)
def test_a_peer_that_does_not_read(way: str) -> None:
    attack = standing(DOOR, ASKS, 100.0, way)
    (script,) = attack.scripts
    (send,) = (step for step in script.steps if isinstance(step, Send))
    assert attack.strategy == BACKLOG
    assert send.times * (100 + 64) > FLOOR
    assert send.times > ENOUGH
    assert any(isinstance(step, StopReading | ReadOn) for step in script.steps)
    assert "zmqfuzz replay" in cannot_play(attack)
    (calm,) = reading(attack, 1.0).scripts
    assert not any(isinstance(step, StopReading | ReadOn | Vanish) for step in calm.steps)
    assert send in calm.steps
    (once,) = (step for step in standing(DOOR, SUBSCRIBES, 100.0, way).scripts[0].steps if isinstance(step, Send))
    assert once.times == 1


def test_a_sender_sends_whole_messages() -> None:
    assert request_of(intake(DOOR, ASKS)) == ASKS.units
    (unit,) = request_of(intake(DOOR, SUBSCRIBES))
    assert isinstance(unit, Frame)
    assert not request_of(Attack((Script(()),)))


def test_context_switches_are_those_of_both_kinds() -> None:
    status = b"Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n"
    assert parse_switches(status) == 695
    assert parse_switches(b"") == 0


@pytest.mark.parametrize("form", [(), pytest.param(("--hardened",), marks=pytest.mark.slow)])
def test_a_feed(form: tuple[str, ...]) -> None:
    async def session() -> Trial:
        async with Spec((sys.executable, str(EXAMPLES / "feed.py"), "--socket", "ROUTER", *form)).harness() as harness:
            (surface,) = harness.surfaces(await harness.standing())
            await harness.calibrate(surface.key)
            backlogger = Backlogger(harness)
            sounded = await backlogger.sound(surface.key)
            assert sounded is not None
            assert sounded.request.answered
            assert 1024 <= sounded.size < 1200
            return await backlogger.unread(surface.key, sounded, STANDING)

    seen = trio.run(session).observation.kept
    assert seen is not None
    assert unlimited(seen) is not bool(form)
