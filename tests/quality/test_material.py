"""What a user gives reaches deeper: a defect behind a command that nobody would guess, by seeds and by a strategy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = """
import sys

import zmq

with zmq.Context() as context, context.socket(zmq.REP) as socket:
    socket.bind(sys.argv[1])
    while True:
        frames = socket.recv_multipart()
        if frames[0] == b"calibrate-7" and len(frames) == 2:
            int(frames[1])
        socket.send(b"ok")
"""
SUITE = """
import sys

from hypothesis import strategies as st

import zmqfuzz

commands = st.tuples(st.just(b"calibrate-7"), st.binary(max_size=4))
server = zmqfuzz.target([sys.executable, "server.py", "{endpoint}"], payloads=commands)
missing = zmqfuzz.target([sys.executable, "server.py", "{endpoint}"], seeds="nowhere")
wrong = zmqfuzz.target([sys.executable, "server.py", "{endpoint}"], payloads=st.just("text"))


@server.parametrize(families="application-payload")
def test_by_strategy(attack):
    attack.run(stop_after=1)


@missing.parametrize(families="application-payload")
def test_missing(attack):
    attack.run()


@wrong.parametrize(families="application-payload")
def test_wrong(attack):
    attack.run()


def test_no_strategy():
    zmqfuzz.target(["x"], payloads=[b"x"])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "recorded.jsonl").write_text('["calibrate-7", "12"]\n')
    (tmp_path / "test_server.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.mark.slow
def test_by_the_command_line(folder: Path) -> None:
    words = ["run", "--only", "application-payload", "--for", "30s", "--stop-after", "1", "--seed", "4"]
    server = ["--", sys.executable, "server.py", "{endpoint}"]
    found = zmqfuzz(folder, *words, "--seeds", "recorded.jsonl", *server)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "ZF101" in found.stdout
    assert "ValueError" in found.stdout
    missing = zmqfuzz(folder, *words, "--seeds", "nowhere", *server)
    assert missing.returncode == 2
    assert "The seeds cannot be read: nowhere: No such file" in missing.stderr


def zmqfuzz(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zmqfuzz", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_in_a_suite(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--zmqfuzz-budget=20s", "--zmqfuzz-seed=3"], cwd=folder, capture_output=True, text=True, timeout=400
    )
    out = done.stdout + done.stderr
    assert "FAILED test_server.py::test_by_strategy[application-payload] - ZF101" in out, out
    assert re.search(r"zmqfuzz: The seeds cannot be read: .*nowhere: No such file", out), out
    assert "zmqfuzz: payloads= gave 'text'; give bytes (one frame), or a list of bytes." in out, out
    assert "payloads= is list; give a Hypothesis strategy" in out, out
