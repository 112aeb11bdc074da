"""Events of a run as plain data for JSON lines: small, complete enough for every report, no attack's octets.

What an attack sent is beside the finding (``transcript.zft``); here is what a person reads of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zmqfuzz.campaign.decode import decode_attack
from zmqfuzz.campaign.events import Calibrated, Ended, Event, Found, Outcome, Sliced, Suspected, Unconfirmed, doubted
from zmqfuzz.campaign.plain import surface_to_plain
from zmqfuzz.campaign.report import cost_line, failure_message
from zmqfuzz.catalogue import Family, invariants
from zmqfuzz.finding import Finding
from zmqfuzz.script import Send, Shake
from zmqfuzz.trial import Direction, Examination, Reached, Sample, Trial

__all__ = ["outcome_to_plain", "retold", "tell"]

MOST_SAMPLES = 240
MOST_MARKS = 12
MOST_LINES = 400
"""Of a curve, of the steps marked in it, and of a transcript."""

_LARGE = ("attack", "original", "history", "measures", "surface")
"""Fields of a finding that are told in other words, or are beside it in its folder."""


def tell(event: Event, store: Path) -> dict[str, Any]:
    """One event, with ``event`` as its kind; :class:`Ended` tells only that the run has ended.

    ``store`` is where findings are saved.
    """
    match event:
        case Calibrated(surface, level, ok):
            return {"event": "door", "door": surface.key, **surface_to_plain(surface), "level": level, "ok": ok}
        case Sliced():
            return {
                "event": "slice",
                "door": event.surface.key,
                "family": event.family,
                "cases": event.cases,
                "total": event.total,
                "rss": event.rss,
            }
        case Suspected():
            return {**_where("suspected", event), "code": event.code, "sentence": event.sentence}
        case Unconfirmed():
            return {**_where("unconfirmed", event), "code": event.code, "sentence": event.reason}
        case Found():
            return _found(event, store)
        case Ended():
            return {"event": "ended"}


def _where(kind: str, event: Suspected | Unconfirmed) -> dict[str, Any]:
    return {"event": kind, "door": event.surface.key, "family": event.family}


def _found(event: Found, store: Path) -> dict[str, Any]:
    finding, trial = event.finding, event.trial
    lines = decode_attack(finding.attack, trial)
    left = len(lines) - MOST_LINES
    return {
        "event": "found",
        "door": finding.surface.key,
        "family": finding.attack.strategy,
        "finding": _finding(finding),
        "text": failure_message(finding, trial, folder=store / "findings" / finding.id),
        "folder": str(store / "findings" / finding.id),
        "transcript": lines[:MOST_LINES] + ([f"... and {left:,} more lines, in transcript.txt"] if left > 0 else []),
        "series": _curve(trial),
        "marks": _marks(trial),
        "control": _curve(event.control) if event.control is not None else [],
        **_examined(event),
    }


def _examined(event: Found) -> dict[str, Any]:
    """What was judged, where it is more than one trial: an honest client's answers, and what each round left behind.

    ``asked``: of each answer when it was asked for, how long it took, and whether it came; ``calm``: where honest peers
    were in the attackers' place. ``rounds``: resident octets, descriptors and connections without a peer.
    """
    trials: list[Trial] = []
    controls = [event.control] if event.control is not None else []
    rounds: tuple[Trial, ...] = ()
    for seen in event.evidence:
        if isinstance(seen, Trial):
            trials.append(seen)
        elif isinstance(seen, Examination):
            trials += seen.trials
            controls = [*seen.controls]
            rounds = seen.trials if seen.kind == "rounds" else rounds
    settled = [(trial.observation.settled, trial.observation.abandoned) for trial in rounds]
    return {
        "asked": [answer for trial in trials for answer in _answers(trial)][:MOST_SAMPLES],
        "calm": [answer for trial in controls for answer in _answers(trial)][:MOST_SAMPLES],
        "rounds": [[one.rss, one.descriptors, abandoned] for one, abandoned in settled if one is not None],
    }


def _answers(trial: Trial) -> list[tuple[float, float, bool]]:
    seen = trial.observation
    moments = (seen.beside.before, seen.beside.during, seen.beside.after) if seen.beside is not None else ()
    services = [(one.at, one.seconds, one.got > 0) for one in moments if one is not None]
    probes = [(one.at, one.seconds, one.ok) for one in seen.probes]
    return [(round(at, 3), round(seconds, 4), ok) for at, seconds, ok in (*services, *probes)]


def retold(finding: Finding, folder: Path) -> dict[str, Any]:
    """A finding that is in ``folder`` as it was told when it was found, without the curves of its trial."""
    return {
        "event": "found",
        "door": finding.surface.key,
        "family": finding.attack.strategy,
        "finding": _finding(finding),
        "text": failure_message(finding, folder=folder),
        "folder": str(folder),
        "transcript": decode_attack(finding.attack)[:MOST_LINES],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    plain = {
        field.name: getattr(finding, field.name) for field in dataclasses.fields(Finding) if field.name not in _LARGE
    }
    plain["measures"] = [[item.name, item.observed, item.limit] for item in finding.measures]
    plain["history"] = len(finding.history)
    plain["notes"] = list(finding.notes)
    plain["cost"] = cost_line(finding)
    return {**plain, "door": finding.surface.key, "surface": surface_to_plain(finding.surface)}


def _curve(trial: Trial) -> list[list[float]]:
    """Of each sample: seconds, octets sent, resident octets, virtual octets, descriptors."""
    samples = [(one.at, one.sent, one.rss, one.virtual, one.descriptors) for one in _thinned(trial.observation.series)]
    return [[round(at, 3), sent, rss, virtual, descriptors] for at, sent, rss, virtual, descriptors in samples]


def _thinned(series: Sequence[Sample]) -> list[Sample]:
    """At most MOST_SAMPLES of them; of several put together, the one with most memory."""
    count = min(len(series), MOST_SAMPLES)
    cuts = [len(series) * number // max(count, 1) for number in range(count + 1)]
    return [max(series[cuts[place] : cuts[place + 1]], key=lambda one: one.rss) for place in range(count)]


def _marks(trial: Trial) -> list[tuple[float, str]]:
    """When the first peer sent what (by the numbers of its steps in the transcript), when all had been sent, and when
    all were gone; seconds as in the curve."""
    seen = trial.observation
    marks = [
        (one.at, words) for one, words in ((seen.held, "all sent"), (seen.settled, "peers gone")) if one is not None
    ]
    for script, transcript in zip(trial.attack.scripts[:1], trial.transcripts, strict=False):
        steps = [number for number, step in enumerate(script.steps, 1) if isinstance(step, Shake | Send)]
        sent = [one for one in transcript.entries if one.direction is Direction.SENT and one.note != "honest reply"]
        named = list(zip(sent, steps, strict=False))[: MOST_MARKS - len(marks)]
        marks += [(entry.at, f"step {number}") for entry, number in named]
    return [(round(at, 3), words) for at, words in sorted(marks)]


def _kept(code: str, count: int, unsure: frozenset[str]) -> str:
    """Of an invariant that no finding has broken."""
    return "in doubt" if code in unsure else "held" if count else "not exercised"


def outcome_to_plain(outcome: Outcome, families: Sequence[Family], observed: Sequence[str]) -> dict[str, Any]:
    """What a run amounts to. ``observed``: what was seen without a promise, in words.

    Not all that was played is of a family: how the target ends needs nothing to be reached.
    """
    needs = {family.name: family.needs for family in families}
    broken, unsure = {finding.code for finding in outcome.findings}, doubted(outcome.doubts)
    rows = [
        {
            "door": door,
            "family": family,
            "cases": count,
            "reached": outcome.reached[(door, family)].name.lower() if (door, family) in outcome.reached else "nothing",
            "needs": needs.get(family, Reached.NOTHING).name.lower(),
            "tested": outcome.reached.get((door, family), 0) >= needs.get(family, Reached.NOTHING),
        }
        for (door, family), count in sorted(outcome.cases.items())
    ]
    return {
        "verdict": outcome.verdict.value,
        "findings": [finding.id for finding in outcome.findings],
        "checks": [
            {"code": code, "name": entry.name, "title": entry.title, "count": outcome.checks[code]}
            | {"result": "violated" if code in broken else _kept(code, outcome.checks[code], unsure)}
            for code, entry in invariants().items()
        ],
        "cases": rows,
        "doubts": list(dict.fromkeys(outcome.doubts)),
        "not_covered": list(dict.fromkeys(outcome.not_covered)),
        "observed": list(observed),
        "reach": outcome.reach.to_plain(),
        "starts": outcome.starts,
        "seconds": round(outcome.seconds, 2),
    }
