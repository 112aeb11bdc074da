"""Every attack family, under both drivers, at every door: what it draws can be sent, saved and repeated."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from zmqfuzz.budget import MIB, Budget, Limits
from zmqfuzz.campaign.minimise import weight
from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.catalogue import Family, Situation, families
from zmqfuzz.drawing import HypothesisDraw, RandomDraw
from zmqfuzz.scale import planned
from zmqfuzz.script import Attack, Await, Connect, Expect, Send, Shake, Wait
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.connection import Connection
from zmqfuzz.zmtp.wire import SOCKET_TYPES, Frame, peer_type

SEEDS = 300
DOORS = (*SOCKET_TYPES, "")
PROMISES = (None, 0, 1, 255, 65536, MIB)
SITUATIONS = [
    Situation(Surface("tcp://127.0.0.1:1", kind, version=version), Limits(max_frame=limit), Budget())
    for kind in DOORS
    for version in ("3.1", "2.0")
    for limit in PROMISES
]
FAMILIES = [pytest.param(family, id=name) for name, family in families().items()]
SECONDS = 30
"""A script that waits longer than a trial may last tells nothing."""


def checked(family: Family, attack: Attack, situation: Situation) -> None:
    """What must be true of every attack."""
    assert attack.scripts
    assert planned(attack) <= 64 * MIB
    most = situation.budget.connections if family.many else situation.budget.peers
    assert sum(script.times for script in attack.scripts) <= most
    for script in attack.scripts:
        first = next(step for step in script.steps if not (family.many and isinstance(step, Await | Wait)))
        assert isinstance(first, Connect)
        speech, waits = Connection(), 0.0
        for step in script.steps:
            if isinstance(step, Shake):
                assert step.socket_type in peer_type(situation.surface.socket_type)
            elif isinstance(step, Send):
                assert step.times >= 1
                assert step.chunk is None or step.chunk >= 1
                assert all(isinstance(speech.send(unit), bytes) for unit in step.units)
            elif isinstance(step, Wait):
                waits += step.seconds
            elif isinstance(step, Expect):
                waits += step.within
        assert waits <= SECONDS
    lines = attack_to_lines(attack, {"note": "x"})
    assert attack_from_lines(lines) == (attack, {"note": "x"})


def drawn(family: Family, seed: int, situation: Situation) -> Attack:
    return Attack(family.draw(RandomDraw(seed), situation), family.name, seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_at_random(family: Family) -> None:
    different = set()
    for seed in range(SEEDS):
        situation = SITUATIONS[seed % len(SITUATIONS)]
        attack = drawn(family, seed, situation)
        checked(family, attack, situation)
        different.add(attack.scripts)
    assert len(different) > SEEDS / 3


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_by_hypothesis(family: Family) -> None:
    different = set()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data(), st.sampled_from(SITUATIONS))
    def draw(data: st.DataObject, situation: Situation) -> None:
        attack = Attack(family.draw(HypothesisDraw(data), situation), family.name)
        checked(family, attack, situation)
        different.add(attack.scripts)

    draw()
    assert len(different) > 15


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_gives_the_same_attack(family: Family) -> None:
    for seed in range(50):
        situation = SITUATIONS[-1 - seed]
        assert drawn(family, seed, situation) == drawn(family, seed, situation)


@pytest.mark.parametrize("family", FAMILIES)
def test_hypothesis_shrinks_towards_the_simplest(family: Family) -> None:
    smallest: list[Attack] = []

    @settings(max_examples=20, database=None, phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False)
    @given(st.data())
    def always(data: st.DataObject) -> None:
        smallest.append(Attack(family.draw(HypothesisDraw(data), SITUATIONS[0])))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        always()
    peers, steps, octets = weight(smallest[-1])
    begins_with = {"several-actors": 2, "descriptor-exhaustion": 64}.get(family.name, 1)
    assert peers == begins_with
    assert steps <= (15 if begins_with > 1 else 5)
    assert octets <= 40_000


def test_what_a_family_needs_it_could_reach() -> None:
    """Each family that claims traffic draws scripts that get there; its summary is one line."""
    for family in families().values():
        attacks = [drawn(family, seed, SITUATIONS[0]) for seed in range(60)]
        steps = [step for attack in attacks for script in attack.scripts for step in script.steps]
        assert family.summary.endswith(".")
        assert "\n" not in family.summary
        if family.needs.name == "TRAFFIC":
            assert any(isinstance(step, Shake) for step in steps)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_that_connects_meets_one_peer_at_a_time(family: Family) -> None:
    situation = Situation(Surface("tcp://127.0.0.1:1", "DEALER", side="connect"), Limits(), Budget())
    for seed in range(60):
        assert sum(script.times for script in drawn(family, seed, situation).scripts) == 1


@pytest.mark.parametrize("limit", [65536, 1000, 255])
def test_oversized_frames_stand_at_the_exact_limit_and_one_over_it(limit: int) -> None:
    family = families()["oversized-frame"]
    situation = Situation(SITUATIONS[0].surface, Limits(max_frame=limit), Budget())
    sizes = set()
    for seed in range(SEEDS):
        for step in (step for script in drawn(family, seed, situation).scripts for step in script.steps):
            for unit in step.units if isinstance(step, Send) else ():
                if isinstance(unit, Frame) and unit.declared_size is None and not isinstance(unit.body, bytes):
                    sizes.add(unit.body.size)
    assert {limit - 1, limit, limit + 1} <= sizes


def test_a_large_promise_does_not_make_the_attacker_itself_run_out_of_memory() -> None:
    situation = Situation(SITUATIONS[0].surface, Limits(max_frame=1 << 30), Budget())
    assert max(planned(drawn(families()["oversized-frame"], seed, situation)) for seed in range(SEEDS)) <= 64 * MIB
