"""The frame of a SARIF 2.1.0 log, which the audit and the report of a run share. Nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from zmqfuzz.finding import Severity

__all__ = ["LEVELS", "Described", "address", "log", "place"]

LEVELS = {
    Severity.CRITICAL: ("error", "9.5"),
    Severity.HIGH: ("error", "8.0"),
    Severity.MEDIUM: ("warning", "5.5"),
    Severity.LOW: ("note", "3.0"),
    Severity.INFO: ("note", "0.0"),
}
"""SARIF's level, and the number by which code scanning sorts."""

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


class Described(Protocol):
    """What a rule must tell: a rule of the audit, or an invariant."""

    @property
    def code(self) -> str:
        """``ZF203``."""

    @property
    def title(self) -> str:
        """One sentence."""

    @property
    def severity(self) -> Severity:
        """How bad."""

    @property
    def doc(self) -> str:
        """The whole explanation."""


def address(path: Path) -> dict[str, Any]:
    """Relative where it is below the current folder, as code scanning wants it."""
    full = path.absolute()
    try:
        return {"uri": quote(full.relative_to(Path.cwd()).as_posix()), "uriBaseId": "%SRCROOT%"}
    except ValueError:
        return {"uri": full.as_uri()}


def place(path: Path, line: int = 0, column: int = 0) -> dict[str, Any]:
    """A location; lines and columns count from 1, 0 where they are not known."""
    physical: dict[str, Any] = {"artifactLocation": address(path)}
    if line:
        physical["region"] = {"startLine": line} | ({"startColumn": column} if column else {})
    return {"physicalLocation": physical}


def log(
    rules: Iterable[Described],
    results: Sequence[Mapping[str, Any]],
    invocation: Mapping[str, Any],
    version: str,
) -> dict[str, Any]:
    """A log with one run; ``version`` is that of zmqfuzz, and ``ruleIndex`` of a result counts in ``rules``."""
    driver = {
        "name": "zmqfuzz",
        "semanticVersion": version,
        "rules": [
            {
                "id": rule.code,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.doc or rule.title},
                "defaultConfiguration": {"level": LEVELS[rule.severity][0]},
                "properties": {"tags": ["security"], "security-severity": LEVELS[rule.severity][1]},
            }
            for rule in rules
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"%SRCROOT%": {"uri": Path.cwd().as_uri() + "/"}},
        "invocations": [dict(invocation)],
        "results": list(results),
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
