"""The reach map: where in ZMTP each attack family acted, at which kind of door, and why not everywhere. Pure.

A cell is a stage of a connection x family x mechanism x socket type x side. It is reached when a peer of the family
sent something, or left, in a connection that stood at that stage; it is reachable when the family's own draws, played
against a target that keeps to RFC 37 (and 24, 26), do so. A bystander's connection does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zmqfuzz.catalogue import Family, Situation
from zmqfuzz.drawing import RandomDraw
from zmqfuzz.older import is_old
from zmqfuzz.script import (
    Close,
    Connect,
    Expect,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import Reached, Stage, Surface, Trial
from zmqfuzz.zmtp.measure import unfinished
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting, Greeting2, Raw, Unit, encode

__all__ = ["Reach", "Row", "acted_in", "planned", "reachable", "rows_from", "summary", "table"]

DRAWS = 128
"""Draws that show where a family acts."""

PLAIN = (0.0, 0.5)
"""Shares of simplest choices in these draws, in turn."""

LEAST = 2
"""Draws that must act at a stage for it to be expected of a run."""

_GREETING = 64
_VERSIONED = 11
"""Octets of our greeting (RFC 37), and those after which libzmq completes its own (``zmtp_engine.cpp``)."""

_TELLING = (slice(0, 11), slice(12, 32))
"""Where a greeting decides what follows: signature and major version, mechanism."""

_PAUSE = 0.01
"""Seconds after which an answer on the same machine has come."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cell. ``count`` attacks acted there; ``why`` not, where none did. ``reachable`` as in the module's word."""

    family: str
    mechanism: str
    socket_type: str
    side: str
    stage: str
    reachable: bool
    count: int
    why: str = ""

    @property
    def door(self) -> str:
        """The kind of door, for people."""
        return _door(self.mechanism, self.socket_type, self.side)


