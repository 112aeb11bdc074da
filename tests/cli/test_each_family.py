"""Every attack family alone, by ``zmqfuzz run --only``: listed with its purpose, played, and where it says it gets."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import zmq

from zmqfuzz.catalogue import Family, families
from zmqfuzz.mapped import libraries
from zmqfuzz.targets.library import hosted
from zmqfuzz.trial import Reached, Stage

FAMILIES = [pytest.param(family, id=name) for name, family in families().items()]
OK, INCONCLUSIVE = 0, 3
CASES = 10
"""What a short run gives a family; by then it must have got where it says."""

EMPTY = '''
from zmqfuzz.catalogue import strategy
from zmqfuzz.script import Connect, Script, Wait
from zmqfuzz.trial import Reached

@strategy("draws-nothing", needs=Reached.CONNECTED)
def draws_nothing(draw, situation):
    """Peers that there are none of."""
    return ()

@strategy("gets-nowhere", needs=Reached.TRAFFIC)
def gets_nowhere(draw, situation):
    """Peers that mean to get to traffic, and say nothing."""
    return (Script((Connect(), Wait(0.01))),)
'''


@contextmanager
def router(mechanism: str) -> Iterator[tuple[str, ...]]:
    """A ROUTER of the installed libzmq in a process of its own; the options of a run that attacks it."""
    zmq.Context().term()  # loads the library
    library = hosted(libraries([os.getpid()], "libzmq")[0], "ROUTER", mechanism=mechanism)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    known = {
        name: value for name, value in library.credentials.items() if name in ("username", "password", "server_key")
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in known.items()]
    command = [word.replace("{port}", port) for word in library.command]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"libzmq ")
        yield (*options, "--connect", f"tcp://127.0.0.1:{port}")
        process.kill()


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, tuple[str, ...]]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(router(name)) for name in ("null", "plain", "curve")}


def zmqfuzz(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "zmqfuzz", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def alone(folder: Path, name: str, door: tuple[str, ...]) -> tuple[subprocess.CompletedProcess[str], Counter[Stage]]:
    """A run of one family, and in how many of its attacks it acted in each stage."""
    done = zmqfuzz(folder, "run", "--only", name, "--cases", str(CASES), "--for", "2s", "--seed", "1", *door)
    saved = json.loads((folder / ".zmqfuzz" / "reach.json").read_text(encoding="utf-8"))
    assert {cell["family"] for cell in saved["cells"]} == {name}
    return done, Counter({Stage(cell["stage"]): cell["count"] for cell in saved["cells"] if cell["count"]})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_runs_alone(family: Family, doors: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    done, acted = alone(tmp_path, family.name, doors["curve" if family.locked else family.mechanism.lower() or "null"])
    assert done.returncode == OK, done.stdout + done.stderr
    assert re.search(r"^HELD: \d+ attacks? on ROUTER-", done.stdout, re.MULTILINE)
    assert acted, "it was drawn, and did something"
    if family.needs is Reached.TRAFFIC:
        assert acted.keys() & {Stage.TRAFFIC, Stage.MESSAGE}


def test_all_are_listed_with_their_purpose_on_a_line(tmp_path: Path) -> None:
    lines = [line.split(maxsplit=1) for line in zmqfuzz(tmp_path, "list").stdout.splitlines()]
    listed = {line[0]: line[1] for line in lines if len(line) == 2 and line[0] in families()}
    assert listed == {name: family.summary for name, family in families().items()}


@pytest.mark.parametrize("name", ["draws-nothing", "gets-nowhere"])
def test_one_that_does_nothing_is_not_taken_for_one_that_ran(
    name: str, doors: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "empty.py").write_text(EMPTY)
    info = tmp_path / "empty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: empty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zmqfuzz.strategies]\nempty = empty\n")
    done, acted = alone(tmp_path, name, doors["null"])
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    assert f"{name} never got to" in done.stdout
    assert not acted.keys() & {Stage.TRAFFIC, Stage.MESSAGE}
