"""The baseline file: findings that are known and accepted, each with a reason and a date after which it is not.

TOML, made to be reviewed and edited: ``[[accepted]]`` tables, whose text is kept as it is when another is changed.
Reading is strict; what is wrong is a UsageError that names the file and the entry.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

from zmqfuzz.errors import UsageError
from zmqfuzz.reports.shelf import write_whole

__all__ = ["LONGEST", "Accepted", "check_until", "read_baseline", "write_baseline"]

LONGEST = timedelta(days=366)
"""A finding is accepted for at most a year: then somebody looks at it again."""

_HEAD = "# Findings of zmqfuzz that are known and accepted, each until its date. See docs/ci.md.\n"
_ENTRY = "[[accepted]]"
_DATES = ("until", "first_seen", "last_seen")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One entry. ``signature`` (empty: any) is the way of failing that was accepted; ``target`` (empty: any) whose."""

    id: str
    code: str
    reason: str
    until: date
    signature: str = ""
    target: str = ""
    first_seen: date | None = None
    last_seen: date | None = None

    def expired(self, today: date) -> bool:
        """Whether its date has passed; it is still accepted on the day itself."""
        return today > self.until


def check_until(until: date, today: date) -> None:
    """Raises UsageError: a date more than a year from today."""
    if until - today > LONGEST:
        raise UsageError(
            f"until = {until} is more than a year from now; the last day that can be given is {today + LONGEST}."
        )


def read_baseline(file: Path, *, missing_ok: bool = False) -> tuple[Accepted, ...]:
    """The entries of ``file``, in its order. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if missing_ok:
            return ()
        raise UsageError(
            f"There is no baseline {file}; make it with `zmqfuzz baseline update`, or correct --baseline."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the baseline cannot be read ({error}); correct it.") from None
    return _parsed(file, text)


def _parsed(file: Path, text: str) -> tuple[Accepted, ...]:
    try:
        whole = tomllib.loads(text)
    except ValueError as error:
        raise UsageError(f"{file}: not TOML ({error}); correct it.") from None
    entries = whole.pop("accepted", [])
    if whole or not isinstance(entries, list):
        odd = next(iter(whole), "accepted")
        raise UsageError(f"{file}: only tables {_ENTRY} belong here, not {odd!r}; correct it.")
    read = tuple(_entry(file, number, entry) for number, entry in enumerate(entries, 1))
    for entry in read:
        if sum(other.id == entry.id for other in read) > 1:
            raise UsageError(f"{file}: {entry.id} is accepted twice; remove one of the two entries.")
    return read


def _entry(file: Path, number: int, plain: object) -> Accepted:
    where = f"{file}: entry {number}"
    if not isinstance(plain, dict):
        raise UsageError(f"{where} is no table; write {_ENTRY}.")
    where += f" ({plain['id']})" if isinstance(plain.get("id"), str) else ""
    known = [item.name for item in fields(Accepted)]
    for key, value in plain.items():
        if key not in known:
            raise UsageError(f"{where}: there is no key {key!r}; there are {', '.join(known)}.")
        wanted, words = (date, "a date, as 2027-03-01") if key in _DATES else (str, "a text in quotation marks")
        if type(value) is not wanted:  # a datetime is a date, too
            raise UsageError(f"{where}: {key} is not {words}; correct it.")
    for key in ("id", "code", "reason", "until"):
        if not plain.get(key):
            raise UsageError(f"{where} has no {key}; add it.")
    try:
        check_until(plain["until"], date.today())
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    return Accepted(**plain)


def write_baseline(file: Path, entries: Iterable[Accepted]) -> None:
    """Make ``file`` hold ``entries``: what did not change keeps its text and its comments. Raises UsageError."""
    head, blocks = _HEAD, {}
    if file.exists():
        before = read_baseline(file)
        head, texts = _blocks(file.read_text(encoding="utf-8"))
        blocks = {entry.id: (entry, text) for entry, text in zip(before, texts, strict=True)}
    parts = [head.rstrip()]
    for entry in entries:
        old, text = blocks.get(entry.id, (None, ""))
        parts.append(text.strip() if old == entry else _comments(text) + _toml(entry))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, "\n\n".join(part for part in parts if part) + "\n")
    except OSError as error:
        raise UsageError(f"{file} could not be written: {error.strerror}; name another baseline.") from None


def _blocks(text: str) -> tuple[str, list[str]]:
    """The head of the file, and the text of each entry with the comments right above it."""
    lines = text.split("\n")
    starts = []
    for number, line in enumerate(lines):
        if re.match(r"\s*\[\[\s*accepted\s*\]\]", line):
            while number and lines[number - 1].startswith("#"):
                number -= 1
            starts.append(number)
    cuts = [*starts, len(lines)]
    return "\n".join(lines[: cuts[0]]), ["\n".join(lines[a:b]) for a, b in pairwise(cuts)]


def _comments(text: str) -> str:
    return "".join(f"{line}\n" for line in text.split(_ENTRY)[0].split("\n") if line.startswith("#"))


def _toml(entry: Accepted) -> str:
    lines = [_ENTRY]
    for item in fields(Accepted):
        value = getattr(entry, item.name)
        if value not in (None, ""):
            lines.append(f"{item.name} = {_string(value) if isinstance(value, str) else value.isoformat()}")
    return "\n".join(lines)


def _string(text: str) -> str:
    """A basic string of TOML 1.0; a lone surrogate, which no TOML can hold, becomes U+FFFD."""
    escaped = text.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in escaped) + '"'
