"""What is new, gone and still there against the run before, by finding ID."""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.reports.record import Found, Run

__all__ = ["Difference", "difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Findings of this run that are ``new``, of the older that are ``gone``, and of this that are ``still`` there.

    ``asked`` is False for those of ``gone`` whose family was not played this time: nothing is known of them.
    """

    before: Run
    new: tuple[Found, ...]
    gone: tuple[tuple[Found, bool], ...]
    still: tuple[Found, ...]


def difference(run: Run, before: Run | None) -> Difference | None:
    """None: there is nothing to compare with."""
    if before is None:
        return None
    now = {one.finding.id for one in run.found}
    then = {one.finding.id for one in before.found}
    played = {(case.door, case.family) for case in run.outcome.cases if case.cases}
    return Difference(
        before,
        tuple(one for one in run.found if one.finding.id not in then),
        tuple((one, (one.door, one.family) in played) for one in before.found if one.finding.id not in now),
        tuple(one for one in run.found if one.finding.id in then),
    )
