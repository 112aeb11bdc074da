"""Profiles: options of ``run`` and ``campaign`` by one word, ours or declared in ``[tool.zmqfuzz.profiles.NAME]``.

Keys are the long options. A declared profile that bears the name of one of ours is put on top of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmqfuzz.declared import find, listed, shown, table
from zmqfuzz.errors import UsageError

__all__ = ["KEYS", "PROFILES", "Profile", "profile"]

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "quick": {"for": "20s"},
    "ci": {"for": "5min", "inconclusive": "fail"},
    "deep": {"for": "30min"},
    "overnight": {"for": "8h", "until-plateau": "90min"},
}

KEYS = (
    *("for", "until-plateau", "until-findings", "stop-after", "cases", "slice", "workers"),
    *("families", "exclude", "seeds", "fail-on", "inconclusive", "baseline"),
)
"""What a profile may set; the first line is about time, the second about what is played and what it amounts to."""

_PATHS = ("seeds", "baseline")


@dataclass(frozen=True, slots=True)
class Profile:
    """Values by key as an option takes them; ``places``: where each was set, for errors."""

    values: Mapping[str, Any]
    places: Mapping[str, str]


def profile(name: str, start: Path) -> Profile:
    """The profile, also as the pyproject.toml nearest to ``start`` has it. Raises UsageError."""
    file = find(start)
    declared = table(file, "profiles") if file is not None else {}
    if name not in declared and name not in PROFILES:
        known = (*PROFILES, *(word for word in declared if word not in PROFILES))
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"There is no profile {name!a}; " + (f"did you mean {near[0]!r}?" if near else f"{listed(known)}.")
        )
    values, places = dict(PROFILES.get(name, {})), dict.fromkeys(PROFILES.get(name, {}), f"profile {name}")
    theirs = declared.get(name, {})
    if file is None or not theirs:
        return Profile(values, places)
    where = f"{shown(file)}: tool.zmqfuzz.profiles.{name}"
    if not isinstance(theirs, dict):
        raise UsageError(f"{where} is no table; write [tool.zmqfuzz.profiles.{name}].")
    for key, value in theirs.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"{listed(KEYS)}."
            raise UsageError(f"{where}.{key}: there is no such key; {hint}")
        values[key], places[key] = _value(key, value, f"{where}.{key}", file.parent), f"{where}.{key}"
    return Profile(values, places)


def _value(key: str, value: Any, where: str, folder: Path) -> str:
    if isinstance(value, list) and key in ("families", "exclude") and all(isinstance(word, str) for word in value):
        return ",".join(value)
    if isinstance(value, str) and value:
        return str(folder / value) if key in _PATHS else value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise UsageError(f"{where}: {value!r} is not a text or a number; write it as the option --{key} takes it.")
