"""What a run may claim: what could not be seen or was not promised, and which families have tested nothing."""

from __future__ import annotations

from collections.abc import Sequence

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.events import Outcome
from zmqfuzz.catalogue import Family, invariants
from zmqfuzz.contract import PROMISES
from zmqfuzz.credentials import Credentials
from zmqfuzz.observer import Observer
from zmqfuzz.trial import Surface, Trial

__all__ = ["claim_asked", "claim_cover", "claim_missed", "claim_reach", "claim_tested", "open_doors"]

FEW_CASES = 10
"""Attacks below which a family may miss the state it needs by chance: its draws also stop short on purpose."""


def claim_reach(outcome: Outcome, families: Sequence[Family]) -> None:
    """A family that never reached the state it attacks has tested nothing."""
    known = {family.name for family in families}
    few = [f"{name} {n}" for (_, name), n in sorted(outcome.cases.items()) if n < FEW_CASES and name in known]
    if few:
        outcome.not_covered.append(f"few attacks in the time there was: {', '.join(few)} (give --for longer)")
    needs = {family.name: family.needs for family in families}
    doors = {surface.key: surface for surface in outcome.surfaces}
    tested = {key for (key, name), reached in outcome.reached.items() if reached >= needs[name]}
    for (key, name), reached in sorted(outcome.reached.items()):
        if reached >= needs[name]:
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
    for entry in invariants().values():
        if not entry.applies(limits):
            option = "--" + entry.declared.replace("_", "-")
            outcome.not_covered.append(f"{entry.code} {entry.name}: no limit was declared ({option})")
        elif (limit := getattr(limits, entry.declared, None)) is not None and entry.waits and limit > budget.longest:
            option = "--" + entry.declared.replace("_", "-")
            outcome.not_covered.append(
                f"{entry.code} {entry.name}: attacks wait for at most {budget.longest:g} s ({option} says {limit:g} s)"
            )
    judged = {entry.declared for entry in invariants().values()} | {"burst"}  # a part of the rate
    for promise in PROMISES:
        unjudged = getattr(Limits(), promise.name) is None and promise.name not in judged
        if unjudged and getattr(limits, promise.name) is not None:
            outcome.doubts.append(f"--{promise.key} was declared, and no invariant checks it yet")


def open_doors(surfaces: Sequence[Surface], credentials: Credentials) -> list[str]:
    """Doors that ask for nothing beside a locked one, of another socket: they may be meant for everyone."""
    if not any(surface.lock for surface in surfaces):
        return []
    return [
        f"{surface.key}: it asks for nothing, and was not held to keep strangers out: another socket is locked"
        for surface in surfaces
        if credentials.locks and not surface.lock and surface.mechanism in ("", "NULL") and surface.side == "bind"
    ]


def claim_missed(outcome: Outcome, trial: Trial) -> None:
    """Steps that could not be done here are no cover: a family would seem to have tested what it did not."""
    for said in {said for transcript in trial.transcripts for said in transcript.missed}:
        line = f"{trial.surface.key}: {said}"
        if line not in outcome.not_covered:
            outcome.not_covered.append(line)


def claim_tested(outcome: Outcome, limits: Limits) -> None:
    """A declared promise that no attack has put to the test was not kept, nor broken."""
    for entry in invariants().values():
        if entry.declared and entry.applies(limits) and not outcome.checks[entry.code]:
            outcome.not_covered.append(f"{entry.code} {entry.name}: no attack put it to the test")


def claim_asked(outcome: Outcome, asked: int) -> None:
    """How often an honest client was asked while others held connections."""
    for entry in invariants().values():
        if entry.examines == "beside":
            outcome.checks[entry.code] = asked
            if not asked:
                said = f"{entry.code} {entry.name}: nobody could be asked while others held connections"
                outcome.not_covered.append(said)
