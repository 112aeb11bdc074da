"""The end of a campaign as a stored run, so that reports, gate and baseline take it for one.

What slices were in doubt about because of their time is looked at again over all of them together.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zmqfuzz.budget import Budget, Limits
from zmqfuzz.campaign.claims import claim_asked, claim_reach, claim_tested
from zmqfuzz.campaign.events import Outcome
from zmqfuzz.campaign.plain import surface_from_plain
from zmqfuzz.catalogue import Family, invariants
from zmqfuzz.finding import Verdict
from zmqfuzz.overnight.tally import Sighting, Tally
from zmqfuzz.reports.journal import Journal
from zmqfuzz.reports.record import Gate, Run, build
from zmqfuzz.reports.shelf import EVENTS, OUTCOME, TRIALS, new_folder, write_whole
from zmqfuzz.reports.telling import outcome_to_plain
from zmqfuzz.trial import Reached

__all__ = ["amounts_to", "present", "store_run"]

_OF_TIME = ("no time was left for", "the run was stopped before its end", "few attacks in the time there was")
_UNSERVED = "an honest client was not served before any attack"


def present(tally: Tally) -> list[Sighting]:
    """The findings that are there today, also those that are rare."""
    return [one for one in tally.found.values() if one.state in ("new", "still", "rare")]


def amounts_to(tally: Tally, families: Sequence[Family], limits: Limits, interrupted: bool) -> dict[str, Any]:
    """The outcome as plain data, of all slices that came to their end, and of the attacks of all."""
    outcome = Outcome(cases=Counter(tally.cases), starts=tally.starts, seconds=tally.elapsed)
    outcome.reached = {key: Reached[name.upper()] for key, name in tally.reached.items()}
    outcome.checks.update(tally.checks)
    fields = ("address", "socket_type", "mechanism", "version", "index", "side", "known")
    outcome.surfaces = [
        surface_from_plain({key: value for key, value in door.items() if key in fields})
        for door in tally.doors.values()
    ]
    named = {family.name for family in families}
    met = {surface.key for surface in outcome.surfaces}
    outcome.reached = {key: reached for key, reached in outcome.reached.items() if key[0] in met and key[1] in named}
    outcome.doubts = _doubts(tally, families)
    outcome.not_covered = list(tally.uncovered)
    if interrupted:
        outcome.doubts.append("the campaign was interrupted; the same command goes on with it")
    beside = sum(outcome.checks[entry.code] for entry in invariants().values() if entry.examines == "beside")
    claim_reach(outcome, families)
    claim_tested(outcome, limits, Budget.waiting_out(limits), families)
    claim_asked(outcome, beside)
    plain = outcome_to_plain(outcome, families, tally.observed)
    there = {one.told["finding"]["code"] for one in present(tally)}
    for check in plain["checks"]:
        check["result"] = "violated" if check["code"] in there else check["result"]
    plain["findings"] = [one.id for one in present(tally)]
    plain["fixed"] = [one.id for one in tally.found.values() if one.state == "fixed"]
    plain["reach"] = _reach(tally)
    unsure = Verdict.INCONCLUSIVE if plain["doubts"] or not tally.total else Verdict.HELD
    plain["verdict"] = (Verdict.VIOLATED if there else unsure).value
    return plain


def _doubts(tally: Tally, families: Sequence[Family]) -> list[str]:
    """What was seen and not settled. The same in several slices is told once."""
    played = {family for (_, family), count in tally.cases.items() if count}
    doors = {door for (door, _), count in tally.cases.items() if count}
    known = {(one.told["door"], one.told["finding"]["code"]) for one in tally.found.values()}
    seen: dict[str, tuple[str, int]] = {}
    for doubt, times in tally.doubts.items():
        door, _, rest = doubt.partition(": ")
        code = rest.partition("?")[0]
        if doubt.startswith(_OF_TIME) or (door, code) in known or (_UNSERVED in doubt and door in doors):
            continue
        key = f"{door} {code}" if code in invariants() else doubt
        first, count = seen.get(key, (doubt, 0))
        seen[key] = first, count + times
    for one in (*tally.waiting, *(one for given in tally.given.values() for one in given)):
        if (one["door"], one["code"]) not in known:
            seen.setdefault(f"{one['door']} {one['code']}", (one["said"], 1))
    for door, code in sorted(tally.broken_off - known):
        seen.setdefault(f"{door} {code}", (f"{door}: {code}? seen, and its examination was broken off", 1))
    doubts = [f"{doubt} (so in {count} slices)" if count > 1 else doubt for doubt, count in seen.values()]
    unplayed = [family.name for family in families if family.name not in played and _fits(family, tally)]
    if unplayed and tally.total:
        more = f" and {len(unplayed) - 3} more" if len(unplayed) > 3 else ""
        doubts.append(f"no time was left for {', '.join(unplayed[:3])}{more} (give --for longer)")
    doubts += [
        f"{one.id} is known, and could not be replayed" for one in tally.found.values() if one.state == "unclear"
    ]
    return doubts


def _fits(family: Family, tally: Tally) -> bool:
    fields = ("address", "socket_type", "mechanism", "version", "index", "side", "known")
    return any(
        family.applies(surface_from_plain({key: value for key, value in door.items() if key in fields}))
        for door in tally.doors.values()
        if door["ok"]
    )


def _reach(tally: Tally) -> dict[str, Any]:
    """The reach map of all slices, as that of a run."""
    wanted = [cell for cell in tally.reach.values() if cell["reachable"]]
    reached = sum(bool(cell["count"]) for cell in wanted)
    cells = [*tally.reach.values()]
    return {"reached": reached, "reachable": len(wanted), "cells": cells, "impossible": [*tally.impossible]}


def _as_told(one: Sighting) -> dict[str, Any]:
    """The event of a finding, with what its last replays showed."""
    if not one.replays[1]:
        return one.told
    shown, tried = one.replays
    notes = [*one.told["finding"].get("notes", ())]
    if one.rare:
        notes.append(f"rare: {shown} of {tried} replays show it")
    return one.told | {"finding": one.told["finding"] | {"confirmed": shown, "tried": tried, "notes": notes}}


def store_run(
    store: Path, name: str, started: dict[str, Any], tally: Tally, outcome: dict[str, Any], gate: Gate, trials: Path
) -> tuple[Run, Path]:
    """Keep the campaign as a run called ``name``; ``started`` is its first event, ``trials`` what can be judged again.

    Raises OSError.
    """
    events = [{"event": "started", "at": 0.0, **started}]
    events += [{"at": 0.0, **door} for door in tally.doors.values()]
    events += [
        {"event": "slice", "at": round(tally.elapsed, 1), "door": door, "family": family, "cases": count, "rss": 0}
        | {"took": round(tally.took[(door, family)], 3)}
        for (door, family), count in sorted(tally.cases.items())
    ]
    memory = {"event": "slice", "door": "", "family": "", "cases": 0, "took": 0.0}
    events += [{**memory, "at": at, "rss": rss} for at, rss in tally.memory]
    events += [{"at": round(one.first, 1), **_as_told(one)} for one in present(tally)]
    outcome = outcome | {"error": "", "complete": True}
    outcome["gate"] = {key: getattr(gate, key) for key in Gate.__slots__}
    folder = new_folder(store, name)
    journal = Journal(folder / EVENTS)
    try:
        for event in events:
            if (error := journal.write(event)) is not None:
                raise error
    finally:
        journal.close()
    if trials.exists():
        shutil.copyfile(trials, folder / TRIALS)
    write_whole(folder / OUTCOME, json.dumps(outcome, indent=1) + "\n")
    run = build(folder.name, events, json.loads(json.dumps(outcome)), ())
    return replace(run, name=folder.name), folder
