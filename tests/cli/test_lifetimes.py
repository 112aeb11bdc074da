"""However zmqfuzz ends, nothing that it started survives: not a child, not a grandchild in its own session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

# Forks a child, and a grandchild whose parent is gone, in a session of its own; the mark is in all command lines.
TARGET = """
import os, subprocess, sys, zmq
mark = sys.argv[1]
sleeper = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)", mark]
subprocess.Popen(sleeper)
if os.fork() == 0:
    os.setsid()
    subprocess.Popen(sleeper)
    os._exit(0)
os.wait()
sink = zmq.Context().socket(zmq.PULL)
sink.bind("tcp://127.0.0.1:*")
while True:
    sink.recv_multipart()
"""


@pytest.fixture
def mark() -> Iterator[str]:
    word = f"zf-{uuid.uuid4().hex}"
    yield word
    for pid in marked(word):
        os.kill(pid, signal.SIGKILL)


def marked(word: str) -> set[int]:
    """Living processes with ``word`` in their command line."""
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if word.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                found.add(int(name))
        except OSError:
            continue
    return found


def until(
    true: bool, word: str, *, but: AbstractSet[int] = frozenset(), count: int = 1, within: float = 20.0
) -> set[int]:
    """The marked processes, once there are ``count`` (or, where not ``true``, none)."""
    deadline = time.monotonic() + within
    while True:
        found = marked(word) - but
        if (len(found) >= count) if true else not found:
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path: Path, mark: str) -> Iterator[subprocess.Popen[str]]:
    """zmqfuzz in the middle of a run: the target and its offspring live."""
    (tmp_path / "target.py").write_text(TARGET)
    command = [sys.executable, "-m", "zmqfuzz", "run", "--for", "60s", "--store", "store", "--"]
    command += [sys.executable, "target.py", mark]
    log = tmp_path / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as process,
    ):
        deadline = time.monotonic() + 20
        while "door" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(until(True, mark, but=_own(process, mark), count=3)) >= 3
        yield process
        process.kill()


def _own(process: subprocess.Popen[str], mark: str) -> set[int]:
    """zmqfuzz itself has the mark among its arguments, and so has the warden that it forks."""
    return {process.pid} | {pid for pid in marked(mark) if b"zmqfuzz" in Path(f"/proc/{pid}/cmdline").read_bytes()}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_an_interrupted_run_cleans_up_and_says_so(
    started: subprocess.Popen[str], mark: str, tmp_path: Path, how: signal.Signals
) -> None:
    started.send_signal(how)
    assert started.wait(10) == 130
    assert until(False, mark, within=1.0) == set()
    log = (tmp_path / "log").read_text()
    assert "Interrupted" in log
    assert "Traceback" not in log


def test_control_c_in_a_terminal_reaches_the_whole_group(started: subprocess.Popen[str], mark: str) -> None:
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(10) == 130
    assert until(False, mark, within=1.0) == set()


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.03])
def test_more_signals_do_not_leave_anything_either(started: subprocess.Popen[str], mark: str, pause: float) -> None:
    while started.poll() is None:
        started.send_signal(signal.SIGINT)
        time.sleep(pause)
    assert started.returncode in (130, -signal.SIGINT)
    assert until(False, mark, within=1.0) == set()


def test_after_sigkill_everything_is_gone_within_five_seconds(started: subprocess.Popen[str], mark: str) -> None:
    started.kill()
    started.wait(10)
    assert until(False, mark, within=5.0) == set()


def test_after_the_end_of_a_run_nothing_is_left(tmp_path: Path, mark: str) -> None:
    (tmp_path / "target.py").write_text(TARGET)
    command = [sys.executable, "-m", "zmqfuzz", "run", "--cases", "3", "--only", "malformed-greeting", "--"]
    done = subprocess.run([*command, sys.executable, "target.py", mark], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert marked(mark) == set()
