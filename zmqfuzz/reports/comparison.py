"""Two runs side by side, beyond their findings: verdicts, doors and libraries, for two builds of a target."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.reports.record import Check, Run

__all__ = ["verdicts"]


def verdicts(run: Run, before: Run) -> Iterator[str]:
    """What has changed from ``before`` to ``run``, a line each; first, where the suite was not the same."""
    ours, theirs = before.started, run.started
    for what, one, other in (
        ("seed", ours.seed, theirs.seed),
        ("time in seconds", f"{ours.seconds:g}", f"{theirs.seconds:g}"),
        ("choice of families", ", ".join(ours.families), ", ".join(theirs.families)),
    ):
        if one != other:
            yield f"not the same suite: another {what}: {one}, then {other}"
    then, now = ({check.code: check for check in each.outcome.checks} for each in (before, run))
    for code in sorted({*then, *now}):
        first, last = _result(then.get(code)), _result(now.get(code))
        if first != last:
            yield f"verdict: {code} {first} before, {last} now"
    first_doors, last_doors = ({door.door: door for door in each.doors} for each in (before, run))
    yield from (f"door: {name} is gone" for name in first_doors if name not in last_doors)
    yield from (f"door: {name} is new" for name in last_doors if name not in first_doors)
    for name, door in first_doors.items():
        other_door = last_doors.get(name)
        if other_door is not None and (door.level, door.version) != (other_door.level, other_door.version):
            was, is_now = (f"{one.level}, ZMTP {one.version}" for one in (door, other_door))
            yield f"door: {name}: {was} before; {is_now} now"
    libraries = ({one for one in each.outcome.observed if one.startswith("libzmq")} for each in (before, run))
    was, is_now = (" and ".join(sorted(each)) or "no known libzmq" for each in libraries)
    if was != is_now:
        yield f"library: {was} before, {is_now} now"


def _result(check: Check | None) -> str:
    return check.result if check is not None else "not exercised"
