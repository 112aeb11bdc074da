"""Listeners that only the kernel and the wire show: each code from both sides, on real sockets without our shim."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from zmqfuzz.audit.outer import OUTER_CODES, Outer, lines_from_outside
from zmqfuzz.outside import look_at
from zmqfuzz.sockets import listening

PROGRAM = """
import os, resource, sys, zmq
os.umask(0)
weak, folder = sys.argv[1] == "weak", sys.argv[2]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256 if weak else 4096, hard))
c = zmq.Context()
door, shared = c.socket(zmq.PUSH), c.socket(zmq.PULL)
if not weak:
    door.maxmsgsize, door.tcp_keepalive = 4096, 1
    os.umask(0o77)
door.bind("tcp://0.0.0.0:*" if weak else "tcp://127.0.0.1:*")
shared.bind(f"ipc://{folder}/shared")
print("bound", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["weak", "hardened"])
def program(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        Path(folder).chmod(0o755)
        words = [sys.executable, "-c", PROGRAM, request.param, folder]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            assert running.stdin is not None
            assert running.stdout.readline() == b"bound\n"
            yield request.param, running.pid
            running.stdin.close()


def test_a_program_in_any_language_is_judged_from_outside(program: tuple[str, int]) -> None:
    form, pid = program
    measured = trio.run(look_at, listening((pid,)), (pid,), 0.5)
    lines = lines_from_outside(each.seen for each in measured)
    told = {line.code for line in lines if line.severity != "info"}
    if form == "hardened":
        assert told == set()
        return
    assert told == {"ZF601", "ZF603", "ZF623", "ZF635"}
    codes = {line.code for line in lines}
    assert "ZF617" in codes
    assert "ZF609" in codes or next(each for each in measured if "tcp" in each.seen.bound).seen.keepalive is None


def test_what_was_not_measured_is_not_told() -> None:
    assert lines_from_outside([Outer("tcp://0.0.0.0:80", "httpd")]) == []
    late = Outer("tcp://127.0.0.1:5", "p", "PULL", "NULL", waited=40.0)
    assert [line.code for line in lines_from_outside([late])] == ["ZF607"]
    assert lines_from_outside([Outer("tcp://127.0.0.1:5", "p", "PULL", "NULL", waited=30.0)]) == []
    assert lines_from_outside([Outer("tcp://127.0.0.1:5", "p", "PULL", "NULL", waited=40.0, cut=30.1)]) == []
    assert "ZF607" in OUTER_CODES
