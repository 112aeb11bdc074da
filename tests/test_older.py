"""A door that speaks ZMTP 2.0 only, to which a 3.x greeting is frames: served, shaken hands with, and attacked."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.reach import reachable
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.older import attack_at, greets
from zmqfuzz.scale import control_of
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.trial import Exit, Reached, Stage, Surface
from zmqfuzz.zmtp.wire import Command, Frame, Greeting2, SocketTypeByte

PROGRAM = Path(__file__).resolve().parent.parent / "targets" / "examples" / "own_zmtp2.py"
DOOR = Surface("tcp://127.0.0.1:1", "REP", "NULL", "2.0")
HONEST = Attack((Script((Connect(), Shake("REQ"), Send((Frame(b"", more=True), Frame(b"abc"))), Expect("message"))),))
DEADLY = Attack((Script((Connect(), Shake("REQ", mechanism="NULL"), Send((Frame(b"abc"),)), Expect("close"))),))


@pytest.mark.parametrize("hardened", [False, True])
def test_it_is_served_and_attacked_in_its_own_version(hardened: bool) -> None:
    async def session() -> None:
        command = [sys.executable, str(PROGRAM), "--bind", "{endpoint}", *["--hardened"] * hardened]
        async with Harness(ChildTarget(command, hard_cap=1 << 30)) as harness:
            standing = await harness.standing()
            (surface,) = harness.surfaces(standing)
            assert (surface.socket_type, surface.version) == ("REP", "2.0")
            asked = await harness.calibrate(surface.key)
            assert (asked.level, asked.ok) == ("application", True)
            trial = await harness.trial(HONEST, surface.key, ask=True)
            assert trial.reached is Reached.TRAFFIC
            assert trial.transcripts[0].received > 20
            control = await harness.trial(control_of(HONEST, surface, 20_000), surface.key)
            assert control.sent > 20_000
            trial = await harness.trial(DEADLY, surface.key, ask=True)
            assert trial.observation.exit == (None if hardened else Exit(code=3))

    trio.run(session)


def test_who_says_nothing_does_not_greet() -> None:
    assert not greets(DOOR, "REQ", 0.2)


def test_an_honest_handshake_becomes_that_of_the_door_and_a_lie_stays() -> None:
    (script,) = attack_at(HONEST, DOOR).scripts
    assert script.steps[1:3] == (Send((Greeting2(SocketTypeByte.REQ),)), Expect("greeting", within=0.4))
    lie = Attack((Script((Connect(), Shake("REQ", instead=(Command(b"ERROR"),)))),))
    assert attack_at(lie, DOOR) == lie
    assert attack_at(HONEST, replace(DOOR, version="3.1")) == HONEST


def test_every_family_draws_for_it_and_none_is_to_reach_a_handshake_there() -> None:
    situation = Situation(DOOR, Limits(), Budget())
    for family in families().values():
        if family.applies(DOOR):
            honest = [
                step
                for seed in range(8)
                for script in family.draw(RandomDraw(seed), situation)
                for step in script.steps
                if isinstance(step, Shake) and not (step.instead or step.properties) and step.mechanism in ("", "NULL")
            ]
            assert not honest
            assert Stage.HANDSHAKE not in reachable(family, situation)
    assert Stage.TRAFFIC in reachable(families()["malformed-message"], situation)
