"""What an audit says: lines, the rules they come from, and how sure they are."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from zmqfuzz.audit.configs import Config, Item
from zmqfuzz.audit.inventory import Entry, Inventory, Use
from zmqfuzz.audit.scopes import Index
from zmqfuzz.finding import Severity

__all__ = ["Certainty", "Line", "Rule", "at", "checks", "in_config", "of", "rule"]


class Certainty(StrEnum):
    """How far the source alone proves it; or that the running program showed it."""

    SURE = "sure"
    LIKELY = "likely"
    SEEN = "seen"


@dataclass(frozen=True, slots=True)
class Rule:
    """One anti-pattern: its code, what a line says in general, how bad, and why (the check's docstring)."""

    code: str
    title: str
    severity: Severity
    doc: str


@dataclass(frozen=True, slots=True)
class Line:
    """One finding of an audit. ``line`` and ``column`` count from 1; ``socket`` and ``endpoint`` may be unknown.

    ``evidence``: confirmed, refuted or not probed, and by what; empty where nothing was run.
    """

    code: str
    severity: Severity
    certainty: Certainty
    path: Path
    line: int
    column: int
    end_line: int
    sentence: str
    remedy: str
    socket: str = ""
    endpoint: str = ""
    evidence: str = ""


Check = Callable[[Inventory, Rule], Iterator[Line]]

_CHECKS: dict[str, tuple[Rule, Check]] = {}


def rule(code: str, title: str, *, severity: Severity) -> Callable[[Check], Check]:
    """Register a check. Its docstring says why it matters, what is looked for, and how to mend it."""

    def register(check: Check) -> Check:
        if code in _CHECKS:
            raise ValueError(f"{code} is registered twice")
        _CHECKS[code] = (Rule(code, title, severity, inspect.getdoc(check) or ""), check)
        return check

    return register


def checks() -> list[tuple[Rule, Check]]:
    """All rules with their checks, by code."""
    return [_CHECKS[code] for code in sorted(_CHECKS)]


def of(
    entry: Entry,
    rule: Rule,
    sentence: str,
    remedy: str,
    *,
    inventory: Inventory,
    use: Use | None = None,
    endpoint: str = "",
    sure: bool = True,
    severity: Severity | None = None,
) -> Line:
    """A line about a socket: where it is used so, or where it is created."""
    index = inventory.flow.indexes[use.scope.module] if use is not None else entry.index
    known = [door.text for door in entry.doors if door.text]
    return at(
        index,
        use.node if use is not None else entry.created.node,
        rule,
        sentence,
        remedy,
        sure=sure,
        severity=severity,
        socket=entry.kind,
        endpoint=endpoint or (known[0] if known else ""),
    )


def at(
    index: Index,
    node: ast.AST,
    rule: Rule,
    sentence: str,
    remedy: str,
    *,
    sure: bool = True,
    severity: Severity | None = None,
    socket: str = "",
    endpoint: str = "",
) -> Line:
    """A line about a place in a file."""
    first = getattr(node, "lineno", 1)
    return Line(
        rule.code,
        severity or rule.severity,
        Certainty.SURE if sure else Certainty.LIKELY,
        index.source.path,
        first,
        getattr(node, "col_offset", 0) + 1,
        getattr(node, "end_lineno", None) or first,
        sentence,
        remedy,
        socket,
        endpoint,
    )


def in_config(
    config: Config,
    item: Item,
    rule: Rule,
    sentence: str,
    remedy: str,
    *,
    endpoint: str = "",
    severity: Severity | None = None,
) -> Line:
    """A line about a value of a configuration file: likely, as the source may not use it so."""
    return Line(
        rule.code,
        severity or rule.severity,
        Certainty.LIKELY,
        config.path,
        item.line,
        item.column,
        item.line,
        sentence,
        remedy,
        endpoint=endpoint,
    )
