"""A frame was refused only where nothing but its size can have ended the connection (ZF201, ZF202)."""

from __future__ import annotations

import pytest

import zmqfuzz
from zmqfuzz.catalogue import invariants
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, ShutdownWrite, Step, StopReading
from zmqfuzz.trial import ClosedBy, Observation, Reached, Surface, Transcript, Trial
from zmqfuzz.zmtp.wire import Fill, Frame

LIMITS = zmqfuzz.Limits(max_frame=65536)
WITHIN, OVER = Frame(Fill(65536)), Frame(Fill(65537))
SEES = Expect("close", 2.0)
PROGRAM = ["python", "-m", "zmqfuzz.targets.examples.frame_limit", "--bind", "{endpoint}", "--hardened"]


def closed(*steps: Step) -> Trial:
    transcript = Transcript("attacker", (), ClosedBy.FIN, 65545, 0, Reached.TRAFFIC)
    script = Script((Connect(), *steps))
    return Trial(Attack((script,)), Surface("tcp://127.0.0.1:1", "ROUTER"), (transcript,), Observation(), 1.0)


def test_it_is_where_it_was_sent_and_nothing_else_was_done() -> None:
    plain = closed(Shake("DEALER"), Send((WITHIN,)), SEES)
    assert invariants()["ZF202"].judge(plain, LIMITS) is not None
    assert invariants()["ZF201"].tested(closed(Shake("DEALER"), Send((OVER,)), SEES), LIMITS)


@pytest.mark.parametrize(
    "steps",
    [
        (Shake("DEALER"), Send((WITHIN,)), SEES, ShutdownWrite()),
        (Shake("DEALER"), StopReading(), Send((WITHIN,)), SEES),
        (Shake("DEALER", identity=b"victim"), Send((WITHIN,)), SEES),
        (Shake("DEALER"), Send((WITHIN,), chunk=1, every=0.01), SEES),
    ],
    ids=["FIN", "no PONG", "an identity", "within a frame for long"],
)
def test_it_is_not_where_something_else_may_have_ended_it(steps: tuple[Step, ...]) -> None:
    assert invariants()["ZF202"].judge(closed(*steps), LIMITS) is None
    assert not invariants()["ZF202"].tested(closed(*steps), LIMITS)


def test_our_own_fin_tells_nothing_of_a_frame_over_the_limit() -> None:
    assert not invariants()["ZF201"].tested(closed(Shake("DEALER"), Send((OVER,)), SEES, ShutdownWrite()), LIMITS)


def test_a_peer_that_half_closes_is_answered_by_fin_and_was_not_refused() -> None:
    target = zmqfuzz.target(PROGRAM, max_frame=65536)
    script = Script((Connect(), Shake("DEALER"), Send((WITHIN,)), Expect("message"), ShutdownWrite(), SEES))
    seen = target.play(script)
    assert seen.transcripts[0].closed_by is ClosedBy.FIN
    target.check(seen)
    target.close()
