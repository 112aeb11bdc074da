"""The families of tempo and roles against real sockets: what they reach, on both sides."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Plan
from zmqfuzz.campaign.runner import Campaign
from zmqfuzz.catalogue import Family, Situation, families
from zmqfuzz.drawing import Draw, RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.script import Attack, Connect, Expect, Script, Shake, Vanish
from zmqfuzz.strategies.roles import bystander, honest_type
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.trial import Direction, Reached, Surface, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
NAMES = ("reconnect", "several-actors", "slow-reader", "stall", "tempo")
DRAWS = 10
CAP = Limits().hard_cap
ECHOES = ("REP", "ROUTER")
SPEAKERS = ("PUB", "XPUB", "PUSH", "DEALER")


def command(kind: str, bind: str = "tcp://127.0.0.1:*") -> list[str]:
    return [sys.executable, str(EXAMPLES / "plain.py"), kind.lower(), "--bind", bind]


def attacks(name: str, surface: Surface) -> list[Attack]:
    situation = Situation(surface, Limits(), Budget())
    return [Attack(families()[name].draw(RandomDraw(seed), situation), name, seed) for seed in range(DRAWS)]


@pytest.mark.parametrize(
    ("kind", "bind"),
    [
        *((kind, "tcp://127.0.0.1:*") for kind in ("REP", "SUB", "PUSH")),
        *(pytest.param(kind, "tcp://127.0.0.1:*", marks=pytest.mark.slow) for kind in ("REQ", "XPUB", "PULL")),
        ("ROUTER", "ipc://{}/s"),
        ("ROUTER", "tcp://[::1]:*"),
    ],
)
def test_every_family_gets_to_traffic_at_every_door(kind: str, bind: str, tmp_path: Path) -> None:
    async def session() -> None:
        target = ChildTarget(command(kind, bind.format(tmp_path)), hard_cap=CAP)
        with trio.fail_after(180):
            async with Harness(target) as harness:
                await play(harness)

    async def play(harness: Harness) -> None:
        surface = harness.surfaces(await harness.standing())[0]
        assert (await harness.calibrate(surface.key)).ok
        assert ("[::1]" in surface.address) == ("[::1]" in bind)
        for name in NAMES:
            drawn = attacks(name, surface)
            assert len({attack.scripts for attack in drawn}) >= DRAWS - 2
            trials = [await harness.trial(attack, surface.key) for attack in drawn]
            assert max(trial.reached for trial in trials) >= families()[name].needs
            assert not [note for trial in trials for note in _out_of_time(trial.transcripts)]
            assert all(trial.observation.exit is None for trial in trials)

    trio.run(session)


def _out_of_time(transcripts: object) -> list[str]:
    assert isinstance(transcripts, tuple)
    return [entry.note for item in transcripts for entry in item.entries if entry.note.startswith("out of time")]


CLIENT = """
import sys, zmq
dealer = zmq.Context().socket(zmq.DEALER)
dealer.linger = 0
dealer.reconnect_ivl = 10
while True:
    dealer.connect(sys.argv[1])
    if dealer.poll(100):
        dealer.recv_multipart()
    try:
        dealer.send(b"here", zmq.NOBLOCK)
    except zmq.Again:
        pass
    dealer.disconnect(sys.argv[1])
"""


@pytest.mark.parametrize("name", NAMES)
def test_against_a_target_that_connects_one_peer_at_a_time(name: str) -> None:
    async def session() -> list[Reached]:
        address = f"ipc://@zmqfuzz-{os.getpid()}-{name}"
        listeners = Listeners((address,))
        await listeners.open()
        surface = Surface(address, "DEALER", side="connect")
        reached = []
        with trio.fail_after(120), subprocess.Popen([sys.executable, "-c", CLIENT, address]) as process:
            for attack in attacks(name, surface):
                assert sum(script.times for script in attack.scripts) == 1
                transcripts = await inject(attack, listeners.dial(surface), Meter(), role=Role.SERVER, seconds=10)
                reached.append(transcripts[0].reached)
            process.kill()
        listeners.close()
        return reached

    assert max(trio.run(session)) >= families()[name].needs


def test_a_bystander_is_served_while_others_attack() -> None:
    async def session(kind: str) -> Transcript:
        async with Harness(ChildTarget(command(kind), hard_cap=CAP)) as harness:
            surface = harness.surfaces(await harness.standing())[0]
            situation = Situation(surface, Limits(), Budget())
            hostile, *_ = families()["stall"].draw(RandomDraw(12), situation)
            honest = bystander(RandomDraw(0), situation)
            patient = tuple(
                replace(step, within=20.0) if isinstance(step, Expect | Shake) else step for step in honest.steps
            )
            trial = await harness.trial(Attack((hostile, replace(honest, steps=patient))), surface.key)
            assert trial.transcripts[-1].label == "bystander"
            return trial.transcripts[-1]

    for kind in (*ECHOES, *SPEAKERS):
        transcript = trio.run(session, kind)
        received = b"".join(item.data for item in transcript.entries if item.direction is Direction.RECEIVED)
        asked = b"".join(item.data for item in transcript.entries if item.direction is Direction.SENT)
        assert transcript.reached is Reached.TRAFFIC
        assert (b"%08d" % 0 in received) == (kind in ECHOES)
        assert (b"%08d" % 0 in asked) == (kind in (*ECHOES, "DEALER"))
        assert kind in ECHOES or any(word in received for word in (b"tick", b"work", b"task"))


def test_what_could_not_be_done_here_is_listed_as_not_covered(tmp_path: Path) -> None:
    def draw(draw: Draw, situation: Situation) -> tuple[Script, ...]:
        return (Script((Connect(), Shake(honest_type(situation)), Vanish())),)

    family = Family("gone", "Peers that vanish.", draw, Reached.TRAFFIC)

    async def session() -> list[str]:
        async with Harness(ChildTarget(command("ROUTER", f"ipc://{tmp_path}/s"), hard_cap=CAP)) as harness:
            plan = Plan((family,), seconds=1.0, cases=3)
            return (await Campaign(harness, plan, lambda event: None).run()).not_covered

    said = [line for line in trio.run(session) if "could not vanish" in line]
    assert said == [
        "ROUTER-null-ipc-0: could not vanish: an ipc connection has no segments to leave unanswered",
    ]
