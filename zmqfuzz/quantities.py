"""Quantities as people write them: sizes, durations, rates, counts and shares.

Contract: the only parser of units. The command line, ``zmqfuzz.target()``, the pytest options and pyproject.toml all
read through it, so what one of them takes the others take too, and the sentence about what is wrong is the same.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from zmqfuzz.errors import UsageError

__all__ = [
    "COUNT",
    "DURATION",
    "RATE",
    "SHARE",
    "SIZE",
    "Kind",
    "parse_count",
    "parse_duration",
    "parse_rate",
    "parse_share",
    "parse_size",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured, the units it is written in (lower case; empty: without one), and an example of it."""

    name: str
    units: Mapping[str, float]
    written: tuple[str, ...]
    example: str


SIZE = Kind(
    "size",
    {"": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1 << 10, "m": 10**6, "mb": 10**6, "mib": 1 << 20}
    | {"g": 10**9, "gb": 10**9, "gib": 1 << 30},
    ("B", "kB", "KiB", "MB", "MiB", "GB", "GiB"),
    "1MiB",
)
DURATION = Kind(
    "duration", {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}, ("ms", "s", "min", "h"), "60s"
)
RATE = Kind("rate", {"": 1.0, "/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600}, ("/s", "/min", "/h"), "200/s")
COUNT = Kind("count", {"": 1}, (), "2")
SHARE = Kind("number", {"": 1.0}, (), "0.5")

_KINDS = (SIZE, DURATION, RATE)

_DIGITS = 18
"""Before and behind the point, at most: an honest number has fewer, and an int of thousands of digits is an error."""

_WRITTEN = re.compile(rf"\s*([0-9]{{1,{_DIGITS}}}(?:\.[0-9]{{1,{_DIGITS}}})?)\s*([A-Za-z/]*)\s*")


def _read(value: object, kind: Kind) -> float:
    """``value`` in the kind's own unit; exact where it is a whole number. Raises UsageError."""
    if isinstance(value, str):
        match = _WRITTEN.fullmatch(value)
        if match is None or match[2].lower() not in kind.units:
            raise _not(value, kind, match)
        number = float(match[1]) if "." in match[1] else int(match[1])
        return number * kind.units[match[2].lower()]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise _not(value, kind)
    return value


def _whole(value: object, kind: Kind) -> int:
    number = _read(value, kind)
    if isinstance(value, float) or (kind is COUNT and number != int(number)):
        raise _not(value, kind)
    return int(number)


def _not(value: object, kind: Kind, match: re.Match[str] | None = None) -> UsageError:
    written = f" with {', '.join(kind.written[:-1])} or {kind.written[-1]}" if kind.written else ""
    wanted = f"write a number{written}, for example {kind.example}."
    if match is None:
        return UsageError(f"{value!r} is not a {kind.name}; {wanted}")
    unit = match[2].lower()
    other = next((other for other in _KINDS if unit in other.units), None)
    if other is not None:
        return UsageError(f"{value!r} is a {other.name}, not a {kind.name}; {wanted}")
    by_unit = {name.lower(): name for name in kind.written}
    near = difflib.get_close_matches(unit, by_unit, 1, 0.66) if len(unit) > 1 else []
    if near:
        return UsageError(f"{value!r} is not a {kind.name}; did you mean '{match[1]}{by_unit[near[0]]}'?")
    return UsageError(f"{value!r} is not a {kind.name}; {wanted}")


def parse_size(value: str | int) -> int:
    """Octets from ``1MiB``, ``512 KiB``, ``64k``, ``1000``; part of an octet is dropped. Raises UsageError."""
    return _whole(value, SIZE)


def parse_duration(value: str | float) -> float:
    """Seconds from ``500ms``, ``60s``, ``2min``, ``1.5``. Raises UsageError."""
    return float(_read(value, DURATION))


def parse_rate(value: str | float) -> float:
    """So many a second, from ``200/s``, ``30/min``, ``5``. Raises UsageError."""
    return float(_read(value, RATE))


def parse_count(value: str | int) -> int:
    """A whole number, not negative. Raises UsageError."""
    return _whole(value, COUNT)


def parse_share(value: str | float) -> float:
    """A number, not negative. Raises UsageError."""
    return float(_read(value, SHARE))
