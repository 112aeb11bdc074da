"""Hypothesis as it is driven here: its budget, its seed, its shrinking, and the variable CI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import trio

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.minimise import weight
from zmqfuzz.campaign.search import Catch, search
from zmqfuzz.catalogue import Situation, families, invariants
from zmqfuzz.errors import TargetDidNotStart
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack, Send
from zmqfuzz.trial import Observation, Surface, Trial
from zmqfuzz.zmtp.wire import Frame

SITUATION = Situation(Surface("tcp://127.0.0.1:1", "ROUTER"), Limits(), Budget())
CRASH = invariants()["ZF101"].violation
DEAF = invariants()["ZF102"].violation
Judge = Callable[[Attack], Violation | None]


def held(attack: Attack) -> Violation | None:
    return None


def parts(attack: Attack) -> int:
    """Frames of the attack's longest Send."""
    sends = [step for script in attack.scripts for step in script.steps if isinstance(step, Send)]
    return max((sum(isinstance(unit, Frame) for unit in step.units) for step in sends), default=0)


def crash_at(least: int) -> Judge:
    return lambda attack: CRASH("The process ended.") if parts(attack) >= least else None


def hunt(
    judge: Judge,
    *,
    family: str = "malformed-message",
    seed: int = 1,
    seconds: float = 10.0,
    shrink: float = 10.0,
    most: int = 300,
    pause: float = 0.0,
) -> tuple[Catch | None, int, list[Attack]]:
    played: list[Attack] = []

    async def test(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        played.append(attack)
        await trio.sleep(pause)
        return judge(attack), Trial(attack, SITUATION.surface, (), Observation(), 0.0)

    async def session() -> tuple[Catch | None, int]:
        chosen = families()[family]
        return await search(chosen, SITUATION, test, seed=seed, seconds=seconds, shrink=shrink, most=most)

    catch, cases = trio.run(session)
    return catch, cases, played


@pytest.mark.parametrize("family", sorted(families()))
def test_attacks_of_every_family_differ(family: str) -> None:
    catch, _, played = hunt(held, family=family, most=100)
    assert catch is None
    assert 50 <= len(played) <= 100
    assert len({attack.scripts for attack in played}) > 20
    assert {(attack.strategy, attack.seed) for attack in played} == {(family, 1)}


def test_only_what_was_played_is_counted() -> None:
    _, cases, played = hunt(held, family="flood", most=100)
    assert cases == len(played)


def test_the_same_seed_draws_the_same_attacks_and_another_seed_others() -> None:
    first, again, other = (hunt(held, seed=seed, most=60)[2] for seed in (5, 5, 6))
    assert first == again
    assert len({attack.scripts for attack in first} & {attack.scripts for attack in other}) < 20


def test_the_budget_is_kept_and_one_attack_is_always_played() -> None:
    started = time.monotonic()
    _, cases, _ = hunt(held, seconds=0.6, most=100_000, pause=0.01)
    assert 0.5 <= time.monotonic() - started < 3
    assert 5 < cases <= 60
    _, cases, _ = hunt(held, seconds=0.0, most=100_000)
    assert cases >= 1


@pytest.mark.parametrize("most", [1, 2, 7])
def test_no_more_attacks_than_were_asked_for(most: int) -> None:
    _, cases, played = hunt(held, most=most)
    assert cases == len(played) == most


@pytest.mark.parametrize("least", [2, 3])
def test_what_is_caught_is_shrunk(least: int) -> None:
    catch, _, _ = hunt(crash_at(least), most=2000, seed=4)
    assert catch is not None
    assert type(catch.violation) is CRASH
    assert parts(catch.original) >= least
    assert parts(catch.attack) == least
    assert weight(catch.attack) <= weight(catch.original)
    assert catch.trial.attack == catch.attack
    assert sum(script.times for script in catch.attack.scripts) == 1


def test_shrinking_keeps_within_its_own_budget() -> None:
    started = time.monotonic()
    catch, _, played = hunt(crash_at(2), most=2000, shrink=0.4, pause=0.02)
    assert catch is not None
    found = next(number for number, attack in enumerate(played) if parts(attack) >= 2)
    assert time.monotonic() - started < 0.4 + found * 0.05 + 3


def test_while_shrinking_the_violation_is_told_so_that_another_bug_does_not_take_its_place() -> None:
    told: set[str] = set()

    async def test(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        told.add(shrinking.code if shrinking is not None else "")
        violation = (CRASH if parts(attack) >= 3 else DEAF)("It failed.") if parts(attack) >= 2 else None
        if shrinking is not None and violation is not None and violation.code != shrinking.code:
            violation = None
        return violation, Trial(attack, SITUATION.surface, (), Observation(), 0.0)

    async def session() -> Catch | None:
        family = families()["malformed-message"]
        return (await search(family, SITUATION, test, seed=3, seconds=10, shrink=5, most=2000))[0]

    catch = trio.run(session)
    assert catch is not None
    assert told == {"", catch.violation.code}
    assert parts(catch.attack) >= (3 if catch.violation.code == "ZF101" else 2)


@pytest.mark.parametrize("error", [TargetDidNotStart("gone"), ConnectionError("refused"), ZeroDivisionError()])
def test_an_error_that_is_no_violation_ends_the_search_and_passes(error: Exception) -> None:
    asked: list[Attack] = []

    def broken(attack: Attack) -> Violation | None:
        asked.append(attack)
        if len(asked) == 4:
            raise error
        return None

    with pytest.raises(type(error)) as raised:
        hunt(broken)
    assert raised.value is error
    assert len(asked) == 4


def test_an_error_while_shrinking_does_not_cost_the_catch() -> None:
    asked: list[Attack] = []

    def flaky(attack: Attack) -> Violation | None:
        asked.append(attack)
        if len(asked) > 1 and parts(asked[-2]) >= 2:
            raise TargetDidNotStart("not again")
        return crash_at(2)(attack)

    catch, _, _ = hunt(flaky, most=2000)
    assert catch is not None
    assert parts(catch.attack) >= 2


def test_a_violation_that_does_not_show_again_is_still_a_catch() -> None:
    shown: list[Attack] = []

    def once(attack: Attack) -> Violation | None:
        if parts(attack) >= 2 and not shown:
            shown.append(attack)
            return CRASH("Once.")
        return None

    catch, _, _ = hunt(once, most=500)
    assert catch is not None
    assert catch.attack == shown[0]


def test_a_cancelled_search_ends_soon() -> None:
    async def slow(attack: Attack, shrinking: Violation | None) -> tuple[Violation | None, Trial]:
        await trio.sleep(0.02)
        return None, Trial(attack, SITUATION.surface, (), Observation(), 0.0)

    async def session() -> float:
        started = trio.current_time()
        with trio.move_on_after(0.3) as scope:
            await search(families()["flood"], SITUATION, slow, seed=1, seconds=60, shrink=1)
        assert scope.cancelled_caught
        return trio.current_time() - started

    assert trio.run(session) < 3


PROGRAM = """
import json, sys, trio
from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.search import search
from zmqfuzz.catalogue import Situation, families
from zmqfuzz.trial import Observation, Surface, Trial

situation = Situation(Surface("tcp://127.0.0.1:1", "ROUTER"), Limits(), Budget())

async def slice(seed):
    drawn = []
    async def test(attack, shrinking):
        drawn.append(repr(attack.scripts))
        return None, Trial(attack, situation.surface, (), Observation(), 0.0)
    await search(families()["malformed-frame"], situation, test, seed=seed, seconds=20, shrink=1, most=60)
    return drawn

print(json.dumps([trio.run(slice, seed) for seed in (1, 2, 3, 1)]))
"""


@pytest.mark.parametrize("ci", ["true", "", None])
def test_slices_differ_also_where_ci_is_set(ci: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"CI": ci} if ci is not None else {}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    slices = json.loads(done.stdout)
    assert [len(drawn) for drawn in slices] == [60] * 4
    assert slices[0] == slices[3], "a seed repeats its attacks"
    different = {attack for drawn in slices for attack in drawn}
    assert len(different) > 120
    assert done.stderr == ""