@dataclass(slots=True)
class _Seen:
    """What is known of one family at one kind of door."""

    expected: frozenset[Stage] = frozenset()
    reasons: dict[Stage, str] = field(default_factory=dict)
    attacks: int = 0
    acted: Counter[Stage] = field(default_factory=Counter)
    tried: Counter[Stage] = field(default_factory=Counter)
    furthest: Reached = Reached.NOTHING
    ended: dict[Stage, Counter[str]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    impossible: Counter[str] = field(default_factory=Counter)


_Place = tuple[str, str, str, str]


class Reach:
    """Collects where the attacks of a run acted."""

    def __init__(self) -> None:
        self._seen: dict[_Place, _Seen] = {}

    def expect(self, family: Family, situation: Situation) -> None:
        """A family may be played at this door: what is expected of it there."""
        place = _place(family.name, situation.surface)
        if place not in self._seen:
            expected = reachable(family, situation)
            self._seen[place] = _Seen(expected, _reasons(family, situation, expected))

    def note(self, trial: Trial) -> None:
        """One attack was played."""
        seen = self._seen.setdefault(_place(trial.attack.strategy, trial.surface), _Seen())
        acted = acted_in(trial)
        seen.attacks += 1
        seen.acted.update(acted)
        seen.furthest = max(seen.furthest, trial.reached)
        ends = {transcript.closed_by.value for transcript in trial.transcripts}
        seen.ends.update(ends)
        seen.impossible.update({said for transcript in trial.transcripts for said in transcript.missed})
        missed = planned(trial.attack.scripts, trial.surface) - acted
        seen.tried.update(missed)
        for stage in missed:
            seen.ended.setdefault(stage, Counter()).update(ends)

    def wanted(self, family: Family, surface: Surface) -> frozenset[Stage]:
        """The stages expected of the family at this door in which it has not acted yet."""
        seen = self._seen.get(_place(family.name, surface), _Seen())
        return seen.expected - seen.acted.keys()

    def ends(self, name: str, surface: Surface) -> str:
        """How the family's connections ended at this door, the two most usual ways."""
        return _ends(self._seen.get(_place(name, surface), _Seen()).ends)

    def rows(self) -> tuple[Row, ...]:
        """Every cell of the families and doors of the run, sorted."""
        found = []
        for place, seen in sorted(self._seen.items()):
            for stage in Stage:
                count, expected = seen.acted[stage], stage in seen.expected
                why = "" if count else _missed(seen, stage) if expected else seen.reasons.get(stage, "")
                found.append(Row(*place, stage.value, expected, count, why))
        return tuple(found)

    def impossible(self) -> tuple[str, ...]:
        """The steps that could not be done here, for people: a line for each family and kind of door."""
        return tuple(
            f"{_door(*place[1:])}: {place[0]} {said} ({count} attack{'s' * (count != 1)})"
            for place, seen in sorted(self._seen.items())
            for said, count in sorted(seen.impossible.items())
        )

    def to_plain(self) -> dict[str, Any]:
        """For JSON: the figures, a list of all cells, and what could not be done."""
        rows = self.rows()
        reached, total = _share(rows)
        cells = [{name: getattr(row, name) for name in Row.__slots__} for row in rows]
        return {"reached": reached, "reachable": total, "cells": cells, "impossible": [*self.impossible()]}


def rows_from(plain: Mapping[str, Any]) -> tuple[Row, ...]:
    """The cells that ``to_plain`` wrote."""
    return tuple(Row(**cell) for cell in plain["cells"])


def _door(mechanism: str, socket_type: str, side: str) -> str:
    return f"{mechanism} {socket_type or 'ZMTP'} that {side}s"


def _place(name: str, surface: Surface) -> _Place:
    return name, surface.mechanism or "NULL", surface.socket_type.upper(), surface.side


def _missed(seen: _Seen, stage: Stage) -> str:
    """Why a reachable cell was not reached."""
    if not seen.attacks:
        return "no attack was played"
    tried = seen.tried[stage]
    if not tried:
        return f"none of the {seen.attacks} attacks there was time for went there"
    got = f"got to {seen.furthest.name.lower()} at best"
    return f"{tried} attack{'s' * (tried != 1)} went for it and {got} ({_ends(seen.ended[stage])})"


def _ends(ends: Counter[str]) -> str:
    return ", ".join(f"{end} in {count}" for end, count in ends.most_common(2))


def acted_in(trial: Trial) -> frozenset[Stage]:
    """The stages in which the attack's peers acted."""
    stages: set[Stage] = set()
    for transcript in trial.transcripts:
        if transcript.label != "bystander":
            stages |= transcript.acted
    return frozenset(stages)


def reachable(family: Family, situation: Situation) -> frozenset[Stage]:
    """The stages in which the family's draws act at this door; none where it is not played."""
    if not family.applies(situation.surface):
        return frozenset()
    counts: Counter[Stage] = Counter()
    for seed in range(DRAWS):
        scripts = family.draw(RandomDraw(seed, PLAIN[seed % len(PLAIN)]), situation)
        counts.update(planned(scripts, situation.surface))
    return frozenset(stage for stage, count in counts.items() if count >= LEAST)


def _reasons(family: Family, situation: Situation, expected: frozenset[Stage]) -> dict[Stage, str]:
    """Why the other stages are not reachable."""
    surface = situation.surface
    if family.mechanism not in ("", surface.mechanism or "NULL"):
        return dict.fromkeys(Stage, f"it attacks {family.mechanism} only")
    reasons = dict.fromkeys(Stage, "not where this family attacks")
    if not surface.version.startswith("3"):
        reasons[Stage.HANDSHAKE] = f"ZMTP {surface.version} has no handshake"
    elif surface.mechanism in ("", "NULL"):
        reasons[Stage.GREETING] = "its READY follows its greeting at once"
    reasons[Stage.REFUSED] = "only a target that says ERROR gets there"
    for other, reason in (
        (replace(surface, side="bind"), "it opens one connection at a time"),
        (replace(surface, known=True), "it needs the door's key or password"),
    ):
        if other != surface:
            elsewhere = reachable(family, replace(situation, surface=other))
            reasons |= dict.fromkeys(elsewhere - expected, reason)
    return reasons


def planned(scripts: Iterable[Script], surface: Surface) -> frozenset[Stage]:
    """The stages in which ``scripts`` act, as far as that is sure with a target that keeps to the protocol."""
    stages: set[Stage] = set()
    for script in scripts:
        if script.label != "bystander":
            stages |= _Walk(surface).through(script)
    return frozenset(stages)


class _Walk:
    """One script against an honest target. ``stage`` None: not open, or not sure."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._mechanism = surface.mechanism or "NULL"
        self._answers = surface.side == "connect" and self._mechanism in ("PLAIN", "CURVE")
        self._stage: Stage | None = None
        self._acted: set[Stage] = set()
        self._said = b""
        self._open = False

    def through(self, script: Script) -> set[Stage]:
        """All stages in which the script acts."""
        for step in script.steps:
            match step:
                case Connect():
                    self._act()
                    self._stage, self._said, self._open = Stage.CONNECTED, b"", False
                case Shake():
                    self._shake(step)
                case Send():
                    self._act()
                    self._send(step)
                case Wait(seconds) | Expect(_, seconds):
                    if seconds >= _PAUSE and self._stage is None and _VERSIONED <= len(self._said) < _GREETING:
                        self._stage = Stage.GREETING
                case Close() | Reset() | Vanish():
                    self._act()
                    self._stage, self._said = None, b""
                case ShutdownWrite():
                    self._act()
                case StopReading():
                    self._said = b""  # what the target answers is not seen
        self._act()
        return self._acted

    def _act(self) -> None:
        if self._stage is Stage.TRAFFIC and self._open:
            self._acted.add(Stage.MESSAGE)
        elif self._stage is not None:
            self._acted.add(self._stage)

    def _shake(self, step: Shake) -> None:
        """How far an honest handshake gets, and one that lies at a step."""
        if self._stage is not Stage.CONNECTED:
            return
        self._stage = None
        known = self._surface.known and not step.stranger
        if (step.mechanism or "NULL") != self._mechanism or step.version[0] != 3 or is_old(self._surface):
            return
        if step.instead:
            if step.honest <= 1 and (known or not step.honest):
                self._acted.add(Stage.HANDSHAKE if step.honest or self._answers else Stage.GREETING)
        elif known or self._mechanism == "NULL":
            self._stage = Stage.TRAFFIC

    def _send(self, step: Send) -> None:
        """Where the connection stands afterwards."""
        if self._stage is Stage.TRAFFIC:
            if all(isinstance(unit, Frame) and not (unit.command or unit.reserved) for unit in step.units):
                self._open = unfinished(step.units, self._open)
            else:
                self._stage = None
            return
        opening = self._stage is Stage.CONNECTED or (self._stage is None and 0 < len(self._said) < _GREETING)
        self._stage = self._opened(step.units) if opening else None

    def _opened(self, units: tuple[Unit, ...]) -> Stage | None:
        """The stage after more of our greeting: part of an honest one, or the whole and nothing more."""
        before, self._said = self._said, b""
        if is_old(self._surface):
            return None if before or not isinstance(units[0], Greeting2) else Stage.TRAFFIC
        odd = [unit for unit in units if not isinstance(unit, Raw | Greeting)]
        if odd or any(isinstance(unit, Raw) and isinstance(unit.data, Fill) for unit in units):
            return None
        said = before + b"".join(map(encode, units))
        honest = encode(Greeting(mechanism=self._mechanism.encode()))
        if len(said) > _GREETING or any(said[part] != honest[part][: len(said[part])] for part in _TELLING):
            return None
        if len(said) == _GREETING:
            return Stage.HANDSHAKE if self._mechanism == "NULL" or self._answers else Stage.GREETING
        self._said = said
        return Stage.CONNECTED if len(said) < _VERSIONED else None


def _share(rows: Iterable[Row]) -> tuple[int, int]:
    return sum(bool(row.count) for row in rows if row.reachable), sum(row.reachable for row in rows)


def summary(rows: tuple[Row, ...], most: int = 3) -> str:
    """One line: how many of the reachable cells were reached, and the first that were not."""
    reached, total = _share(rows)
    left = [f"{row.family} {row.stage} at {row.door}" for row in rows if row.reachable and not row.count]
    more = f" and {len(left) - most} more" if len(left) > most else ""
    missed = f": {len(left)} not reached: {', '.join(left[:most])}{more}" if left else ""
    return f"reach {reached}/{total}{missed}"


def table(rows: tuple[Row, ...]) -> list[str]:
    """The whole map for people: a block for each kind of door, a line for each family, then why cells are empty."""
    lines: list[str] = []
    for door in dict.fromkeys(row.door for row in rows):
        here = [row for row in rows if row.door == door]
        lines += ["", door, f"  {'':20}" + "".join(f"{stage.value:>11}" for stage in Stage)]
        for name in dict.fromkeys(row.family for row in here):
            cells = {row.stage: row for row in here if row.family == name}
            marks = [_mark(cells[stage.value]) for stage in Stage]
            lines.append(f"  {name:20}" + "".join(f"{mark:>11}" for mark in marks))
        whys = dict.fromkeys(f"  {row.family} {row.stage}: {row.why}" for row in here if row.reachable and row.why)
        lines += whys
    return lines


def _mark(row: Row) -> str:
    return f"{row.count:,}" if row.count else "MISSED" if row.reachable else "."
