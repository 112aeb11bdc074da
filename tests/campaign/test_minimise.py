"""The minimiser against predicates whose smallest attack is known."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.budget import MIB, Budget, Limits
from zmqfuzz.campaign.minimise import minimise, minimise_history, weight
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.scale import planned
from zmqfuzz.script import (
    Attack,
    Await,
    Close,
    Connect,
    Expect,
    ReadOn,
    Script,
    Send,
    Shake,
    Signal,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Property, Raw, Unit

SITUATION = Situation(Surface("tcp://127.0.0.1:1", "ROUTER"), Limits(), Budget())
Predicate = Callable[[Attack], bool]


class Counted:
    """A predicate that counts how often it was asked, and takes ``seconds`` for each answer."""

    def __init__(self, holds: Predicate, seconds: float = 0.0) -> None:
        self.holds = holds
        self.seconds = seconds
        self.asked: list[Attack] = []

    async def __call__(self, attack: Attack) -> bool:
        self.asked.append(attack)
        if self.seconds:
            await trio.sleep(self.seconds)
        return self.holds(attack)


def smallest(attack: Attack, holds: Predicate, seconds: float = 20.0, *, keep_volume: bool = False) -> Attack:
    async def session() -> Attack:
        return await minimise(attack, Counted(holds), seconds, keep_volume=keep_volume)

    assert holds(attack)
    found = trio.run(session)
    assert holds(found)
    return found


def sends(attack: Attack) -> list[Send]:
    return [step for script in attack.scripts for step in script.steps if isinstance(step, Send)]


def units(attack: Attack) -> list[Unit]:
    return [unit for step in sends(attack) for unit in step.units]


def peers(attack: Attack) -> int:
    return sum(script.times for script in attack.scripts)


CLUTTERED = Attack(
    (
        Script((Connect(), Shake("REQ", version=(3, 0)), Send((Raw(b"noise"),)), Close()), times=24, label="noise"),
        Script(
            (
                Connect(),
                Expect("bytes", within=5),
                Shake("DEALER", identity=b"me", properties=(Property(b"a", b"b"),)),
                Wait(0.5),
                Send((Frame(b"first"), Frame(Fill(90_000), more=True, long=True), Command(b"PING")), 37, 9, 0.001),
                Send((Frame(b"xx{xx", reserved=8, more=True), Frame(b"last")), times=3, chunk=2),
                Expect("close", within=0.5),
                Wait(1.0),
            ),
            times=8,
        ),
        Script((Connect(), Send((Raw(bytes(99)),))), times=3),
    ),
    "malformed-frame",
    7,
)


def test_one_octet_in_one_frame_of_one_peer() -> None:
    def brace(attack: Attack) -> bool:
        return any(
            isinstance(unit, Frame) and isinstance(unit.body, bytes) and b"{" in unit.body for unit in units(attack)
        )

    found = smallest(CLUTTERED, brace)
    assert found == Attack((Script((Connect(), Send((Frame(b"{"),)))),), "malformed-frame", 7)


def test_a_size_over_a_threshold_is_found_to_the_octet() -> None:
    def large(attack: Attack) -> bool:
        return any(
            isinstance(unit, Frame) and isinstance(unit.body, Fill) and unit.body.size > 1000 for unit in units(attack)
        )

    found = smallest(CLUTTERED, large)
    assert found.scripts == (Script((Connect(), Send((Frame(Fill(1001)),)))),)


@pytest.mark.parametrize("least", [1, 2, 5, 8])
def test_so_many_peers_and_no_more(least: int) -> None:
    found = smallest(CLUTTERED, lambda attack: peers(attack) >= least)
    assert peers(found) == least
    assert all(script.steps == (Connect(),) for script in found.scripts)


def test_what_is_needed_together_stays_together() -> None:
    def both(attack: Attack) -> bool:
        shaken = [step for script in attack.scripts for step in script.steps if isinstance(step, Shake)]
        repeats = [step.times for step in sends(attack) if any(isinstance(unit, Command) for unit in step.units)]
        return any(step.socket_type == "DEALER" for step in shaken) and any(times >= 5 for times in repeats)

    found = smallest(CLUTTERED, both)
    (script,) = found.scripts
    assert script.steps == (Connect(), Shake("DEALER"), Send((Command(b"PING"),), times=5))


def test_keeping_the_volume_leaves_repeats_and_bodies_and_moves_them_to_one_peer() -> None:
    flood = Send((Frame(Fill(8192), more=True),), times=100, chunk=64)
    attack = Attack((Script((Connect(), Expect("bytes"), flood, Wait(1.0)), times=8), Script((Connect(),), times=5)))

    found = smallest(attack, lambda attack: planned(attack) >= 6 * MIB, keep_volume=True)
    (script,) = found.scripts
    assert script == Script((Connect(), Send((Frame(Fill(8192), more=True),), times=800)))


def test_tempo_and_signals_go_where_they_do_not_matter() -> None:
    slow = (Connect(4096), StopReading(), Wait(0.1), ReadOn(100), Await("go"), Send((Frame(b"a"),)), Vanish())
    attack = Attack((Script((Connect(), Signal("go"))), Script(slow, times=4)))
    found = smallest(attack, lambda attack: bool(sends(attack)))
    assert found.scripts == (Script((Connect(), Send((Frame(b""),)))),)

    def reads(attack: Attack) -> bool:
        return any(isinstance(step, ReadOn) for script in attack.scripts for step in script.steps)

    assert smallest(attack, reads).scripts == (Script((Connect(), ReadOn())),)


def test_what_cannot_be_made_simpler_is_left_alone() -> None:
    attack = Attack((Script((Connect(),)),), "flood", 3)
    assert smallest(attack, lambda attack: True) == attack
    assert smallest(CLUTTERED, lambda attack: attack == CLUTTERED) == CLUTTERED
    assert smallest(Attack(()), lambda attack: True) == Attack(())


@settings(max_examples=60)
@given(st.sampled_from(sorted(families())), st.integers(0, 10_000), st.integers(1, 4))
def test_it_only_ever_gets_simpler_and_asks_nothing_twice(family: str, seed: int, modulus: int) -> None:
    attack = Attack(families()[family].draw(RandomDraw(seed), SITUATION), family, seed)
    counted = Counted(lambda attack: hash(weight(attack)) % modulus == 0)

    async def session() -> Attack:
        return await minimise(attack, counted, 1.0)

    found = trio.run(session)
    assert weight(found) <= weight(attack)
    assert (found.strategy, found.seed) == (attack.strategy, attack.seed)
    refused = [asked for asked in counted.asked if not counted.holds(asked)]
    assert len(refused) == len(set(refused))


def test_the_budget_is_kept() -> None:
    async def session() -> tuple[Attack, float, Counted]:
        slow = Counted(lambda attack: peers(attack) >= 2, seconds=0.05)
        started = time.monotonic()
        found = await minimise(CLUTTERED, slow, 0.3)
        return found, time.monotonic() - started, slow

    found, seconds, slow = trio.run(session)
    assert seconds < 1.5
    assert 1 <= len(slow.asked) <= 8
    assert slow.holds(found)


def test_an_error_of_the_predicate_passes() -> None:
    async def broken(attack: Attack) -> bool:
        raise ConnectionError

    async def session() -> Attack:
        return await minimise(CLUTTERED, broken, 5)

    with pytest.raises(ConnectionError):
        trio.run(session)


@given(st.sets(st.integers(0, 39), min_size=1, max_size=4), st.integers(40, 60))
@settings(max_examples=80)
def test_of_a_history_what_is_needed_is_left(needed: set[int], length: int) -> None:
    asked = 0

    async def fails(part: tuple[int, ...]) -> bool:
        nonlocal asked
        asked += 1
        return needed <= set(part)

    async def session() -> tuple[int, ...]:
        return await minimise_history(tuple(range(length)), fails, 10.0)

    assert trio.run(session) == tuple(sorted(needed)), "and in order"
    assert asked < 60 * (1 + len(needed))


def test_a_history_within_its_budget() -> None:
    async def slow(part: tuple[int, ...]) -> bool:
        await trio.sleep(0.05)
        return 3 in part

    async def session() -> tuple[tuple[int, ...], float]:
        started = time.monotonic()
        return await minimise_history(tuple(range(200)), slow, 0.2), time.monotonic() - started

    left, seconds = trio.run(session)
    assert 3 in left
    assert seconds < 1.5
