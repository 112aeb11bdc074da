"""``zmqfuzz run NAME``: a target declared in pyproject.toml, against real programs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded

PY = sys.executable
LIMIT = "zmqfuzz.targets.examples.frame_limit"
DECLARED = f"""
[tool.zmqfuzz.targets.gateway]
command = ["{PY}", "-m", "{LIMIT}", "--bind", "{{endpoint}}", "--hardened"]
families = "oversized-frame"

[tool.zmqfuzz.targets.gateway.limits]
max-frame = "64 KiB"
recover = "10s"

[tool.zmqfuzz.targets.open]
command = ["{PY}", "server.py", "--bind", "{{endpoint}}"]
cwd = "app"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder inside a project that declares targets."""
    project = tmp_path_factory.mktemp("project")
    (project / "pyproject.toml").write_text(DECLARED)
    (project / "app").mkdir()
    (project / "app/server.py").write_text("from zmqfuzz.targets.examples.router import main; main()")
    (project / "tests").mkdir()
    return project / "tests"


def zmqfuzz(folder: Path, *words: str) -> tuple[int, str]:
    command = [PY, "-m", "zmqfuzz", "run", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, errors="replace")
    return done.returncode, done.stdout + done.stderr


def line(text: str, start: str) -> str:
    found = re.findall(rf"^  {start}.*$", text, re.MULTILINE)
    assert len(found) <= 1, text
    return "".join(found)


def undeclared(text: str) -> list[str]:
    return text.split("not covered: no limit was declared with ")[1].splitlines()[0].split(", ")


def test_a_declared_target_is_held_to_what_it_promises(folder: Path) -> None:
    code, text = zmqfuzz(folder, "gateway", "--cases", "3", "--seed", "1")
    assert code == 0, text
    assert "HELD: 3 attacks on ROUTER-null-tcp-0" in text
    assert "ZF201 frame-limit" in line(text, "held")
    assert "ZF206" not in line(text, "held")
    assert "--memory" in undeclared(text)
    assert "resident memory up to" in line(text, "observed")
    assert "frames" not in line(text, "observed"), "it is promised, and so it is judged"


def test_another_program_is_held_to_the_same_promises(folder: Path) -> None:
    other = (PY, "-m", "zmqfuzz.targets.examples.rep", "--bind", "{endpoint}")
    words = ("--only", "malformed-greeting", "--cases", "1", "--seed", "1")
    _, text = zmqfuzz(folder, "gateway", *words, "--", *other)
    assert ": 1 attack on REP-null-tcp-0" in text
    assert "--max-message" in undeclared(text)
    assert "--max-frame" not in undeclared(text)


@pytest.mark.slow
@pytest.mark.parametrize("weakness", ["--off-by-one", "--too-late"])
def test_a_program_that_breaks_a_declared_promise_is_found(folder: Path, weakness: str) -> None:
    weak = (PY, "-m", LIMIT, "--bind", "{endpoint}", weakness)
    code, text = zmqfuzz(folder, "gateway", "--for", "10s", "--stop-after", "1", "--held-per-byte", "1000", "--", *weak)
    assert code == 1, text
    assert re.search(r"ZF201  HIGH .*\n(.*\n)*?.*accepted +limit <= 65,536", text), text
    assert re.search(r"^    target  +gateway$", text, re.MULTILINE)


def test_a_promise_that_was_not_put_to_the_test_is_never_said_to_be_held(folder: Path) -> None:
    words = ("--only", "stall", "--exclude", "rate", "--cases", "2", "--rate", "200/s", "--seed", "1")
    _, text = zmqfuzz(folder, "open", *words)
    assert "  not covered: ZF501 rate-kept: no attack put it to the test\n" in text
    assert "ZF501" not in line(text, "held")
    assert line(text, "observed").startswith("  observed: resident memory up to ")
    for undeclared in ("ZF201", "ZF206", "ZF207"):
        assert undeclared not in line(text, "held")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("gatway",),
            r"pyproject\.toml: tool\.zmqfuzz\.targets: there is no target 'gatway'; did you mean 'gateway'\?",
        ),
        (("./server",), r"there are gateway, open; to start a program, write `zmqfuzz run -- \./server`\."),
        (("gateway", "more", "--", PY), r"Before -- only the name of a declared target can stand, not 'gateway more'"),
        (("gateway", "--libzmq", "x.so"), r"--libzmq is a target by itself"),
        (("gateway", "--max-frame", "1s"), r"--max-frame: '1s' is a duration, not a size; .* for example 1MiB\."),
        (("--start-within", "1MiB", "gateway"), r"--start-within: '1MiB' is a size, not a duration"),
        (("gateway", "--only", "floot"), r"There is no attack family 'floot'\. Did you mean 'flood'\?"),
    ],
    ids=lambda value: None,
)
def test_a_mistake_is_one_sentence(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["zmqfuzz", "run", *words])
    assert guarded(cli) == 2
    assert re.fullmatch(rf"zmqfuzz: .*{said}.*\n", capsys.readouterr().err)
