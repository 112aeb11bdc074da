"""The event stream of a run: JSON lines, each written whole the moment it is there, so that a kill costs the last one.

A line that cannot be written (a full disk) waits, and is written before the next one where that is possible again.
Reading skips what is torn, and says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.text import printable

__all__ = ["Journal", "read_journal"]


class Journal:
    """Appends to ``path``, which is made. Raises OSError from :meth:`__init__` only."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._waiting: list[bytes] = []
        self._torn = False

    def write(self, event: Mapping[str, Any]) -> OSError | None:
        """One line; the error, if it could not be written and waits."""
        self._waiting.append(json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n")
        while self._waiting:
            line = (b"\n" if self._torn else b"") + self._waiting[0]
            try:
                written = os.write(self._file, line)
            except OSError as error:
                return error
            self._torn = written < len(line)
            if not self._torn:
                del self._waiting[0]
        return None

    def close(self) -> None:
        """No more lines."""
        os.close(self._file)


def read_journal(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The events, and a sentence for each line that is torn or no event. Raises OSError."""
    events, said = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
        else:
            said.append(f"{printable(str(path))}:{number}: this line is torn or no event; it was skipped")
    return events, said
