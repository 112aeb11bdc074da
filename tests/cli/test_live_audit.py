"""``zmqfuzz audit -- COMMAND``: real programs, watched; forms of output, exit codes, the document and its drift."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.sarif_shape import check
from zmqfuzz.cli.commands import cli
from zmqfuzz.cli.exits import guarded

PROGRAM = """\
import sys, zmq
def listen(context, host):
    socket = context.socket(zmq.PULL)
    socket.bind(f"tcp://{host}:*")
    return socket
context = zmq.Context()
socket = listen(context, "127.0.0.1")
other = context.socket(zmq.PUB)
other.set_hwm(0)  # zmqfuzz: ignore[ZF605] one reader, which is fast
other.bind("inproc://here")
second = context.socket(zmq.REP)
second.linger, second.maxmsgsize = 0, int(sys.argv[1])
second.bind("tcp://127.0.0.1:*")
context.destroy(linger=0)
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command with these words, in a folder with the program: exit code, output, errors."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, program: tuple[str, ...] = (sys.executable, "program.py", "64")) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["zmqfuzz", "audit", *words, "--", *program])
        assert isinstance(cli, click.Command)
        code = guarded(cli)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_sockets_of_a_run_are_listed_with_their_lines_and_options(audit: Command) -> None:
    code, out, _ = audit("--fail-on", "medium")
    assert code == 0  # what others on this machine can reach is info
    assert re.search(r"^program\.py:4:1  ZF603  INFO  seen  PULL  tcp://127\.0\.0\.1:\d+$", out, re.MULTILINE)
    assert re.search(r"  program\.py:4  PULL bind  tcp://127\.0\.0\.1:\d+\n      MAXMSGSIZE=-1 SNDHWM=1000", out)
    assert re.search(r"  program\.py:13  REP bind  tcp://127\.0\.0\.1:\d+\n +MAXMSGSIZE=64 .*LINGER=0", out)
    assert "inproc (PUB)" in out
    assert "suppressed: 1 finding, each with a reason" in out
    assert "Seen at run time: 3 sockets in 1 process with pyzmq" in out


def test_sources_and_the_run_are_brought_together(audit: Command, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace('listen(context, "127', "listen(context, *sys.argv[2:]) #"))
    code, out, _ = audit(
        "program.py", "--sarif", "a.sarif", "--json", program=(sys.executable, "program.py", "64", "*")
    )
    found = json.loads(out)
    (wild,) = (one for one in found["findings"] if one["code"] == "ZF601")
    assert code == 1
    assert (wild["line"], wild["certainty"], wild["evidence"]) == (4, "seen", "confirmed: seen at run time")
    assert {one["type"] for one in found["sockets_seen"]} == {"PULL", "PUB", "REP"}
    log = json.loads((tmp_path / "a.sarif").read_text())
    check(log)
    result = next(one for one in log["runs"][0]["results"] if one["ruleId"] == "ZF601")
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("program.py", 4)


def test_the_document_is_stable_and_its_drift_fails(audit: Command, tmp_path: Path) -> None:
    assert audit("--check", "sockets.md")[0] == 2  # not written yet
    assert audit("--write", "sockets.md")[0] == 0
    text = (tmp_path / "sockets.md").read_text()
    assert "## PULL bind `tcp://127.0.0.1:*`, program.py in listen\n" in text
    assert "| MAXMSGSIZE | -1 (default) | bounds one frame, in octets; -1: no limit | a frame of any size" in text
    assert "ZF605 accepted: one reader, which is fast" in text
    (tmp_path / "program.py").write_text("# A line more.\n" + PROGRAM)
    assert audit("--check", "sockets.md")[0] == 0
    code, _, err = audit("--check", "sockets.md", program=(sys.executable, "program.py", "65"))
    assert code == 1
    assert "sockets.md is not what is seen" in err
    assert "+| MAXMSGSIZE | 65 |" in err
    assert audit("--write", "x.md", "--static-only")[0] == 2


def test_a_program_without_pyzmq_is_seen_from_outside(audit: Command) -> None:
    listens = (
        "import zmq; c = zmq.Context(); s = c.socket(zmq.PULL); s.maxmsgsize = 1024; s.handshake_ivl = 300; "
        "s.tcp_keepalive = 1; s.bind('tcp://127.0.0.1:*'); s.recv()"
    )
    code, out, _ = audit("--for", "1s", program=(sys.executable, "-I", "-c", listens))
    assert code == 3
    assert "No Python process of it took our PYTHONPATH" in out
    assert "ZF603" not in out  # it has a limit
    assert "PULL, ZMTP 3.1, mechanism NULL." in out
    assert "the largest frame that it takes is 1,024 octets (MAXMSGSIZE)." in out
    assert re.search(r"a peer that says nothing is cut after [\d.]+ s", out)
    assert "SO_KEEPALIVE=1" in out or "the kernel's options" not in out  # where the kernel lets us look


def test_a_program_that_ends_or_does_not_start_is_told(audit: Command) -> None:
    code, out, _ = audit(program=(sys.executable, "-c", "raise SystemExit('no\\x1b[2J configuration')"))
    assert code == 3
    assert "It said: no\\x1b[2J configuration" in out
    code, _, err = audit(program=("there-is-no-such-program",))
    assert code == 4
    assert "was not found" in err


SERVER = """\
import zmq
socket = zmq.Context().socket(zmq.REP)
socket.linger, socket.maxmsgsize = 0, 4096
socket.bind("tcp://127.0.0.1:%d")
while True:
    socket.send(socket.recv())
"""
CLIENT = """\
import zmq
socket = zmq.Context().socket(zmq.REQ)
socket.linger, socket.rcvtimeo = 0, 5000
%s
socket.connect("tcp://localhost:%d")
while True:
    socket.send(b"?")
    socket.recv()
"""


@pytest.mark.parametrize(("line", "told"), [("", True), ("socket.maxmsgsize = 4096", False)], ids=["weak", "hardened"])
def test_what_only_one_of_two_programs_has_is_told_at_the_line_of_the_other(
    audit: Command, tmp_path: Path, line: str, told: bool
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "server.py").write_text(SERVER % port)
    (tmp_path / "client.py").write_text(CLIENT % (line, port))
    beside = f"{sys.executable} client.py"
    _, out, _ = audit("--for", "2s", "--beside", beside, program=(sys.executable, "server.py"))
    assert "2 sockets in 2 processes with pyzmq" in out
    assert ("client.py:5:1  ZF645" in out) is told
    assert f"It listens on tcp://127.0.0.1:{port}" in out
    assert "bound at server.py:4." in out


def test_a_listener_that_no_recorded_socket_opened_is_told_and_measured(audit: Command) -> None:
    inner = "import zmq; s = zmq.Context().socket(zmq.PULL); s.bind('tcp://127.0.0.1:*'); s.recv()"
    program = (
        "import subprocess, sys, zmq; s = zmq.Context().socket(zmq.REP); s.bind('tcp://127.0.0.1:*'); "
        f"subprocess.Popen([sys.executable, '-I', '-c', {inner!r}]); s.recv()"
    )
    _, out, _ = audit("--for", "2s", program=(sys.executable, "-c", program))
    assert "bound by no socket that was recorded" in out
    assert re.search(r"^<python\S*>  ZF603  INFO  seen  PULL  tcp://127\.0\.0\.1:\d+$", out, re.MULTILINE)
