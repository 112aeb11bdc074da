"""Append-only files of JSON lines that are whole at any moment: killed, interrupted, or with the disk full.

Contract: one writer a file, who holds its lock. A line is written with one call; what a full disk left of one is cut
off again, and the error is raised. What a kill left of one is set aside when the file is opened next, with a sentence.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.text import printable
from zmqfuzz.errors import UsageError

__all__ = ["Lines", "Tail", "read_lines"]

_BLOCK = 1 << 16


class Lines:
    """Appends to ``path``, which is made; ``said``: what was set aside. Raises OSError, and UsageError: it is in use.

    ``patience``: seconds to wait for another writer to end.
    """

    def __init__(self, path: Path, *, patience: float = 0.0) -> None:
        self.path = path
        self.said: list[str] = []
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(patience)
            self._heal()
        except BaseException:
            os.close(self._file)
            raise

    def _lock(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{self.path} is being written by another zmqfuzz; wait for its end, or choose another name."
                    ) from None
                time.sleep(0.05)

    def _heal(self) -> None:
        end = size = os.fstat(self._file).st_size
        while end and (start := max(0, end - _BLOCK)) >= 0:
            found = os.pread(self._file, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end == size:
            return
        aside = self.path.with_name(f"{self.path.name}.torn")
        with aside.open("ab") as file:
            file.write(os.pread(self._file, size - end, end) + b"\n")
        os.ftruncate(self._file, end)
        self.said.append(f"{printable(str(self.path))}: the last line was torn; it was set aside in {aside.name}")

    def append(self, record: Mapping[str, Any]) -> None:
        """One line. Raises OSError: it could not be written whole, and nothing of it is there."""
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        before = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, line)
            while written < len(line):  # a full disk takes a part, and raises at the next one
                written += os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, before)
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def keep(self) -> None:
        """What was written survives the machine, too."""
        os.fsync(self._file)

    def close(self) -> None:
        """No more lines; another may write."""
        os.close(self._file)


class Tail:
    """Reads whole lines of a file that grows."""

    def __init__(self, path: Path, *, skip: int = 0) -> None:
        self._path = path
        self._offset = 0
        self._skip = skip
        self.said: list[str] = []

    def read(self) -> Iterator[dict[str, Any]]:
        """The records since the last call; what is no record is skipped, with a sentence. Raises OSError."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                octets = file.read()
        except FileNotFoundError:
            return
        whole = octets.rfind(b"\n") + 1
        self._offset += whole
        for line in octets[:whole].split(b"\n")[:-1]:
            if self._skip:
                self._skip -= 1
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict) and isinstance(record.get("event"), str):
                yield record
            else:
                self.said.append(f"{printable(str(self._path))}: a line is damaged; it was skipped")
                yield {"event": "damaged"}


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """All records of a file, and what was said of it. Raises OSError."""
    tail = Tail(path)
    return [record for record in tail.read() if record["event"] != "damaged"], tail.said
