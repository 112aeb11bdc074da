"""What came out clean, and what is still worth an examination after that."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.campaign.known import Known, Lane
from zmqfuzz.catalogue import families, invariants
from zmqfuzz.finding import Violation
from zmqfuzz.script import Attack
from zmqfuzz.trial import Observation, Sample, Surface, Trial

DOORS = [Lane(Surface(f"tcp://127.0.0.1:{port}", "ROUTER"), families()["flood"]) for port in (1, 2)]
DOORS[1].surface = Surface("tcp://127.0.0.1:2", "ROUTER", index=1)


def held(octets: int) -> Trial:
    ends = [Sample(0.0, 0, rss, rss, 9, 3, 0.0) for rss in (20 * MIB, 20 * MIB + octets)]
    return Trial(Attack(()), DOORS[0].surface, (), Observation(ends[0], ends[1], ends[1]), 1.0)


def test_a_process_warms_up_once_whichever_door_it_is_asked_at() -> None:
    known, entry = Known(), invariants()["ZF203"]
    assert DOORS[0].surface.key != DOORS[1].surface.key
    for octets in (7 * MIB, 7 * MIB, 40 * MIB):
        assert not known.below_floor(DOORS[1], entry, held(7 * MIB)) or octets == 40 * MIB
        known.clear(DOORS[0], "ZF203", held(octets))
    for lane, floor in zip(DOORS, (80 * MIB, 16 * MIB), strict=True):
        assert known.below_floor(lane, entry, held(floor - 1))
        assert not known.below_floor(lane, entry, held(floor))


def test_what_stays_behind_counts_at_its_own_door() -> None:
    known = Known()
    for code in ("ZF204", "ZF205", "ZF103"):
        for _ in range(3):
            known.clear(DOORS[0], code, held(9 * MIB))
        assert not known.below_floor(DOORS[1], invariants()[code], held(9 * MIB))


def broke(signature: str, code: str = "ZF301") -> Violation:
    return invariants()[code].violation("It is so.", signature=signature)


def test_what_was_only_caught_is_not_told_to_other_runs() -> None:
    known = Known()
    known.suppose(DOORS[0], "ZF301", "executes")
    assert known.knows(DOORS[0], broke("executes"), Attack(()), held(0))
    assert not known.ways(), "another slice may confirm it"
    assert not known.learn(DOORS[0], "ZF301", "executes")
    assert known.ways() == {(DOORS[0].surface.key, "ZF301", "executes")}
    known.suppose(DOORS[0], "ZF301", "executes")
    assert known.ways(), "a finding stays one"


def test_a_crash_whose_place_is_known_is_one_at_every_door() -> None:
    known = Known()
    for signature, everywhere in (
        ("libzmq assertion !_io_error stream_engine_base.cpp", True),
        ("ended with exit code 1 ValueError: server.py:answer", True),
        ("was killed by SIGSEGV", False),
        ("ended with exit code 1 ValueError", False),
    ):
        known.learn(DOORS[0], "ZF101", signature)
        assert known.knows(DOORS[1], broke(signature, "ZF101"), Attack(()), held(0)) is everywhere
    known.learn(DOORS[0], "ZF102", "deaf at application: server.py:answer")
    assert not known.knows(DOORS[1], broke("deaf at application: server.py:answer", "ZF102"), Attack(()), held(0))
