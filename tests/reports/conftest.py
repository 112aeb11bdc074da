"""A run that was recorded by the recorder itself, with everything that a target says hostile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.test_report import ATTACK, FINDING, observed
from zmqfuzz.campaign.events import Calibrated, Ended, Event, Found, Outcome, Plan, Sliced
from zmqfuzz.catalogue import select_families
from zmqfuzz.finding import Finding
from zmqfuzz.reports.record import Gate, Run
from zmqfuzz.reports.recorder import Recorder
from zmqfuzz.script import Attack
from zmqfuzz.trial import Reached, Surface

HOSTILE = "</script><script>alert(1)</script>\x1b[31m\x00\u202e ]]> `x` ``` | [a](http://b) <img src=x> {{ 7*7 }}"
HOSTILE += "\ufffe\ud800"

Record = Callable[..., Run]


def finding(id: str = "ZF203-7q2k", **changes: Any) -> Finding:
    """A finding of the family ``multipart``; ``changes`` are fields."""
    attack = Attack(ATTACK.scripts, "multipart")
    return replace(FINDING, id=id, attack=attack, **changes)


def events(*found: Finding, doubts: tuple[str, ...] = (), reached: Reached = Reached.TRAFFIC) -> list[Event]:
    """Of a run that played two families at one door."""
    surface = Surface("tcp://127.0.0.1:5555", "ROUTER")
    outcome = Outcome(list(found), list(doubts), Counter({"ZF101": 3}), surfaces=[surface], seconds=2.0)
    for name, got in (("multipart", Reached.TRAFFIC), ("stall", reached)):
        outcome.cases[(surface.key, name)] = 12
        outcome.reached[(surface.key, name)] = got
    outcome.not_covered.append("nothing of the moon")
    slices = [Sliced(surface, name, 12, 12, 1.0, 20 << 20) for name in ("multipart", "stall")]
    told = [Found(one, replace(observed(), attack=one.attack), observed()) for one in found]
    return [Calibrated(surface, "application", True), *slices, *told, Ended(outcome)]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """``record(*findings, inconclusive="fail", gate=None, error="", doubts=(), target="gateway")`` gives the Run."""

    def recorded(*found: Finding, inconclusive: str = "fail", gate: Gate | None = None, **more: Any) -> Run:
        target, error = more.pop("target", "gateway"), more.pop("error", "")
        plan = Plan(select_families(("multipart", "stall")), seed=7)
        description = {"command": ["python", "server.py"], "cwd": str(tmp_path), "limits": {"memory": 1}}
        policy = {"fail_on": "low", "inconclusive": inconclusive}
        recorder = Recorder(tmp_path / ".zmqfuzz", target, description, plan, policy, pytest.fail)
        for event in events(*found, **more):
            recorder.tell(event, ("frames of up to 1 MiB taken",))
        return recorder.finish(gate or Gate(1 if found else 0, "as it is"), error)

    return recorded


@pytest.fixture
def hostile() -> Finding:
    """Whatever can come from a target does its worst."""
    surface = Surface("tcp://127.0.0.1:5555", "ROUTER")
    return finding(
        sentence=HOSTILE, log_tail=HOSTILE, target=HOSTILE, notes=(HOSTILE,), control=HOSTILE, surface=surface
    )
