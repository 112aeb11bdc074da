"""Campaigns as users start them: real processes, which tests may kill with all that they started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

MARK = "ZMQFUZZ_TEST_MARK"

Started = Callable[..., "Campaign"]


class Campaign:
    """One process of a campaign in ``folder``, in a session of its own; all that it starts bears a mark."""

    def __init__(self, folder: Path, words: tuple[str, ...], mark: str, **popen: Any) -> None:
        self.folder, self.mark = folder, mark
        self.log = folder / f"log-{uuid.uuid4().hex[:6]}"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zmqfuzz", "campaign", *words],
                cwd=folder,
                env={**os.environ, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **popen,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def ended(self, within: float = 600.0) -> int:
        """The exit code; there was no traceback."""
        code = self.process.wait(within)
        assert "Traceback" not in self.text, self.text
        return code

    def until(self, true: Callable[[], object], within: float = 300.0) -> None:
        """Wait for ``true`` while the campaign goes on."""
        deadline = time.monotonic() + within
        while not true():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """The processes that play, children of this one."""
        found = []
        for child in children(self.process.pid):
            if b"spawn_main" in command_line(child):
                found.append(child)
        return found

    def kill(self) -> None:
        """SIGKILL the process, and wait until its workers and their targets have ended by themselves."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.gone()

    def gone(self) -> bool:
        """Whether all that it started has ended, too: at once or while it is waited for."""
        deadline = time.monotonic() + 30.0
        while marked(self.mark) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not marked(self.mark)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def marked(mark: str) -> list[int]:
    """Living processes with the mark in their environment."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if mark.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found


def journal(folder: Path, name: str) -> list[dict[str, Any]]:
    """All records of a campaign; a line that is being written, or that a kill tore, is none yet."""
    file = folder / ".zmqfuzz" / "campaigns" / name / "events.jsonl"
    return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Started]:
    """``campaign(*words)`` starts one in the test's folder; nothing of it outlives the test."""
    mark = f"zf-{uuid.uuid4().hex}"
    made: list[Campaign] = []

    def start(*words: str, **popen: Any) -> Campaign:
        made.append(Campaign(tmp_path, words, mark, **popen))
        return made[-1]

    yield start
    end_marked(mark, made)


def end_marked(mark: str, made: list[Campaign]) -> None:
    """Kill what is left of campaigns."""
    for pid in marked(mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for one in made:
        one.process.wait()
