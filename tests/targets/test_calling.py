"""A function as a target: found again by its module or its file, in a process of its own; and what cannot be."""

from __future__ import annotations

import importlib.util
import inspect
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import zmqfuzz
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Connect, Expect, Script, Send, Shake
from zmqfuzz.targets.calling import calling
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Frame

PROGRAM = """
import asyncio
import beside

def plain(endpoint):
    print("called with", endpoint, beside.WORD)

async def later(endpoint):
    await asyncio.sleep(0)
    plain(endpoint)

class Kept:
    def method(self, endpoint): ...
"""

ECHO = Path(__file__).parents[2] / "targets" / "examples" / "plain.py"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A module that is not on the path, and needs one beside it."""
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    file = tmp_path / "program.py"
    file.write_text(inspect.cleandoc(PROGRAM) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = importlib.util.spec_from_file_location("somewhere.program", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "somewhere.program", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["plain", "later"])
def test_it_is_called_with_the_endpoint_wherever_the_command_runs(program: object, name: str) -> None:
    command = [word.replace("{endpoint}", "tcp://x") for word in calling(getattr(program, name))]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "called with tcp://x beside\n", done.stderr


@pytest.mark.parametrize(
    "wrong", [lambda program: lambda endpoint: None, lambda program: program.Kept().method, lambda program: print]
)
def test_what_could_not_be_found_again_is_refused(
    program: object, wrong: Callable[[object], Callable[..., object]]
) -> None:
    with pytest.raises(UsageError, match="at the top of a module"):
        zmqfuzz.target(wrong(program))


def test_a_process_that_runs_and_a_program_that_connects_are_played_on(tmp_path: Path) -> None:
    say = Script((Connect(), Shake("DEALER"), Send((Frame(b"x"),)), Expect("message")))
    server = zmqfuzz.target([sys.executable, str(ECHO), "router"], name="server")
    try:
        assert server.play(say).transcripts[0].received
        attached = zmqfuzz.target(connect=server.surface.address)
        trial = attached.play(say)
        assert trial.transcripts[0].received
        attached.check(trial)
        attached._living().close()
        assert server.play(say).transcripts[0].received, "what was attached to was not stopped"
    finally:
        server._living().close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    client = zmqfuzz.target(
        [sys.executable, "-m", "zmqfuzz.targets.examples.client", "--connect", "{endpoint}"],
        bind=f"tcp://127.0.0.1:{port}",
    )
    try:
        trial = client.play(Script((Connect(), Shake("ROUTER"), Expect("message"))))
        client.check(trial)
        assert trial.surface.side == "connect"
        assert trial.reached is Reached.TRAFFIC
    finally:
        client._living().close()
