"""A crash that does not come each time: one more of several replays is enough, and it is told as rare."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOMETIMES = """
import os, sys, zmq
starts = open("starts", "a+")
starts.write("x")
starts.flush()
start = os.path.getsize("starts")
socket = zmq.Context().socket(zmq.PULL)
socket.linger = 0
socket.bind(sys.argv[1])
while True:
    if len(socket.recv_multipart()) > 1 and ({deadly}):
        os.abort()
"""


@pytest.mark.parametrize(
    "deadly",
    [
        pytest.param("start == 1 or start % 4 == 0", id="not at once", marks=pytest.mark.slow),
        pytest.param("start < 4 or start % 3 == 0", id="not in the end"),
    ],
)
def test_a_crash_of_some_processes_is_a_rare_finding(tmp_path: Path, deadly: str) -> None:
    program = tmp_path / "sometimes.py"
    program.write_text(SOMETIMES.format(deadly=deadly))
    command = [sys.executable, "-m", "zmqfuzz", "run", "--only", "malformed-message", "--cases", "30", "--for", "20s"]
    command += ["--stop-after", "1", "--store", "store", "--", sys.executable, "sometimes.py", "{endpoint}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    (file,) = tmp_path.glob("store/findings/*/finding.json")
    assert json.loads(file.read_text())["code"] == "ZF101"
    assert "rare: it does not crash each time" in done.stdout
    repeat = re.search(r"repeat +(\d)/(\d) on fresh processes", done.stdout)
    assert repeat is not None, done.stdout
    assert 0 < int(repeat[1]) < int(repeat[2])


@pytest.mark.slow
def test_a_public_crash_of_the_library_is_told_although_it_does_not_come_again(tmp_path: Path) -> None:
    """It ends the first process only, with the words that libzmq 4.3.5 says in issue 4841."""
    program = tmp_path / "once.py"
    said = 'os.write(2, b"Assertion failed: !_io_error (src/stream_engine_base.cpp:299)\\n")'
    program.write_text(SOMETIMES.format(deadly=f"start == 1 and {said}"))
    command = [sys.executable, "-m", "zmqfuzz", "run", "--only", "malformed-message", "--cases", "30", "--for", "20s"]
    command += ["--stop-after", "1", "--store", "store", "--", sys.executable, "once.py", "{endpoint}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    (file,) = tmp_path.glob("store/findings/*/finding.json")
    finding = json.loads(file.read_text())
    assert (finding["code"], finding["owner"]) == ("ZF101", "libzmq, known (issue 4841)")
    assert "seen once: the library itself said which public defect ended the process" in done.stdout
    assert "on fresh processes" not in done.stdout
