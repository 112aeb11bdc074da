"""The order in which doors and families have their turns, and what a run says that was too short for all of them."""

from __future__ import annotations

import random

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.claims import claim_tested, claim_time
from zmqfuzz.campaign.events import Outcome
from zmqfuzz.campaign.known import Lane
from zmqfuzz.campaign.order import in_order
from zmqfuzz.catalogue import families, select_families
from zmqfuzz.trial import Surface

DOORS = [Surface(f"tcp://127.0.0.1:{port}", kind, "NULL") for port, kind in enumerate(("ROUTER",) * 3 + ("XPUB",), 1)]


def lanes(seed: int) -> list[Lane]:
    found = [Lane(door, family) for door in DOORS for family in select_families(("flood", "churn", "stall"))]
    random.Random(seed).shuffle(found)
    return found


def test_a_family_is_played_at_one_door_of_a_kind_before_it_is_played_at_another() -> None:
    for seed in range(20):
        ordered = in_order(lanes(seed), Limits())
        assert len(ordered) == 12
        first = [(lane.family.name, lane.surface.socket_type) for lane in ordered[:6]]
        assert len(set(first)) == 6
    assert len({in_order(lanes(seed), Limits())[0].surface.address for seed in range(20)}) > 1


def test_a_run_that_was_too_short_says_how_long_would_do() -> None:
    played = lanes(1)
    for lane in played[:4]:
        lane.slices = 1
    (said,) = claim_time(played[2:], played, 60.0)
    assert "and 5 more (about --for 5m would do)" in said
    assert "give --for longer" in claim_time(played[4:], played[4:], 60.0)[0]
    assert claim_time(played[:4], played, 60.0) == []


def test_a_promise_is_tested_by_what_says_whether_it_is_kept() -> None:
    limits = Limits(max_frame=65536)
    for tested, doubts in ((("ZF202",), True), (("ZF201",), False), (("ZF201", "ZF202"), False), ((), True)):
        outcome = Outcome(seed=0)
        outcome.checks.update(tested)
        claim_tested(outcome, limits, Budget.waiting_out(limits), list(families().values()))
        assert any("ZF201" in said for said in outcome.doubts) is doubts
