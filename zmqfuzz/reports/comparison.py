"""Two runs side by side: two builds of a target under the same suite, and what one shows that the other does not."""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.reports.difference import difference
from zmqfuzz.reports.record import Check, Run

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``worse``, ``better``, ``other``: changes, in sentences; ``unequal``: why the two cannot be compared in full."""

    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    unequal: tuple[str, ...] = ()


def compare(before: Run, after: Run) -> Comparison:
    """What has changed from ``before`` to ``after``: findings, verdicts of invariants, doors, what was observed."""
    changed = difference(after, before)
    assert changed is not None  # there is a run before
    worse = [f"{one.finding.id} is new: {one.finding.title}, at {one.door}" for one in changed.new]
    better = [f"{gone.found.finding.id} is gone: {gone.found.finding.title}" for gone in changed.gone if gone.played]
    other = [f"{one.finding.id} is still there" for one in changed.still]
    unequal = _unequal(before, after)
    unequal += [f"{gone.found.finding.id} was not looked for again" for gone in changed.gone if not gone.played]
    then, now = ({check.code: check for check in run.outcome.checks} for run in (before, after))
    for code in sorted({*then, *now}):
        first, last = _result(then.get(code)), _result(now.get(code))
        said = f"{code}: {first} before, {last} now"
        if first == last:
            continue
        if last == "violated":
            worse.append(said)
        elif first == "violated" and last == "held":
            better.append(said)
        elif last == "not exercised":
            unequal.append(said)
        else:
            other.append(said)
    other += _doors(before, after)
    ours, theirs = ({one for one in run.outcome.observed if one.startswith("libzmq")} for run in (before, after))
    if ours != theirs:
        other.append(
            f"{' and '.join(sorted(ours)) or 'no libzmq'} before, {' and '.join(sorted(theirs)) or 'none'} now"
        )
    return Comparison(tuple(worse), tuple(better), tuple(other), tuple(unequal))


def _result(check: Check | None) -> str:
    return check.result if check is not None else "not exercised"


def _unequal(before: Run, after: Run) -> list[str]:
    broken = [run for run in (before, after) if run.outcome.error or not run.outcome.complete]
    found = [f"{run.name}: {(run.outcome.error or 'it did not come to its end').splitlines()[0]}" for run in broken]
    ours, theirs = before.started, after.started
    pairs = (
        ("seed", ours.seed, theirs.seed),
        ("time in seconds", f"{ours.seconds:g}", f"{theirs.seconds:g}"),
        ("families", ", ".join(ours.families), ", ".join(theirs.families)),
        ("zmqfuzz", ours.versions.get("zmqfuzz", ""), theirs.versions.get("zmqfuzz", "")),
    )
    return found + [f"another {what}: {one}, then {other}" for what, one, other in pairs if one != other]


def _doors(before: Run, after: Run) -> list[str]:
    first = {door.door: door for door in before.doors}
    last = {door.door: door for door in after.doors}
    found = [f"door {name} is gone" for name in first if name not in last]
    found += [f"door {name} is new" for name in last if name not in first]
    for name, door in first.items():
        now = last.get(name)
        if now is not None and (door.level, door.version) != (now.level, now.version):
            found.append(f"door {name}: {door.level}, ZMTP {door.version} before; {now.level}, ZMTP {now.version} now")
    return found
