"""A campaign on a terminal draws, pauses, goes on, and ends with a report when told to; and it ends on a plateau."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.overnight.conftest import Started, journal

QUIET = ("--", sys.executable, "-m", "zmqfuzz.targets.examples.worker_crash", "--hardened", "--bind", "{endpoint}")
PLAY = ("--only", "malformed-greeting", "--slice", "3s", "--workers", "1", "--inconclusive", "pass")


class Terminal:
    """A campaign whose screen and keys are those of a terminal."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.shown = folder, b""
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
        command = [sys.executable, "-m", "zmqfuzz", "campaign", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def read(self) -> None:
        while select.select([self.master], [], [], 0.05)[0]:
            try:
                self.shown += os.read(self.master, 1 << 16)
            except OSError:  # the other side is closed
                return

    def until(self, true: Callable[[], object], within: float = 300.0) -> None:
        deadline = time.monotonic() + within
        while not true():
            self.read()
            assert time.monotonic() < deadline, self.shown[-3000:]
            assert self.process.poll() is None or true(), self.shown[-3000:]

    def status(self) -> dict[str, Any]:
        file = self.folder / ".zmqfuzz/campaigns/t/status.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}


@pytest.mark.slow
def test_a_terminal_shows_it_and_its_keys_pause_and_end_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "t", "--for", "10min", *PLAY, *QUIET)
    try:
        terminal.until(lambda: b"RUNNING" in terminal.shown and terminal.status().get("cases", 0) > 0)
        for words in (
            "zmqfuzz campaign t",
            "last new behaviour",
            "where the yield is",
            "malformed-greeting",
            "[p]ause",
        ):
            assert words.encode() in terminal.shown, words
        os.write(terminal.master, b"p")
        terminal.until(lambda: b"PAUSED" in terminal.shown)
        terminal.until(lambda: terminal.status()["state"] == "paused" and not terminal.status()["working"])
        before, now = terminal.status(), time.monotonic()
        terminal.until(lambda: time.monotonic() > now + 6.0)
        after = terminal.status()
        assert (after["cases"], after["spent"]) == (before["cases"], before["spent"]), "time does not count either"
        os.write(terminal.master, b"p")
        terminal.until(lambda: terminal.status()["cases"] > after["cases"])
        os.write(terminal.master, b"q")
        terminal.until(lambda: terminal.process.poll() is not None)
        terminal.read()
        assert terminal.process.returncode == 130
        assert b"resume: " in terminal.shown
        assert b"stored: .zmqfuzz/runs/" in terminal.shown
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.master)


@pytest.mark.slow
def test_it_stops_where_nothing_new_comes_and_the_same_command_is_another_night(
    campaign: Started, tmp_path: Path
) -> None:
    words = ("p", "--for", "10min", "--until-plateau", "12s", *PLAY, "--seed", "3", *QUIET)
    for night in (1, 2):
        one = campaign(*words)
        assert one.ended() == 0, one.text
        assert "(nothing new was seen for as long as --until-plateau says)" in one.text
        assert "HELD: " in one.text or "INCONCLUSIVE: " in one.text
        records = journal(tmp_path, "p")
        assert sum(record["event"] == "leg" for record in records) == night
        assert records[-1]["event"] == "over"
