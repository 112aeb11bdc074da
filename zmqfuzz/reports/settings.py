"""What ``[tool.zmqfuzz]`` of pyproject.toml says of every run's gate, read strictly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zmqfuzz.declared import defaults, find, shown
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity

__all__ = ["POLICIES", "Settings", "settings"]

POLICIES = ("fail", "pass")
"""What is done about what is inconclusive."""

WARN = "warn"
"""A word for a pytest session, where such an item is no failure; a run says it in any case."""


@dataclass(frozen=True, slots=True)
class Settings:
    """None: nothing is said."""

    baseline: Path | None = None
    fail_on: str | None = None
    inconclusive: str | None = None


def settings(start: Path) -> Settings:
    """Of the pyproject.toml nearest to ``start``. Raises UsageError."""
    file = find(start)
    if file is None:
        return Settings()
    table = defaults(file)

    def text(key: str, known: Sequence[str] = ()) -> str | None:
        value = table.get(key.replace("-", "_"))
        if value is None or (isinstance(value, str) and value and (value in known or not known)):
            return value
        wanted = f"one of {', '.join(known)}" if known else "a text; write it in quotation marks"
        raise UsageError(f"{shown(file)}: tool.zmqfuzz.{key}: {value!r} is not {wanted}.")

    baseline = text("baseline")
    unclear = text("inconclusive", (*POLICIES, WARN))
    return Settings(
        Path(shown(file.parent / baseline)) if baseline else None,
        text("fail-on", [severity.value for severity in Severity]),
        "pass" if unclear == WARN else unclear,
    )
