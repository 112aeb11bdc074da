"""A thread that never rests: told where it is so on each process, and not after honest peers that ask for as much."""

from __future__ import annotations

import pytest

from zmqfuzz.budget import Limits
from zmqfuzz.catalogue import invariants
from zmqfuzz.measured import Rest
from zmqfuzz.scale import as_many, fewer, units
from zmqfuzz.script import Attack, Connect, Script, Send, Wait
from zmqfuzz.trial import Examination, Exit, Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Frame

ZF105 = invariants()["ZF105"]
DOOR = Surface("tcp://127.0.0.1:5555", "ROUTER")
CALM, SPUN, CROWDED = Rest(0.0, 0.02), Rest(0.97, 1.0), Rest(0.07, 1.0)


def seen(*rests: Rest, gone: Exit | None = None) -> Trial:
    return Trial(Attack(()), DOOR, (), Observation(exit=gone, rests=rests), 1.0)


SPINS, RESTS = seen(CALM, SPUN, SPUN), seen(CALM)


@pytest.mark.parametrize(
    ("trials", "controls", "broken"),
    [
        ((SPINS,) * 3, (RESTS,), True),
        ((seen(CALM, CROWDED, CROWDED),) * 3, (RESTS,), True),  # of a machine that fifteen others want
        ((SPINS, SPINS, RESTS), (RESTS,), False),
        ((SPINS,) * 3, (SPINS,), False),  # it may only be at work on what it took
        ((SPINS,) * 3, (), False),
        ((seen(SPUN, SPUN, SPUN),) * 3, (RESTS,), False),  # it always was
        ((seen(CALM, SPUN, Rest(0.4, 0.6)),) * 3, (RESTS,), False),  # it has come to an end
        ((seen(CALM, SPUN, SPUN, gone=Exit(signal=6)),) * 3, (RESTS,), False),
        ((), (RESTS,), False),
    ],
)
def test_what_is_told_as_spinning(trials: tuple[Trial, ...], controls: tuple[Trial, ...], broken: bool) -> None:
    assert (ZF105.judge(Examination("rest", trials, controls), Limits()) is not None) is broken


def test_an_honest_peer_sends_as_many_messages_and_waits_for_its_answers() -> None:
    attack = Attack((Script((Connect(), Send((Frame(b"x"), Frame(b"y")), times=7)), times=3),))
    (script,) = as_many(attack, DOOR, "REQ", (b"hello",)).scripts
    (send,) = (step for step in script.steps if isinstance(step, Send))
    assert send.units == (Frame(b"", more=True), Frame(b"hello"))
    assert send.times == 42
    assert isinstance(script.steps[-1], Wait)
    assert as_many(attack, DOOR, "", ()).scripts


def test_an_attack_that_is_looked_into_has_few_messages_or_is_left_alone() -> None:
    flood = Attack((Script((Connect(), Send((Frame(b"x"),), times=3125)), times=32),))
    small = fewer(flood, 300)
    assert small is not None
    assert 32 <= units(small) <= 600
    assert fewer(small, 600) is small
    assert fewer(Attack((Script((Connect(), Send(tuple([Frame(b"x")] * 5000)))),)), 300) is None
