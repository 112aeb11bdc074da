"""Honest peers of older versions that stay: a program that cuts them is told, and its hardened twin is not."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from zmqfuzz.budget import Limits
from zmqfuzz.campaign.events import Event, Found, Outcome, Plan
from zmqfuzz.campaign.vigil import Vigil
from zmqfuzz.catalogue import invariants, select_families
from zmqfuzz.harness import Harness
from zmqfuzz.parked import long_lived
from zmqfuzz.targets.child import ChildTarget

PROGRAM = str(Path(__file__).parent / "apps" / "older.py")
STAYS = 1.2
FORMS: dict[tuple[str, ...], bool] = {
    (): False,
    ("--cut-older", "1.5"): True,
    ("--cut-older", "0"): False,
    ("--cut-all", "1.5"): False,
}
"""Forms of the program, and whether they are told: who cuts older peers later than at once, and no others."""


def target(*form: str) -> ChildTarget:
    command = [sys.executable, PROGRAM, "{endpoint}", *form]
    return ChildTarget(command, endpoints=("{endpoint}",), copies=True, hard_cap=1 << 30)


def test_only_who_cuts_older_peers_later_and_no_others_is_told() -> None:
    entry, limits = invariants()["ZF317"], Limits()

    async def judge(form: tuple[str, ...]) -> None:
        for _ in range(4):  # a busy machine keeps us from looking, and then nothing is said
            async with Harness(target(*form)) as harness:
                (surface,) = harness.surfaces(await harness.standing())
                trial = await harness.trial(long_lived(surface, STAYS), surface.key)
            if entry.tested(trial, limits) or form[:1] == ("--cut-all",):
                break
        violation = entry.judge(trial, limits)
        assert (violation is not None) == FORMS[form], form
        assert violation is None or violation.signature == "peers of ZMTP 1 and 2 are cut"
        assert entry.judge(trial, Limits(hung_within=1.0)) is None

    async def judge_all() -> None:
        async with trio.open_nursery() as nursery:
            for form in FORMS:
                nursery.start_soon(judge, form)

    trio.run(judge_all)


def test_a_look_beside_the_run_is_confirmed_on_two_more_processes() -> None:
    told: list[Event] = []

    async def look() -> Outcome:
        async with Harness(target("--cut-older", "1.5")) as harness:
            outcome, plan = Outcome(seed=1), Plan(select_families(("dead-peer",)), 60.0, 1)
            surfaces = harness.surfaces(await harness.standing())
            await Vigil(harness, plan, outcome, told.append, stays=STAYS).watch(surfaces)
            return outcome

    outcome = trio.run(look)
    if outcome.findings:  # else the machine was too busy for two looks of three
        (finding,) = outcome.findings
        assert finding.code == "ZF317"
        assert finding.tried == 3
        assert isinstance(told[-1], Found)
    else:
        assert outcome.doubts or not told
