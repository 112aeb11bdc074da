"""Runs of two builds of a program: compared with each other, and joined to what an audit of its sources says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVER = """\
import sys, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.linger = 0
socket.bind(sys.argv[1])
while True:
    socket.send_multipart(socket.recv_multipart())
"""
RUN = ("run", "--only", "oversized-frame", "--max-frame", "4KiB", "--for", "15s", "--stop-after", "1", "--seed", "1")


def zmqfuzz(folder: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "zmqfuzz", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compared")
    (made / "server.py").write_text(SERVER)
    code, said = zmqfuzz(made, *RUN, "--", sys.executable, "server.py", "{endpoint}")
    assert code == 1, said
    return made


@pytest.mark.slow
def test_an_audit_of_sources_is_joined_to_the_stored_run(folder: Path, tmp_path: Path) -> None:
    (name,) = [path.name for path in (folder / ".zmqfuzz/findings").iterdir() if path.name.startswith("ZF201")]
    _, said = zmqfuzz(folder, "audit", "server.py")
    assert "ZF603  INFO  likely  ROUTER" in said
    assert f"confirmed by finding {name}" in said
    (tmp_path / "server.py").write_text(SERVER)  # another program of that name: the run says nothing about it
    _, said = zmqfuzz(tmp_path, "audit", "server.py", "--store", str(folder / ".zmqfuzz"))
    assert "ZF603  INFO  likely  ROUTER" in said
    assert "ZF201" not in said


@pytest.mark.slow
def test_two_builds_are_compared_verdict_by_verdict(folder: Path) -> None:
    (first,) = [path.name for path in (folder / ".zmqfuzz/runs").iterdir()]
    (folder / "new.py").write_text(SERVER.replace("linger = 0", "linger, socket.maxmsgsize = 0, 4096"))
    code, said = zmqfuzz(folder, *RUN, "--", sys.executable, "new.py", "{endpoint}")
    assert "ZF201" not in said.partition("held")[0], said
    newest = max(path.name for path in (folder / ".zmqfuzz/runs").iterdir())
    code, said = zmqfuzz(folder, "report", "diff", first, newest)
    assert code == 0
    assert "verdict: ZF201 violated before, held now" in said
    assert "not the same suite" not in said
    code, said = zmqfuzz(folder, "report", "diff", newest, first)
    assert code == 1
    assert "verdict: ZF201 held before, violated now" in said
