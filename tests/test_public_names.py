"""The public names: cheap to import, there under their names, and clear about wrong usage."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zmqfuzz

HEAVY = ("hypothesis", "trio", "zmq", "scapy", "rich", "click", "zmqfuzz.catalogue", "zmqfuzz.assembly")


def test_importing_is_cheap(tmp_path: Path) -> None:
    code = (
        "import sys, zmqfuzz, zmqfuzz.pytest_plugin\n"
        "zmqfuzz.target(['x'], max_frame='1MiB'), zmqfuzz.Limits, zmqfuzz.ZmqfuzzError\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there_and_win_over_submodules() -> None:
    for name in zmqfuzz.__all__:
        assert getattr(zmqfuzz, name) is not None
        assert name in dir(zmqfuzz)
    code = "import zmqfuzz, zmqfuzz.target, zmqfuzz.harness; zmqfuzz.target(['x'])"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'tarqet'"):
        _ = zmqfuzz.tarqet


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: zmqfuzz.target(["x"], max_fram=1), r"no option 'max_fram'\. Did you mean 'max_frame'"),  # type: ignore[arg-type]
        (lambda: zmqfuzz.target("python server.py"), r"write zmqfuzz\.target\(\['python', 'server\.py'\]\)"),
        (lambda: zmqfuzz.target(["x"], memory="1 heap"), "memory: '1 heap' is not a size"),
        (lambda: zmqfuzz.target(), "needs a command"),
        (lambda: zmqfuzz.target(["x"]).parametrize(print), "with parentheses"),
        (lambda: zmqfuzz.target(["x"]).parametrize(families="floot"), "Did you mean 'flood'"),
        (lambda: zmqfuzz.FamilyAttack(zmqfuzz.target(["x"]), "flood").run(), "without -p no:zmqfuzz"),
    ],
)
def test_wrong_usage_is_said_at_the_line_that_is_wrong(wrong: Callable[[], object], text: str) -> None:
    with pytest.raises(zmqfuzz.UsageError, match=text):
        wrong()
