"""Findings put together by their cause, as far as that is known: one row for a person instead of one for each door."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zmqfuzz.finding import Severity
from zmqfuzz.reports.record import Found

__all__ = ["Cause", "causes"]

_LIBRARY = "libzmq"
"""Where a finding's owner begins so, it is the library that does it, at each door in the same way."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Findings with one cause; ``severity`` is the worst of them, ``signature`` their way of failing."""

    code: str
    title: str
    signature: str
    owner: str
    severity: Severity
    doors: tuple[str, ...]
    found: tuple[Found, ...]


def causes(found: Iterable[Found]) -> tuple[Cause, ...]:
    """The worst first.

    What the library itself does in one way is one cause at all doors. What an application does may be another one at
    another door, so it is told for each; a crash whose place is known has one ID at all doors anyway.
    """
    groups: dict[tuple[str, ...], list[Found]] = {}
    for one in found:
        finding = one.finding
        ours = not finding.owner.startswith(_LIBRARY)
        groups.setdefault((finding.code, finding.signature, *((finding.id,) if ours else ())), []).append(one)
    made = [_cause(group) for group in groups.values()]
    return tuple(sorted(made, key=lambda cause: (cause.severity.rank, cause.code, cause.doors)))


def _cause(group: list[Found]) -> Cause:
    first = group[0].finding
    severity = min((one.finding.severity for one in group), key=lambda severity: severity.rank)
    doors = tuple(sorted({one.finding.door for one in group}))
    return Cause(first.code, first.title, first.signature, first.owner, severity, doors, tuple(group))
