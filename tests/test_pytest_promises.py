"""Promises that no item has put to the test are inconclusive, by real pytest runs."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

PULL = """
import sys, zmqfuzz

PULL = [sys.executable, "-m", "zmqfuzz.targets.examples.pull", "--bind"]
"""

OVER_IPC = (
    PULL
    + """
one = zmqfuzz.target([*PULL, "{ipc}"], vanished_within="500ms", hung_within="2min", name="one")

@one.parametrize(families=["churn", "dead-peer"])
def test_one(attack):
    attack.run(cases=1)
"""
)

ATTACHED = """
import os, zmqfuzz

there = zmqfuzz.target(connect=os.environ["THERE"], name="there", memory="1GiB", max_frame="1MiB")

@there.parametrize()
def test_there(attack):
    attack.run(cases=1)

def test_own():
    assert there.surface.socket_type == "PULL"
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Writes a suite and runs it as a user does."""

    def runs(suite: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(inspect.cleandoc(suite) + "\n")
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:randomly -p no:cacheprovider\n")
        ours = ("CI", "ZMQFUZZ_", "PYTEST_", "COLUMNS")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "--zmqfuzz-seed=1", *options],
            cwd=tmp_path,
            env=inherited | {"COLUMNS": "160"} | variables,
            capture_output=True,
            text=True,
            timeout=400,
        )

    return runs


def test_only_the_item_that_is_there_for_a_promise_answers_for_it(run: Run) -> None:
    out = run(OVER_IPC, "-v", "--zmqfuzz-budget=1s").stdout
    assert "test_one[churn] PASSED" in out, out
    assert re.search(
        r"^INCONCLUSIVE test_it.py::test_one\[dead-peer\] - .*ZF313 \S+: no attack put it to the", out, re.M
    )
    assert re.search(r"ZF312 \S+: attacks wait for at most \d+ s \(hung_within= says 120 s\)", out), out
    assert "zmqfuzz: 1 held, 0 findings, 1 inconclusive; 2 cases; seed 1" in out


@pytest.mark.slow
def test_a_promise_whose_item_was_not_chosen_is_only_told(run: Run) -> None:
    chosen = run(OVER_IPC, "-k", "churn", "--zmqfuzz-budget=1s", CI="true")
    assert chosen.returncode == 0, chosen.stdout
    assert "zmqfuzz: not put to the test: hung_within, vanished_within of one\nzmqfuzz: 1 held" in chosen.stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "-n 2"])
def test_what_no_item_puts_to_the_test_leaves_the_session_inconclusive(
    run: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    there = f"ipc://{tmp_path}/there"
    words = [sys.executable, "-m", "zmqfuzz.targets.examples.pull", "--bind", there]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            while not Path(there.removeprefix("ipc://")).exists():
                assert process.poll() is None
                time.sleep(0.05)
            done = run(ATTACHED, *options, "--zmqfuzz-budget=500ms", THERE=there)
            said = "INCONCLUSIVE there - it promises memory, and no item put that to the test"
            assert done.returncode == 0, done.stdout
            assert said in done.stdout
            failed = run(ATTACHED, *options, "--zmqfuzz-budget=500ms", "--zmqfuzz-inconclusive=fail", THERE=there)
            assert failed.returncode == pytest.ExitCode.TESTS_FAILED
            assert said in failed.stdout
            chosen = run(ATTACHED, *options, "--zmqfuzz-budget=500ms", "-k", "flood", THERE=there)
            assert "zmqfuzz: not put to the test: max_frame, memory of there" in chosen.stdout
            assert said not in chosen.stdout
        finally:
            process.kill()
