"""What a run may claim: what could not be seen or was not promised, and which families have tested nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Outcome, doubted
from zmqfuzz.campaign.known import Lane
from zmqfuzz.catalogue import Family, Invariant, invariants
from zmqfuzz.catalogue import families as all_families
from zmqfuzz.contract import PROMISES
from zmqfuzz.credentials import Credentials
from zmqfuzz.exposure import EXPOSURE
from zmqfuzz.observer import Observer
from zmqfuzz.older import is_old
from zmqfuzz.trial import Reached, Surface, Trial

__all__ = [
    "FEW_CASES",
    "answered_for",
    "claim_asked",
    "claim_cover",
    "claim_missed",
    "claim_reach",
    "claim_tested",
    "claim_time",
    "exercised",
    "open_doors",
]

FEW_CASES = 10
"""Attacks below which a family may miss the state it needs by chance: its draws also stop short on purpose."""


def claim_reach(outcome: Outcome, families: Sequence[Family]) -> None:
    """A family that never reached the state it attacks has tested nothing."""
    known = {family.name for family in families}
    few: dict[str, list[int]] = {}
    for (_, name), n in sorted(outcome.cases.items()):
        if n < FEW_CASES and name in known:
            few.setdefault(name, []).append(n)
    if few:
        told = [
            f"{name} {min(counts)}" + (f" at {len(counts)} doors" if counts[1:] else "") for name, counts in few.items()
        ]
        outcome.not_covered.append(f"few attacks in the time there was: {', '.join(told)} (give --for longer)")
    needs = {family.name: family.needs for family in families}
    doors = {surface.key: surface for surface in outcome.surfaces}
    tested = {key for (key, name), reached in outcome.reached.items() if reached >= needs[name]}
    for (key, name), reached in sorted(outcome.reached.items()):
        if reached >= needs[name] or (needs[name] is Reached.HANDSHAKE and is_old(doors[key])):
            continue
        cases = outcome.cases[(key, name)]
        said = f"{key}: {name} never got to {needs[name].name.lower()}, only to {reached.name.lower()}"
        said += f" ({ends})" if (ends := outcome.reach.ends(name, doors[key])) else ""
        if cases >= FEW_CASES or key not in tested:
            outcome.doubts.insert(0, said)
        else:
            outcome.not_covered.append(f"{said}, in the {cases} attacks there was time for")


def claim_cover(
    outcome: Outcome, observer: Observer, limits: Limits, budget: Budget, families: Sequence[Family]
) -> None:
    """What cannot be seen, or was not promised, before anything is attacked."""
    room, most = observer.room(), budget.connections
    if room is not None and room > most and any(family.many for family in families):
        outcome.not_covered.append(
            f"no descriptor left: the target may still open {room:,}, attacks hold {most:,} connections at most"
            " (start it with a smaller `ulimit -n`)"
        )
    if not observer.sees:
        outcome.not_covered.append(
            "memory, descriptors, crashes: there is no process to watch (pass -- COMMAND or --pid)"
        )
    undeclared = [_option(entry) for entry in invariants().values() if not entry.applies(limits)]
    if undeclared:
        outcome.not_covered.append(f"no limit was declared with {', '.join(dict.fromkeys(undeclared))}")
    ours = answered_for(families)
    for entry in invariants().values():
        if limit := _too_long(entry, limits, budget):
            told = outcome.doubts if ours is None or entry.declared in ours else outcome.not_covered
            told.append(
                f"{entry.code} {entry.name}: attacks wait for at most {budget.longest:g} s"
                f" ({_option(entry)} says {limit:g} s)"
            )
    judged = {entry.declared for entry in invariants().values()} | {"burst"}  # a part of the rate
    for promise in PROMISES:
        unjudged = getattr(Limits(), promise.name) is None and promise.name not in judged
        if unjudged and getattr(limits, promise.name) is not None:
            outcome.doubts.append(f"--{promise.key} was declared, and no invariant checks it yet")


def _option(entry: Invariant) -> str:
    return "--" + entry.declared.replace("_", "-")


def _too_long(entry: Invariant, limits: Limits, budget: Budget) -> float | None:
    """The declared time, in seconds, that no attack can wait out."""
    limit: float | None = getattr(limits, entry.declared, None) if entry.waits else None
    return limit if limit is not None and limit > budget.longest else None


def open_doors(surfaces: Sequence[Surface], credentials: Credentials) -> list[str]:
    """Doors that ask for nothing beside a locked one, of another socket: they may be meant for everyone."""
    if not any(surface.lock for surface in surfaces):
        return []
    return [
        f"{surface.key}: it asks for nothing, and was not held to keep strangers out: another socket is locked"
        for surface in surfaces
        if surface.side == "bind"
        and credentials.locks("bind")
        and not surface.lock
        and surface.mechanism in ("", "NULL")
    ]


def claim_missed(outcome: Outcome, trial: Trial) -> None:
    """Steps that could not be done here are no cover: a family would seem to have tested what it did not."""
    for said in {said for transcript in trial.transcripts for said in transcript.missed}:
        line = f"{trial.surface.key}: {said}"
        if line not in outcome.not_covered:
            outcome.not_covered.append(line)


def exercised(outcome: Outcome) -> set[str]:
    """The promises, as fields of Limits, that were put to the test: by what says first whether they are kept.

    The others of a promise say that it is not kept too strictly, or not to all; of exposure each is of other places.
    """
    first: dict[str, str] = {}
    for code, entry in sorted(invariants().items()):
        first.setdefault(entry.declared, code)
    return {
        entry.declared
        for entry in invariants().values()
        if outcome.checks[entry.code] and (entry.code == first[entry.declared] or entry.examines == EXPOSURE)
    } - {""}


def answered_for(families: Sequence[Family], looked: Collection[str] = ()) -> set[str] | None:
    """The promises that a run of these ``families`` is there to put to the test; None: all, as nothing was left out.

    ``looked``: kinds of what is examined (:data:`~zmqfuzz.catalogue.LOOKED_AT`) that were asked for by name.
    """
    if len(families) == len(all_families()):
        return None
    of_looks = {entry.declared for entry in invariants().values() if entry.examines in looked}
    return {name for family in families for name in family.promises} | of_looks - {""}


def claim_tested(
    outcome: Outcome, limits: Limits, budget: Budget, families: Sequence[Family], looked: Collection[str] = ()
) -> None:
    """A declared promise that no attack has put to the test was not kept, nor broken.

    A doubt where the run was there to do that and nothing was seen of the promise; who chose others chose what is
    tested.
    """
    ours, seen, doubted_already = answered_for(families, looked), exercised(outcome), doubted(outcome.doubts)
    for entry in invariants().values():
        if not entry.declared or outcome.checks[entry.code] or not entry.applies(limits):
            continue
        if _too_long(entry, limits, budget) is not None or entry.code in doubted_already:
            continue
        said = f"{entry.code} {entry.name}: no attack put it to the test"
        if entry.declared in seen or (ours is not None and entry.declared not in ours):
            outcome.not_covered.append(said)
        else:
            outcome.doubts.append(said)


def claim_time(left: Sequence[Lane], lanes: Sequence[Lane], seconds: float) -> list[str]:
    """The doubt of a run of ``seconds`` in which not every one of ``lanes`` was played; ``left`` may hold those."""
    unplayed = [f"{lane.family.name} on {lane.surface.key}" for lane in left if not lane.slices]
    if not unplayed:
        return []
    named = ", ".join(unplayed[:3]) + (f" and {len(unplayed) - 3} more" if len(unplayed) > 3 else "")
    played = len(lanes) - len(unplayed)
    longer = 1.5 * seconds * len(lanes) / max(1, played)  # later turns find more to look into
    advice = f"about --for {math.ceil(longer / 60)}m would do" if played else "give --for longer"
    return [f"no time was left for {named} ({advice})"]


def claim_asked(outcome: Outcome, asked: int) -> None:
    """How often an honest client was asked while others held connections."""
    for entry in invariants().values():
        if entry.examines == "beside":
            outcome.checks[entry.code] = asked
            if not asked:
                said = f"{entry.code} {entry.name}: nobody could be asked while others held connections"
                outcome.not_covered.append(said)
