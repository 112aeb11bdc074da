"""What families share: how a connection is left, and in which versions a door is spoken to."""

from __future__ import annotations

import pytest

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.script import Expect, Send, Shake
from zmqfuzz.strategies.pieces import ending, greeted, waited_out
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Greeting1, Greeting2


def situation(mechanism: str = "NULL", side: str = "bind") -> Situation:
    return Situation(Surface("tcp://127.0.0.1:1", "PULL", mechanism, side=side), Limits(), Budget())


@pytest.mark.parametrize(("side", "waits"), [("bind", False), ("connect", True)])
def test_only_a_client_is_left_alone_until_it_gives_up(side: str, waits: bool) -> None:
    draw = RandomDraw(1)
    for leave in (ending, waited_out):
        ways = {leave(draw, situation(side=side)) for _ in range(200)}
        assert any(isinstance(step, Expect) for way in ways for step in way) == waits


@pytest.mark.parametrize(("mechanism", "older"), [("NULL", True), ("PLAIN", False), ("CURVE", False)])
def test_a_lock_is_spoken_to_in_versions_that_have_one(mechanism: str, older: bool) -> None:
    draw = RandomDraw(1)
    openings = [greeted(draw, situation(mechanism)) for _ in range(200)]
    units = {type(unit) for steps in openings for step in steps if isinstance(step, Send) for unit in step.units}
    assert units == ({Greeting1, Greeting2} if older else set())
    versions = {step.version for steps in openings for step in steps if isinstance(step, Shake)}
    assert versions == {(3, 1), (3, 0)}
