"""What a suite adds to its run: notes and files, under ``runs/`` of the store, made when the first is written.

Contract: nothing is written before it is asked for, and never outside of the run's folder.
"""

from __future__ import annotations

import datetime
import json
import os
import re
from pathlib import Path

from zmqfuzz.errors import UsageError

__all__ = ["RunNotes"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunNotes:
    """One pytest session, or one worker of it: ``store`` is where findings are kept, ``seed`` what choices follow."""

    def __init__(self, store: Path, seed: int, worker: str = "") -> None:
        self.store = store
        self.seed = seed
        self._began = datetime.datetime.now(datetime.UTC)
        self._name = "-".join(filter(None, ("pytest", str(os.getpid()), worker)))
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The run's own folder; made by asking for it. Raises UsageError: it cannot be."""
        from zmqfuzz.reports.shelf import new_folder

        try:
            self._folder = self._folder or new_folder(self.store, self._name, self._began)
        except OSError as error:
            raise UsageError(f"Cannot write {error.filename}: {error.strerror}; choose --zmqfuzz-store.") from error
        return self._folder

    def note(self, text: str) -> None:
        """Add a line to ``notes.jsonl``: the time, the test, the text. Raises UsageError."""
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with open(self.folder / "notes.jsonl", "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps({"at": at, "test": test, "note": text}) + "\n")

    def attach(self, name: str, octets: bytes) -> Path:
        """Keep ``octets`` as a file called ``name``, in place of one that has it; the file. Raises UsageError."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!a} cannot name a file of a run; use letters, digits, '.', '_' and '-'.")
        file = self.folder / name
        file.write_bytes(octets)
        return file
