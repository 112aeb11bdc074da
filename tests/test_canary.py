"""The canary: what executes it leaves our mark and nothing else; what does not, none; nothing is left of it."""

from __future__ import annotations

import json
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.canary import PLACEHOLDER, Canary, carries
from zmqfuzz.harness import Harness
from zmqfuzz.invariants.execution import code_not_executed
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.strategies.canaries import CANARIES
from zmqfuzz.zmtp.wire import Command, CurveCommand, Frame, Raw

SERVER = str(Path(__file__).resolve().parent.parent / "targets/examples/pickle_server.py")
PICKLES = [canary for canary in CANARIES if canary[:1] in (b"\x80", b"c")]


def attack(octets: bytes) -> Attack:
    steps = (Connect(), Shake("REQ"), Send((Frame(b"", more=True), Frame(octets))), Expect("message", within=2.0))
    return Attack((Script(steps),))


def body(played: Attack) -> bytes:
    step = played.scripts[0].steps[2]
    assert isinstance(step, Send)
    unit = step.units[1]
    assert isinstance(unit, Frame)
    assert isinstance(unit.body, bytes)
    return unit.body


def unpickled_elsewhere(octets: bytes, folder: Path) -> None:
    """Unpickle in a process of its own, whose folder is ``folder``; what it raises does not matter."""
    words = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", words], input=octets, cwd=folder, capture_output=True, timeout=60)


async def looked(canary: Canary, played: Attack) -> bool:
    return await canary.executed(played, patient=False)


@pytest.mark.parametrize("octets", PICKLES, ids=range(len(PICKLES)))
def test_a_pickle_that_is_read_leaves_the_mark_and_nothing_else(octets: bytes, tmp_path: Path) -> None:
    canary, symbolic = Canary(), attack(octets)
    armed = canary.armed(symbolic)
    room = Path(os.fsdecode(canary.path)).parent
    assert carries(symbolic)
    assert not carries(armed)
    assert len(body(armed)) == len(octets)
    assert stat.S_IMODE(room.stat().st_mode) == 0o700
    try:
        assert not trio.run(looked, canary, symbolic)
        unpickled_elsewhere(body(armed), tmp_path)
        (mark,) = room.iterdir()
        assert mark.stat().st_size == 0 or not list(mark.iterdir())
        assert trio.run(looked, canary, symbolic)
        assert not trio.run(looked, canary, symbolic), "it is taken away"
    finally:
        canary.close()
    assert not room.exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("octets", PICKLES, ids=range(len(PICKLES)))
def test_a_saved_one_and_parts_of_one_do_nothing(octets: bytes, tmp_path: Path) -> None:
    """What stands in a file names no place where anything can be created; a part of it is not run at all."""
    unpickled_elsewhere(octets, tmp_path)
    canary = Canary()
    armed = body(canary.armed(attack(octets)))
    room = Path(os.fsdecode(canary.path)).parent
    for size in range(armed.index(b"/ran") + 3):
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError)):
            pickle.loads(armed[:size])
    assert not list(room.iterdir())
    assert not list(tmp_path.iterdir())
    canary.close()


def test_every_unit_of_octets_is_armed_and_the_rest_is_left_alone() -> None:
    canary = Canary()
    plain = (Frame(b"x"), Raw(b"y"), Command(b"PING"))
    assert canary.armed(Attack((Script((Send(plain),)),))) == Attack((Script((Send(plain),)),))
    units = (
        Frame(b"<" + PLACEHOLDER),
        Raw(PLACEHOLDER),
        Command(b"A", PLACEHOLDER),
        CurveCommand(b"M", body=PLACEHOLDER),
    )
    armed = canary.armed(Attack((Script((Send((*units, *plain)),)),)))
    assert not carries(armed)
    step = armed.scripts[0].steps[0]
    assert isinstance(step, Send)
    assert step.units[4:] == plain
    assert step.units[0] == Frame(b"<" + canary.path)
    canary.close()


def test_the_texts_are_whole_documents() -> None:
    (document,) = [canary for canary in CANARIES if canary.startswith(b"{")]
    assert json.loads(document)["py/reduce"][1] == {"py/tuple": [PLACEHOLDER.decode()]}
    assert all(PLACEHOLDER in canary for canary in CANARIES)
    assert not os.access("/proc", os.F_OK) or not os.path.exists(PLACEHOLDER)


@pytest.mark.parametrize("form", [[], ["--hardened"]], ids=["weak", "hardened"])
def test_a_real_server_that_unpickles_is_seen_and_one_that_does_not_is_not(form: list[str]) -> None:
    async def work() -> list[bool]:
        target = Spec((sys.executable, SERVER, *form)).target()
        async with Harness(target) as harness:
            standing = await harness.standing()
            (surface,) = harness.surfaces(standing)
            await harness.calibrate(surface.key)
            assert any(b"zmqfuzz" in message for message in harness.asking.heard[surface.key].messages)
            seen = []
            for octets in (CANARIES[0], b"{}", *CANARIES[1:]):
                trial = await harness.trial(attack(octets), surface.key, ask=True)
                assert trial.observation.probes[-1].ok
                violation = code_not_executed.judge(trial, harness.limits)
                assert (violation is not None) is trial.observation.executed
                seen.append(trial.observation.executed)
            return seen

    seen = trio.run(work)
    assert seen == ([True, False, *(octets in PICKLES for octets in CANARIES[1:])] if not form else [False] * len(seen))


def test_a_mark_that_comes_late_is_not_lost() -> None:
    """It is seen after the next attack, which the triage then plays with those before it."""

    async def work() -> bool:
        canary = Canary()
        os.mkdir(canary.path)
        try:
            return await canary.executed(attack(b"{}"), patient=False)
        finally:
            canary.close()

    assert trio.run(work)
