"""A finding is less bad where a stranger cannot cause it; never because of what costs a stranger nothing."""

from __future__ import annotations

import pytest

from zmqfuzz.campaign.cost import cost_of, weighed
from zmqfuzz.campaign.naming import finding_of
from zmqfuzz.catalogue import invariants
from zmqfuzz.finding import Severity
from zmqfuzz.script import Attack, Connect, Script, Shake
from zmqfuzz.trial import Observation, Surface, Trial


def attack(*shakes: Shake, times: int = 1) -> Attack:
    return Attack((Script((Connect(), *shakes), times),), "flood")


@pytest.mark.parametrize(
    ("shakes", "address", "severity", "reason"),
    [
        ((), "tcp://127.0.0.1:1", "critical", ""),
        ((Shake("DEALER"),), "tcp://127.0.0.1:1", "critical", ""),
        ((Shake("DEALER", mechanism="NULL"),), "tcp://127.0.0.1:1", "critical", ""),
        ((Shake("DEALER", mechanism="CURVE", stranger=True),), "tcp://127.0.0.1:1", "critical", ""),
        ((Shake("DEALER", mechanism="CURVE"),), "tcp://127.0.0.1:1", "high", "CURVE credentials"),
        ((Shake("DEALER"),), "ipc:///run/x", "high", "on its machine"),
        (
            (Shake("DEALER", mechanism="PLAIN"),),
            "ipc:///run/x",
            "medium",
            "PLAIN credentials can do it and only who is",
        ),
    ],
)
def test_what_is_needed_counts(shakes: tuple[Shake, ...], address: str, severity: str, reason: str) -> None:
    cost = cost_of(attack(*shakes, times=900), Surface(address, "ROUTER"), 1 << 30, 20.0)
    assert cost.connections == 900
    weighed_, why = weighed(Severity.CRITICAL, cost)
    assert weighed_ == severity
    assert reason in why
    assert bool(why) == bool(reason)


def test_nothing_gets_less_than_low_and_information_stays_information() -> None:
    cost = cost_of(attack(Shake("REQ", mechanism="PLAIN")), Surface("ipc:///x"), 0, 0.0)
    assert weighed(Severity.MEDIUM, cost)[0] is Severity.LOW
    assert weighed(Severity.LOW, cost)[0] is Severity.LOW
    assert weighed(Severity.INFO, cost)[0] is Severity.INFO


@pytest.mark.parametrize(("code", "severity"), [("ZF101", Severity.HIGH), ("ZF403", Severity.CRITICAL)])
def test_a_finding_has_it_and_says_why_and_a_broken_lock_is_not_excused(code: str, severity: Severity) -> None:
    surface = Surface("tcp://127.0.0.1:1", "ROUTER", "CURVE")
    trial = Trial(attack(Shake("DEALER", mechanism="CURVE")), surface, (), Observation(), 0.1)
    entry = invariants()[code]
    finding = finding_of(entry.violation("It is so.", signature="so"), trial, "gateway")
    assert finding.severity is severity
    assert any(note.startswith("high instead of critical: ") for note in finding.notes) == (code == "ZF101")
    open_ = finding_of(entry.violation("It is so.", signature="so"), trial, "gateway", attack=attack())
    assert open_.id == finding.id
