"""Corpus entries: attacks that were the first to show something, or the best in an objective; a ``.zft`` file each.

They are below ``corpus/TARGET/FAMILY/`` and named by what they hold, so folders of several machines are merged by
copying. What cannot be read is set aside as ``*.damaged``, with a sentence.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.novelty import Learned
from zmqfuzz.campaign.plain import attack_from_lines, attack_to_lines
from zmqfuzz.campaign.text import printable
from zmqfuzz.errors import UsageError
from zmqfuzz.reports.shelf import write_whole
from zmqfuzz.script import Attack

__all__ = ["Entry", "Pool", "entry_lines", "needed"]

LARGEST = 256 * 1024
"""Octets of an entry; what is larger is not kept."""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: what was seen with it at ``door``. ``size`` of its file in octets."""

    path: Path
    door: str
    attack: Attack
    cells: frozenset[str]
    best: Mapping[str, float]
    size: int


def entry_lines(learned: Learned) -> dict[str, Any]:
    """``name`` and ``text`` of the entry's file; nothing where it would be too large, or the target ended."""
    attack = learned.attack
    if not attack.scripts or not learned.lived:
        return {}
    header = {"door": learned.surface.key, "cells": [*learned.cells], "best": dict(learned.best)}
    body = "\n".join(attack_to_lines(attack, {}))
    text = "\n".join(attack_to_lines(attack, header)) + "\n"
    if len(text) > LARGEST:
        return {}
    name = hashlib.sha256(f"{learned.surface.key}\n{body}".encode()).hexdigest()[:16]
    return {"name": f"{_fit(attack.strategy)}/{name}.zft", "text": text}


def _fit(text: str) -> str:
    return _UNFIT.sub("-", text).strip("-.")[:60] or "unnamed"


class Pool:
    """The entries for one target below ``store``; ``said``: what was set aside."""

    def __init__(self, store: Path, target: str) -> None:
        self.folder = store / "corpus" / _fit(target)
        self.said: list[str] = []

    def put(self, name: str, text: str) -> None:
        """Keep an entry as :func:`entry_lines` made it. Raises OSError."""
        family, _, file = name.partition("/")
        if _fit(family) != family or not re.fullmatch(r"[0-9a-f]{16}\.zft", file):
            raise UsageError(f"{name!a} cannot name a corpus entry; leave it out.")
        path = self.folder / family / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)

    def count(self) -> int:
        """How many there are, also such as cannot be read."""
        return sum(1 for _ in self.folder.glob("*/*.zft"))

    def entries(self) -> list[Entry]:
        """All that can be read, in the order of their names."""
        found = []
        for path in sorted(self.folder.glob("*/*.zft")):
            try:
                found.append(_read(path))
            except (UsageError, OSError, UnicodeDecodeError) as error:
                self._aside(path, error)
        return found

    def _aside(self, path: Path, error: Exception) -> None:
        sentence = printable(str(error)) if isinstance(error, UsageError) else f"{path} cannot be read"
        try:
            os.replace(path, path.with_name(f"{path.name}.damaged"))
        except OSError:
            self.said.append(f"a corpus entry was left out: {sentence}")
        else:
            self.said.append(f"a corpus entry was set aside as {path.name}.damaged: {sentence}")


def _read(path: Path) -> Entry:
    text = path.read_text("utf-8")
    attack, header = attack_from_lines(text.split("\n"), source=str(path))
    door, cells, best = header.get("door"), header.get("cells", []), header.get("best", {})
    good = isinstance(door, str) and isinstance(cells, list) and isinstance(best, dict)
    if not good or not all(isinstance(value, int | float) for value in best.values()):
        raise UsageError(f"{path}:1: this line does not say what the entry is for; delete the file.")
    return Entry(path, str(door), attack, frozenset(map(str, cells)), best, len(text))


def needed(entries: Iterable[Entry]) -> list[Entry]:
    """Small entries that show every cell together, and the best of each objective at each door."""
    order = sorted(entries, key=lambda entry: (entry.size, entry.path.name))
    best: dict[tuple[str, str], Entry] = {}
    for entry in order:
        for name, value in entry.best.items():
            if (entry.door, name) not in best or value > best[(entry.door, name)].best[name]:
                best[(entry.door, name)] = entry
    leads = {entry.path for entry in best.values()}
    shown = Counter(cell for entry in order for cell in entry.cells)
    kept = []
    for entry in reversed(order):  # the largest first: others may show the same
        if entry.path in leads or any(shown[cell] == 1 for cell in entry.cells):
            kept.append(entry)
        else:
            shown.subtract(entry.cells)
    return kept
