"""The folder of a campaign: ``events.jsonl``, its journal and event stream; ``status.json``; the slices that go on.

Contract: the journal is the truth, and has one writer, who holds its lock. Each slice writes a file of its own; its
records are carried over into the journal, and what they bring (a finding, a corpus entry) is kept before the record is.
So after any end the same records are carried over again from where the journal stops, and none of them counts twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zmqfuzz.budget import MIB
from zmqfuzz.campaign.corpus import Corpus
from zmqfuzz.errors import UsageError
from zmqfuzz.overnight.entries import Pool
from zmqfuzz.overnight.lines import Lines, Tail, read_lines
from zmqfuzz.overnight.tally import Tally
from zmqfuzz.reports.shelf import TRIALS, write_whole

__all__ = ["JOURNAL", "STATUS", "Ledger", "check_name", "set_aside"]

JOURNAL, STATUS, SLICES = "events.jsonl", "status.json", "slices"

FORMAT = 1

_HEAVY = {"found": ("files",), "learned": ("name", "text"), "trials": ("z",)}
"""What a record brings, and the journal does not keep: it is in the findings, in the corpus, or beside the journal."""

MOST_TRIALS = 32 * MIB
"""Octets of trials that a campaign keeps, to be judged again; half of them for what is behind findings."""


def check_name(name: str) -> str:
    """The name of a campaign, which is that of its folder. Raises UsageError."""
    good = all(char.isascii() and (char.isalnum() or char in "._-") for char in name)
    if not good or not name or not name[0].isalnum() or len(name) > 64:
        raise UsageError(f"{name!a} cannot name a campaign; use up to 64 letters, digits, dots and dashes.")
    return name


def set_aside(folder: Path) -> Path | None:
    """Move a campaign out of the way; where to, or None: there was none. Raises OSError."""
    if not (folder / JOURNAL).exists():
        return None
    aside = folder.with_name(f"{folder.name}.before-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}")
    os.rename(folder, aside)
    return aside


class Ledger:
    """Opens or begins a campaign. ``said``: what was found torn. Raises UsageError, OSError."""

    def __init__(self, folder: Path, store: Path, target: str, description: Mapping[str, Any]) -> None:
        self.folder = folder
        self.store = store
        self.tally = Tally()
        self._findings = Corpus(store)
        self.pool = Pool(store, target)
        self._tails: dict[int, Tail] = {}
        self._trials: Lines | None = None
        (folder / SLICES).mkdir(parents=True, exist_ok=True)
        if not (store / ".gitignore").exists():
            write_whole(store / ".gitignore", "*\n")
        self._lines = Lines(folder / JOURNAL)
        try:
            records, said = read_lines(folder / JOURNAL)
            self.said = [*self._lines.said, *said]
            for record in records:
                self.tally.take(record)
            self._same(target, description)
        except BaseException:
            self._lines.close()
            raise
        for leftover in folder.glob(f".{STATUS}.*.tmp"):
            leftover.unlink(missing_ok=True)
        self.tally.elapsed = max(self.tally.elapsed, self._elapsed_before())

    def _same(self, target: str, description: Mapping[str, Any]) -> None:
        begun = self.tally.begun
        if not begun:
            return
        if begun.get("format", FORMAT) > FORMAT:
            raise UsageError(f"{self.folder}: a newer zmqfuzz wrote it (format {begun['format']}); upgrade zmqfuzz.")
        for key in ("command", "connect", "bind", "cwd"):
            before, now = begun.get("description", {}).get(key), json.loads(json.dumps(description.get(key)))
            if before != now:
                raise UsageError(
                    f"The campaign {self.folder.name} was begun with another {key} ({before!a}); "
                    "give that, choose another name, or begin anew with --fresh."
                )

    def _elapsed_before(self) -> float:
        try:
            return float(json.loads((self.folder / STATUS).read_bytes()).get("elapsed", 0.0))
        except (OSError, ValueError, AttributeError):
            return 0.0

    # writing

    def write(self, event: str, **values: Any) -> None:
        """A record of the campaign's own. Raises OSError."""
        self._take({"event": event, **values}, self.tally.elapsed)

    def _take(self, record: dict[str, Any], elapsed: float) -> None:
        record["elapsed"] = round(elapsed, 3)
        self._lines.append(record)
        self.tally.take(record)

    def status(self, plain: Mapping[str, Any]) -> None:
        """Replace status.json. Raises OSError."""
        write_whole(self.folder / STATUS, json.dumps(plain, indent=1) + "\n")

    def keep(self) -> None:
        """What was written survives the machine, too. Raises OSError."""
        self._lines.keep()

    def close(self) -> None:
        """Let another process open it."""
        self._lines.close()
        if self._trials is not None:
            self._trials.close()

    # slices

    def file(self, number: int) -> Path:
        """Where the slice ``number`` writes."""
        return self.folder / SLICES / f"{number:06}.jsonl"

    def follow(self, number: int) -> Iterator[dict[str, Any]]:
        """Carry over what the slice has written since the last call. Raises OSError, UsageError."""
        if number not in self._tails:
            self._tails[number] = Tail(self.file(number), skip=self.tally.lines[number])
        for record in self._tails[number].read():
            self.carry(number, record)
            yield record

    def carry(self, number: int, record: Mapping[str, Any]) -> None:
        """Keep what one record of a slice brings, and the record. Raises OSError, UsageError."""
        if record["event"] == "found":
            self._findings.put(record["finding"]["id"], record["files"])
        if record["event"] == "learned" and "name" in record:
            self.pool.put(record["name"], record["text"])
        if record["event"] == "trials":
            self._put_trials(record)
        heavy = _HEAVY.get(record["event"], ())
        light = {key: value for key, value in record.items() if key not in heavy}
        self._take({**light, "slice": number}, self.tally.elapsed)

    @property
    def trials(self) -> Path:
        """The file of what can be judged again; there may be none."""
        return self.folder / TRIALS

    def _put_trials(self, record: Mapping[str, Any]) -> None:
        """Twice, after a kill, does no harm: whoever reads them takes each once."""
        if self._trials is None:
            self._trials = Lines(self.trials)
        room = MOST_TRIALS if record["found"] else MOST_TRIALS // 2
        if self.trials.stat().st_size + len(record["z"]) <= room:
            self._trials.append({"event": "trials", "z": record["z"]})

    def over(self, number: int, **values: Any) -> None:
        """A slice has ended, however; its file is not needed any more. Raises OSError, UsageError."""
        for _ in self.follow(number):
            pass
        self.write("slice-over", slice=number, **values)
        self._tails.pop(number, None)
        self.file(number).unlink(missing_ok=True)
        self.file(number).with_name(f"{self.file(number).name}.torn").unlink(missing_ok=True)

    def recover(self) -> list[str]:
        """Carry over what slices wrote that nobody followed to their end; sentences about it. Raises OSError."""
        said = []
        for number in sorted(self.tally.open):
            if self.file(number).exists():
                last = Lines(self.file(number), patience=30.0)  # its worker may still be cleaning up
                said += last.said
                last.close()
            self.over(number, died=True)
        for path in (self.folder / SLICES).glob("*.jsonl"):
            path.unlink()  # of slices that are over
        return said
