"""What is new, gone and still there against the run before, by finding ID; and what was tested then and not now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmqfuzz.campaign.text import count
from zmqfuzz.finding import Severity
from zmqfuzz.reports.record import Found, Run

__all__ = ["Difference", "Gone", "difference", "lines"]

MOST = 6
"""Cells of the reach map that are named."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A finding of the older run that this one has not, and ``why``: what that says; ``played``: it was looked for."""

    found: Found
    why: str
    fixed: bool = False
    played: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """Findings of this run that are ``new``, of the older that are ``gone``, and of this that are ``still`` there.

    ``rated``: those still there whose severity was another, and which. ``reached`` and ``missed``: cells of the reach
    map that only this run, or only the older one, has got to; ``untested``: invariants that only the older one tested.
    """

    before: Run
    new: tuple[Found, ...]
    gone: tuple[Gone, ...]
    still: tuple[Found, ...]
    rated: tuple[tuple[Found, Severity], ...] = ()
    reached: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()


def difference(run: Run, before: Run | None) -> Difference | None:
    """None: there is nothing to compare with."""
    if before is None:
        return None
    now = {one.finding.id for one in run.found}
    then = {one.finding.id: one.finding for one in before.found}
    still = tuple(one for one in run.found if one.finding.id in then)
    cells, older = _cells(run), _cells(before)
    return Difference(
        before,
        tuple(one for one in run.found if one.finding.id not in then),
        tuple(_gone(run, one) for one in before.found if one.finding.id not in now),
        still,
        tuple((one, was) for one in still if (was := then[one.finding.id].severity) is not one.finding.severity),
        tuple(cell for cell in cells if cell not in older),
        tuple(cell for cell in older if cell not in cells),
        tuple(code for code in _tested(before) if code not in _tested(run)),
    )


def _gone(run: Run, one: Found) -> Gone:
    id = one.finding.id
    played = {(case.door, case.family) for case in run.outcome.cases if case.cases}
    if id in run.outcome.fixed:
        return Gone(one, "its replay does not show it any more", fixed=True)
    if (one.door, one.family) not in played:
        return Gone(one, "its family was not played this time", played=False)
    return Gone(one, f"not found this time; zmqfuzz replay {id} says whether it is fixed")


def _cells(run: Run) -> dict[str, None]:
    return {f"{row.family} {row.stage} at {row.door}": None for row in run.rows if row.count}


def _tested(run: Run) -> dict[str, None]:
    return {check.code: None for check in run.outcome.checks if check.count}


def lines(run: Run, changed: Difference) -> Iterator[str]:
    """The whole of it for people, a line each."""
    for one in changed.new:
        accepted = " (accepted)" if run.status(one.finding.id) == "known" else ""
        yield f"new: {one.finding.id} {one.finding.severity.upper()} {one.finding.title}{accepted}"
    for gone in changed.gone:
        word = "fixed" if gone.fixed else "gone"
        yield f"{word}: {gone.found.finding.id} {gone.found.finding.title} ({gone.why})"
    for one, severity in changed.rated:
        yield f"severity: {one.finding.id} is {one.finding.severity}, and was {severity}"
    if changed.still:
        yield f"still there: {', '.join(one.finding.id for one in changed.still)}"
    for words, cells in (("reached now", changed.reached), ("not reached any more", changed.missed)):
        if cells:
            more = f" and {len(cells) - MOST} more" if len(cells) > MOST else ""
            yield f"{words}: {count(len(cells), 'cell')}: {', '.join(cells[:MOST])}{more}"
    if changed.untested:
        yield f"tested then, and not now: {', '.join(changed.untested)}"
