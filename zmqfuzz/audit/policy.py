"""``[tool.zmqfuzz.audit]`` of a pyproject.toml: what a project decided, with its reasons.

    [tool.zmqfuzz.audit]
    exclude = ["examples/*"]

    [[tool.zmqfuzz.audit.overrides]]
    code = "ZF605"
    paths = ["src/bus/*"]      # all files where left out
    sockets = ["PUB"]          # all types where left out
    endpoints = ["ipc://*"]    # all endpoints where left out
    severity = "info"          # or "off"
    reason = "the bus is fed by one process only"

Whatever is wrong with it is a UsageError of one sentence that names the file and the key.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.suppress import Suppressed
from zmqfuzz.declared import find
from zmqfuzz.errors import UsageError
from zmqfuzz.finding import Severity

__all__ = ["Override", "Policy", "find_policy", "read_policy"]


@dataclass(frozen=True, slots=True)
class Override:
    """Another severity for one code, or none (``None``), for sockets and files that match; always with a reason."""

    code: str
    severity: Severity | None
    reason: str
    paths: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()

    def fits(self, line: Line, root: Path) -> bool:
        """Whether it is about ``line``; patterns are relative to the folder of the policy's file."""
        try:
            shown = line.path.absolute().relative_to(root.absolute()).as_posix()
        except ValueError:
            shown = line.path.as_posix()
        kinds = line.socket.split(" or ")
        return (
            line.code == self.code
            and _fits(self.paths, [shown])
            and _fits(self.sockets, kinds)
            and _fits(self.endpoints, [line.endpoint])
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What a project decided; without a file, nothing."""

    root: Path = Path()
    exclude: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()

    def apply(self, line: Line) -> Line | Suppressed:
        """``line`` with the severity that the last fitting override gives it, or suppressed by it."""
        for override in reversed(self.overrides):
            if override.fits(line, self.root):
                if override.severity is None:
                    return Suppressed(line, override.reason)
                return replace(line, severity=override.severity)
        return line


def find_policy(paths: Sequence[Path]) -> Path | None:
    """The nearest pyproject.toml with a table ``[tool.zmqfuzz]`` at or above the first of ``paths``."""
    start = paths[0] if paths else Path()
    return find(start if start.is_dir() else start.parent)


def read_policy(file: Path, codes: Sequence[str]) -> Policy:
    """The policy in ``file``; ``codes`` are those that exist. Raises UsageError."""
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} could not be read ({error}); name another with --policy.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}; mend it there.") from None
    for key in ("tool", "zmqfuzz", "audit"):
        table = table.get(key, {}) if isinstance(table, dict) else {}
    where = f"[tool.zmqfuzz.audit] of {file}"
    if not isinstance(table, dict):
        raise UsageError(f"tool.zmqfuzz.audit in {file} is not a table; write [tool.zmqfuzz.audit].")
    _known(table, {"exclude", "overrides"}, where)
    overrides = table.get("overrides", [])
    if not isinstance(overrides, list):
        raise UsageError(f"overrides in {where} is not a list of tables; write [[tool.zmqfuzz.audit.overrides]].")
    return Policy(
        file.parent,
        _texts(table.get("exclude", []), "exclude", where),
        tuple(_override(each, where, codes) for each in overrides),
    )


def _override(table: object, where: str, codes: Sequence[str]) -> Override:
    if not isinstance(table, dict):
        raise UsageError(f"An override in {where} is not a table; write [[tool.zmqfuzz.audit.overrides]].")
    _known(table, {"code", "severity", "reason", "paths", "sockets", "endpoints"}, where)
    code, severity, reason = (table.get(key) for key in ("code", "severity", "reason"))
    if code not in codes:
        raise UsageError(f"{where} overrides {code!r}, which is no code of an audit; `zmqfuzz list` shows them.")
    if not isinstance(reason, str) or not reason.strip():
        raise UsageError(f'The override of {code} in {where} gives no reason; write one: reason = "...".')
    words = [*(each.value for each in Severity), "off"]
    if severity not in words:
        raise UsageError(f"The override of {code} in {where} needs a severity: one of {', '.join(words)}.")
    level = None if severity == "off" else Severity(severity)
    paths, sockets, endpoints = (_texts(table.get(key, []), key, where) for key in ("paths", "sockets", "endpoints"))
    return Override(str(code), level, reason.strip(), paths, sockets, endpoints)


def _fits(patterns: tuple[str, ...], words: Sequence[str]) -> bool:
    """Whether all of ``words`` are meant: each by one of the patterns; without patterns all are."""
    return not patterns or all(any(fnmatch(word, each) for each in patterns) for word in words)


def _known(table: dict[str, Any], names: set[str], where: str) -> None:
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it knows {', '.join(sorted(names))}."
            raise UsageError(f"{where} has an unknown key {key!r}; {hint}")


def _texts(value: object, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f'{key} in {where} is not a list of texts; write {key} = ["..."].')
    return tuple(value)
