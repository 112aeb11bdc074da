"""Configuration files beside the sources: their keys and values, line by line, whatever their form.

Contract: read as text, never loaded or executed; forms are TOML, YAML, JSON, INI and environment files, as far as a key
and its value stand on one line. A file that has nothing to do with ZeroMQ is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENDINGS", "Config", "Item", "read_config"]

ENDINGS = frozenset((".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".conf", ".env", ".properties"))

_LARGEST = 1 << 20
"""Octets; what is larger is data."""

_CONCERNS = re.compile(r"zmq|zeromq|0mq|\b(?:tcp|ipc|inproc|curve)://", re.IGNORECASE)
_PAIR = re.compile(
    r"""["']?(?P<key>[A-Za-z_][\w.\-]*)["']?\s*[:=]\s*(?!//)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;#{}\["'][^,#}]*|$)"""
)
_LISTED = re.compile(r"""^\s*(?:-\s*["']?|["'])(?P<value>[a-z][\w+:.-]*://[^\s"',]+)""")
_SECTION = re.compile(r"^\s*\[+\s*([^\]]+?)\s*\]+\s*$")


@dataclass(frozen=True, slots=True)
class Item:
    """One value. ``key`` is the nearest one, ``section`` what it stands in, as far as the lines before tell."""

    line: int
    column: int
    key: str
    value: str
    section: str


@dataclass(frozen=True, slots=True)
class Config:
    """One file."""

    path: Path
    items: tuple[Item, ...]


def read_config(path: Path) -> Config | None:
    """The file; None: it is no text, too large, or not about ZeroMQ."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return Config(path, tuple(_items(text))) if _CONCERNS.search(text) else None


def _items(text: str) -> Iterator[Item]:
    section, above = "", ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", ";", "//")) or len(line) > 10_000:
            continue
        if head := _SECTION.match(line):
            section = head[1]
            continue
        listed = _LISTED.match(line)
        if listed:
            yield Item(number, listed.start("value") + 1, above, listed["value"], section)
            continue
        for match in _PAIR.finditer(line):
            value = match["value"].strip().strip("\"'")
            if not value:
                above = match["key"]
                section = above if not line[:1].isspace() and not line.startswith(("{", '"')) else section
                continue
            yield Item(number, match.start("key") + 1, match["key"], value, f"{section}.{above}" if above else section)
