"""Where runs are kept: a folder each under ``.zmqfuzz/runs/``, named by UTC time and target, so that names sort by age.

``events.jsonl`` is written as the run goes, ``run.json`` at its end. A run without ``run.json`` was killed, or goes on.
``trials.jsonl`` has what can be judged again; the newest runs have it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.text import printable
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.journal import read_journal
from zmqfuzz.reports.record import FORMAT, Run, build

__all__ = ["EVENTS", "OUTCOME", "TRIALS", "Shelf", "new_folder", "read_run", "write_whole"]

EVENTS, OUTCOME, TRIALS = "events.jsonl", "run.json", "trials.jsonl"

WITH_TRIALS = 20
"""Runs that keep what can be judged again; of older ones the reports are kept."""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def new_folder(store: Path, target: str, now: datetime | None = None) -> Path:
    """Make the folder of a run that begins; git leaves ``store`` alone. Raises OSError."""
    time = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    name = f"{time}-{_UNFIT.sub('-', target).strip('-.')[:60] or 'target'}"
    shelf = store / "runs"
    shelf.mkdir(parents=True, exist_ok=True)
    for old in sorted(shelf.glob(f"*/{TRIALS}"))[: 1 - WITH_TRIALS]:
        old.unlink(missing_ok=True)
    if not (store / ".gitignore").exists():
        write_whole(store / ".gitignore", "*\n")
    for number in range(1, 1000):
        folder = shelf / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"there are a thousand runs called {name}")


def write_whole(file: Path, text: str) -> None:
    """A reader sees the old file or the whole new one. Raises OSError."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        os.replace(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class Shelf:
    """The runs under ``store``, which is the ``.zmqfuzz`` folder itself."""

    def __init__(self, store: Path) -> None:
        self._runs = store / "runs"

    def names(self) -> list[str]:
        """Oldest first."""
        try:
            return sorted(path.name for path in self._runs.iterdir() if (path / EVENTS).is_file())
        except OSError:
            return []

    def folder(self, run: str = "") -> Path:
        """Of a run: by name, the unique beginning of one, or a path; empty: the newest. Raises UsageError."""
        names = self.names()
        if run and (Path(run) / EVENTS).is_file():
            return Path(run)
        matches = [name for name in names if name.startswith(run)]
        if run in matches or len(matches) == 1 or (matches and not run):
            return self._runs / (run if run in matches else matches[-1])
        if matches:
            raise UsageError(f"{run!a} is the beginning of {', '.join(matches[-5:])}; write more of the one you mean.")
        if not names:
            raise UsageError(f"There is no run in {self._runs} yet; run `zmqfuzz run` first.")
        raise UsageError(f"There is no run {run!a} in {self._runs}; the newest is {names[-1]}.")

    def before(self, run: Run) -> Run | None:
        """The newest run of the same target that is older and came to its end."""
        for name in reversed([name for name in self.names() if name < run.name]):
            try:
                older = read_run(self._runs / name)
            except UsageError:
                continue
            if older.started.target == run.started.target and older.outcome.complete and not older.outcome.error:
                return older
        return None


def read_run(folder: Path) -> Run:
    """A stored run. Raises UsageError: nothing of it can be read, or a newer zmqfuzz wrote it."""
    try:
        events, said = read_journal(folder / EVENTS)
    except OSError as error:
        raise UsageError(
            f"{folder} is no run that can be read ({error.strerror}); give one of .zmqfuzz/runs."
        ) from None
    for event in events[:1]:
        if isinstance(event.get("format"), int) and event["format"] > FORMAT:
            raise UsageError(f"{folder}: a newer zmqfuzz wrote it (format {event['format']}); upgrade zmqfuzz.")
    plain: Mapping[str, Any] | None = None
    file = folder / OUTCOME
    if file.is_file():
        try:
            plain = json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            said.append(f"{printable(str(file))}: cannot be read; what the events tell is used")
    return build(folder.resolve().name, events, plain, said)
