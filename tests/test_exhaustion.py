"""Attacks that take all descriptors of a target: how many that is, what happens meanwhile, and our own limit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.catalogue import Situation, families, invariants
from zmqfuzz.descriptors import room_for
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.harness import Harness
from zmqfuzz.processes import descriptors_left
from zmqfuzz.script import Attack, Send
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.trial import Surface, Trial
from zmqfuzz.zmtp.wire import Frame

PROGRAM = str(Path(__file__).resolve().parent.parent / "targets" / "examples" / "load_server.py")
LIMIT = 256
"""That the program sets itself."""
FAMILY = families()["descriptor-exhaustion"]
ATTACKS = 12


@contextmanager
def server() -> Iterator[tuple[int, str]]:
    with subprocess.Popen([sys.executable, PROGRAM], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield process.pid, process.stderr.readline().split()[-1]
        process.kill()


def test_what_a_process_may_still_open() -> None:
    with server() as (pid, _):
        left = descriptors_left((pid,))
        assert left == LIMIT - len(os.listdir(f"/proc/{pid}/fd"))
        assert descriptors_left((os.getpid(), pid)) == left, "the first that has none left is the weakest"
    assert descriptors_left(()) is None
    assert descriptors_left((pid,)) is None


def drawn(seed: int, room: int | None, kind: str = "REP") -> Attack:
    situation = Situation(Surface("tcp://127.0.0.1:1", kind), Limits(), Budget(), room=room)
    return Attack(FAMILY.draw(RandomDraw(seed), situation), FAMILY.name, seed)


def peers(attack: Attack) -> int:
    return sum(script.times for script in attack.scripts)


@pytest.mark.parametrize("room", [0, 1, 54, 99, 1000])
def test_the_draw_aims_a_little_above_what_the_target_has_left(room: int) -> None:
    counts = {peers(drawn(seed, room)) for seed in range(100)}
    assert counts == {max(2, room + 1), room + 8, room + 64}, "the one at work is one of them"
    assert max(counts) <= Budget().connections


@pytest.mark.parametrize("room", [None, 1137, 1_000_000])
def test_there_is_a_bound_where_it_is_not_known_or_too_far(room: int | None) -> None:
    counts = {peers(drawn(seed, room)) for seed in range(100)}
    assert max(counts) == (Budget().connections if room is None else 200)


def test_somebody_asks_it_to_work_with_messages_that_it_was_heard_to_know() -> None:
    situation = Situation(Surface("tcp://127.0.0.1:1", "REP"), Limits(), Budget(), ((b"load", b"now"),), room=54)
    scripts = [script for seed in range(40) for script in FAMILY.draw(RandomDraw(seed), situation)]
    steps = [step for script in scripts if script.label == "insider" for step in script.steps]
    units = [unit for step in steps if isinstance(step, Send) for unit in step.units]
    sent = {unit.body for unit in units if isinstance(unit, Frame)}
    assert {b"", b"load", b"now", b"1"} <= sent


async def trials(*form: str) -> list[Trial]:
    """The family's first attacks, until the program has ended."""
    played: list[Trial] = []
    async with Harness(ChildTarget([sys.executable, PROGRAM, *form], hard_cap=Limits().hard_cap)) as harness:
        standing = await harness.standing()
        (surface,) = harness.surfaces(standing)
        assert (await harness.calibrate(surface.key)).ok
        while len(played) < ATTACKS and standing.running.exit() is None:
            situation = Situation(surface, Limits(), Budget(), room=standing.observer.room())
            attack = Attack(FAMILY.draw(RandomDraw(len(played)), situation), FAMILY.name)
            played.append(await harness.trial(attack, surface.key, ask=True))
    return played


def broken(trial: Trial) -> list[str]:
    codes = ("ZF101", "ZF102")
    found = [invariants()[code].judge(trial, Limits()) for code in codes]
    return [str(violation) for violation in found if violation is not None]


def used_up(trial: Trial) -> bool:
    return any(sample.descriptors >= LIMIT for sample in trial.observation.series)


def test_a_program_that_takes_descriptors_for_granted_ends() -> None:
    *before, last = trio.run(trials)
    assert [found for trial in before for found in broken(trial)] == []
    assert broken(last) == ["ZF101 The process ended with exit code 1 with OSError."]


@pytest.mark.slow
def test_its_hardened_twin_serves_again_when_the_peers_have_gone() -> None:
    played = trio.run(trials, "--hardened")
    assert [found for trial in played for found in broken(trial)] == []
    assert sum(map(used_up, played)) > ATTACKS / 2
    assert all(trial.observation.probes[-1].ok for trial in played)


OURS = """
import os, resource, sys, trio
from zmqfuzz.descriptors import room_for
from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.script import Attack, Connect, Script
from zmqfuzz.trial import ClosedBy
from zmqfuzz.writer import Meter

async def dial(buffer=None, /):
    return await connect(sys.argv[1], buffer)

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
transcripts = trio.run(inject, Attack((Script((Connect(),), 300),)), dial, Meter())
told = [transcript.missed for transcript in transcripts if transcript.missed]
opened = sum(transcript.closed_by is ClosedBy.OPEN for transcript in transcripts)
print(opened, len(told), *sorted(set(told)), resource.getrlimit(resource.RLIMIT_NOFILE), sep="|")
"""


def test_our_own_limit_is_raised_as_far_as_it_may_be_and_what_is_left_out_is_told() -> None:
    with server() as (_, endpoint):
        done = subprocess.run(
            [sys.executable, "-c", OURS, endpoint], capture_output=True, text=True, timeout=60, check=True
        )
    opened, told, said, limits = done.stdout.strip().split("|")
    assert 100 < int(opened) < 200
    assert int(opened) + int(told) == 300
    assert said == "('not connected: no descriptor of our own is left (ulimit -n)',)"
    assert limits == "(100, 200)"


def test_where_there_is_room_the_limit_stays() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with room_for(1) as most:
        assert most == 1
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
