"""What an attack showed for the first time: behaviour that is new, or more of something than any attack before. Pure.

A cell is a door, a family, the stage of ZMTP in which a peer acted, and how its connection ended. An objective is what
an attack costs the target: measured on attacks that were played alone, as the peers of others hide it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zmqfuzz.budget import MIB
from zmqfuzz.script import Attack
from zmqfuzz.trial import Surface, Trial

__all__ = ["OBJECTIVES", "Learned", "Novelty", "cells_of", "objectives_of"]

OBJECTIVES = {
    "held": "octets held for each octet sent",
    "descriptors": "descriptors held",
    "answer": "seconds until an honest client was answered",
}

LEAST_HELD = 4 * MIB
"""Octets of growth below which an allocator's own steps would be taken for the attack's."""

BETTER = 1.2
"""An attack is kept when it shows so many times as much as the best before it."""

_LEAST = {"held": 0.05, "descriptors": 4.0, "answer": 0.05}


@dataclass(frozen=True, slots=True)
class Learned:
    """An attack that showed something new: the cells it was first in, and the objectives in which it is the best.

    ``lived``: the target was still there afterwards; else the attack belongs to a finding, and is kept with it.
    """

    surface: Surface
    attack: Attack
    cells: tuple[str, ...]
    best: Mapping[str, float]
    lived: bool = True


def cells_of(trial: Trial) -> frozenset[str]:
    """The cells of one trial; a bystander's connection does not count."""
    place = f"{trial.surface.key} {trial.attack.strategy}"
    return frozenset(
        f"{place} {stage.value}: {transcript.closed_by.value}"
        for transcript in trial.transcripts
        if transcript.label != "bystander"
        for stage in transcript.acted
    )


def objectives_of(trial: Trial) -> dict[str, float]:
    """What the attack of one trial cost the target, as far as it was seen, by the names in OBJECTIVES."""
    seen, found = trial.observation, {}
    if trial.held_growth >= LEAST_HELD and trial.sent:
        found["held"] = trial.held_growth / trial.sent
    if seen.baseline is not None and seen.held is not None:
        found["descriptors"] = float(seen.held.descriptors - seen.baseline.descriptors)
    if seen.probes and seen.probes[0].ok:
        found["answer"] = seen.probes[0].seconds
    return {name: round(value, 4) for name, value in found.items() if value >= _LEAST[name]}


class Novelty:
    """Remembers cells, and the best value of each objective by ``DOOR OBJECTIVE``."""

    def __init__(self, cells: Iterable[str] = (), best: Mapping[str, float] | None = None) -> None:
        self._cells = set(cells)
        self._best = dict(best or {})

    def note(self, trial: Trial, *, alone: bool) -> Learned | None:
        """What is new about the trial. Not ``alone``: others were played with it, and only cells are its own."""
        fresh = cells_of(trial) - self._cells
        better = {}
        for name, value in objectives_of(trial).items() if alone else ():
            key = f"{trial.surface.key} {name}"
            if value >= BETTER * self._best.get(key, 0.0):
                self._best[key] = better[name] = value
        self._cells |= fresh
        if not fresh and not better:
            return None
        return Learned(trial.surface, trial.attack, tuple(sorted(fresh)), better, trial.observation.exit is None)
