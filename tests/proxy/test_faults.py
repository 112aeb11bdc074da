"""What each fault does to real libzmq peers: exactly so, from the first octet, each time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.proxy.scenarios import SCENARIOS, Scenario, read
from zmqfuzz.fault import KINDS

ROUNDS = 100
BUSY = 2
"""Processes that do nothing but run, beside what is tested."""


def test_every_kind_is_played() -> None:
    assert {read(scenario).kind for scenario in SCENARIOS} == set(KINDS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.fault)
def test_a_fault_does_what_it_says(scenario: Scenario) -> None:
    assert scenario.play() == ""


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.fault)
def test_it_does_so_a_hundred_times_on_a_busy_machine(scenario: Scenario) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        assert [result for result in (scenario.play() for _ in range(ROUNDS)) if result] == []
    finally:
        for process in busy:
            process.kill()
            process.wait()
