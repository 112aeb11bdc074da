"""What a campaign amounts to so far: a fold over the records of its journal, in their order. Pure.

A record of a slice counts once: it is in the journal with the number of its slice, and ``lines`` says how many of a
slice are there already.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zmqfuzz.campaign.naming import way_of
from zmqfuzz.trial import Reached

__all__ = ["Sighting", "Tally"]

_CELL = ("family", "mechanism", "socket_type", "side", "stage")
"""What names a cell of the reach map."""

RECENT = 240
"""Samples of memory and speed that are kept for curves."""


TRIES = 2
"""Slices that may end in the middle of a triage before what was to be triaged is left in doubt."""


@dataclass(slots=True)
class Sighting:
    """A finding of the campaign. ``replays``: how often it was shown of how many, when it was replayed last.

    ``state``: ``new`` in this campaign, ``still`` there, ``rare`` (some replays showed it), ``fixed`` (none did) or
    ``unclear``. ``times`` that slices found it; ``first`` in seconds of the campaign.
    """

    id: str
    title: str
    severity: str
    told: dict[str, Any]
    first: float
    times: int = 0
    state: str = "new"
    replays: tuple[int, int] = (0, 0)
    sentence: str = ""

    @property
    def rare(self) -> bool:
        """Whether not every fresh process shows it."""
        finding = self.told.get("finding", {})
        shown, tried = self.replays if self.replays[1] else (finding.get("confirmed", 0), finding.get("tried", 0))
        return 0 < shown < tried


@dataclass(slots=True)
class Tally:
    """All counters. Seconds are of wall time while the campaign went on; keys of ``cases`` are door and family.

    ``examined``: door and code of what each slice is minimising and confirming now; ``broken_off``: of what a slice was
    at when it was stopped, or its worker died. ``waiting``: what was caught and is to be triaged by the next slice,
    ``given``: by those that go on.
    """

    begun: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0
    leg_began: float = 0.0
    leg_over: bool = True
    legs: int = 0
    resumes: int = 0
    slices: int = 0
    slices_over: int = 0
    died: int = 0
    open: set[int] = field(default_factory=set)
    lines: Counter[int] = field(default_factory=Counter)
    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    took: Counter[tuple[str, str]] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    news: Counter[tuple[str, str]] = field(default_factory=Counter)
    leg_cases: int = 0
    starts: int = 0
    cells: set[str] = field(default_factory=set)
    best: dict[str, float] = field(default_factory=dict)
    known: set[tuple[str, str, str]] = field(default_factory=set)
    found: dict[str, Sighting] = field(default_factory=dict)
    unconfirmed: dict[str, str] = field(default_factory=dict)
    examined: dict[int, tuple[str, str]] = field(default_factory=dict)
    broken_off: set[tuple[str, str]] = field(default_factory=set)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    given: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    doors: dict[str, dict[str, Any]] = field(default_factory=dict)
    reached: dict[tuple[str, str], str] = field(default_factory=dict)
    checks: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    uncovered: dict[str, None] = field(default_factory=dict)
    observed: list[str] = field(default_factory=list)
    reach: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    impossible: dict[str, None] = field(default_factory=dict)
    closed: dict[int, dict[str, Any]] = field(default_factory=dict)
    last_cell: float = 0.0
    last_finding: float | None = None
    memory: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=RECENT))
    rss: dict[int, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Attacks that were played."""
        return sum(self.cases.values())

    @property
    def leg(self) -> float:
        """Seconds since the budget began that is being spent."""
        return self.elapsed - self.leg_began

    def take(self, record: Mapping[str, Any]) -> None:
        """One record of the journal, in its order."""
        self.elapsed = max(self.elapsed, float(record.get("elapsed", 0.0)))
        number = record.get("slice")
        if isinstance(number, int) and record["event"] not in ("slice-began", "slice-over"):
            self.lines[number] += 1
        taker = getattr(self, f"_{str(record['event']).replace('-', '_')}", None)
        if taker is not None:
            taker(record)

    def _begun(self, record: Mapping[str, Any]) -> None:
        self.begun = self.begun or dict(record)

    def _leg(self, record: Mapping[str, Any]) -> None:
        self.legs += 1
        self.leg_began, self.leg_over, self.leg_cases = self.elapsed, False, 0
        self.last_cell = self.elapsed
        for sighting in self.found.values():
            sighting.state = "unclear" if sighting.state != "fixed" else "fixed"

    def _resumed(self, record: Mapping[str, Any]) -> None:
        self.resumes += 1

    def _over(self, record: Mapping[str, Any]) -> None:
        self.leg_over = True

    def _slice_began(self, record: Mapping[str, Any]) -> None:
        self.slices = max(self.slices, int(record["slice"]))
        self.open.add(int(record["slice"]))
        if "replay" not in record:
            self.given[int(record["slice"])], self.waiting = self.waiting, []

    def _slice_over(self, record: Mapping[str, Any]) -> None:
        number = int(record["slice"])
        self.open.discard(number)
        self.lines.pop(number, None)
        self.closed.pop(number, None)
        self.rss.pop(number, None)
        if number in self.examined:
            self.broken_off.add(self.examined.pop(number))
        for one in self.given.pop(number, []):  # it did not come to its end; what kills a worker is not tried for ever
            if one.get("tries", 0) < TRIES:
                self.waiting.append(one | {"tries": one.get("tries", 0) + 1})
            else:
                self.doubts[one["said"]] += 1
        self.slices_over += 1
        self.died += bool(record.get("died"))

    def _door(self, record: Mapping[str, Any]) -> None:
        if record.get("ok") or record["door"] not in self.doors:
            self.doors[record["door"]] = {key: value for key, value in record.items() if key not in ("slice", "at")}

    def _played(self, record: Mapping[str, Any]) -> None:
        self.starts += record["starts"]
        for door, family, count in record["cases"]:
            self.cases[(door, family)] += count
            self.leg_cases += count

    def _slice(self, record: Mapping[str, Any]) -> None:
        self.took[(record["door"], record["family"])] += record.get("took", 0.0)
        self.turns[record["family"]] += 1
        if record["rss"]:
            self.rss[record["slice"]] = record["rss"]
            self.memory.append((round(self.elapsed, 1), record["rss"]))

    def _learned(self, record: Mapping[str, Any]) -> None:
        fresh = set(record["cells"]) - self.cells
        if fresh:
            self.cells |= fresh
            self.last_cell = self.elapsed
            door, family = next(iter(fresh)).split(" ")[:2]
            self.news[(door, family)] += len(fresh)
        for name, value in record["best"].items():
            key = f"{record['door']} {name}"
            self.best[key] = max(value, self.best.get(key, 0.0))

    def _found(self, record: Mapping[str, Any]) -> None:
        finding = record["finding"]
        self.examined.pop(record.get("slice", 0), None)
        self.known.add(way_of(record["door"], finding["code"], finding["signature"]))
        before = self.found.get(finding["id"])
        if before is None or before.state == "fixed":
            told = {key: value for key, value in record.items() if key not in ("slice", "elapsed")}
            before = Sighting(finding["id"], finding["title"], finding["severity"], told, self.elapsed)
            self.found[finding["id"]] = before
            self.last_finding = self.last_cell = self.elapsed
        before.times += 1
        before.state = "new" if before.state == "new" else "still"

    def _kept(self, record: Mapping[str, Any]) -> None:
        """A finding of an earlier run, that is replayed."""
        finding = record["finding"]
        self.known.add(way_of(record["door"], finding["code"], finding["signature"]))
        if finding["id"] not in self.found:
            told = {key: value for key, value in record.items() if key != "elapsed"} | {"event": "found"}
            self.found[finding["id"]] = Sighting(
                finding["id"], finding["title"], finding["severity"], told, self.elapsed, state="unclear"
            )

    def _replayed(self, record: Mapping[str, Any]) -> None:
        sighting = self.found.get(record["finding"])
        if sighting is None:
            return
        shown, tried = record["shown"], record["tried"]
        sighting.replays, sighting.sentence = (shown, tried), record["sentence"]
        sighting.state = "still" if record["holds"] else "rare" if shown else "fixed" if tried else "unclear"
        finding = sighting.told["finding"]
        way = way_of(sighting.told["door"], finding["code"], finding["signature"])
        (self.known.discard if sighting.state == "fixed" else self.known.add)(way)

    def _closed(self, record: Mapping[str, Any]) -> None:
        self.closed[record["slice"]] = dict(record)

    def _suspected(self, record: Mapping[str, Any]) -> None:
        self.examined[record["slice"]] = record["door"], record["code"]

    def _unconfirmed(self, record: Mapping[str, Any]) -> None:
        self.examined.pop(record["slice"], None)
        self.unconfirmed[f"{record['door']} {record['code']}"] = record["sentence"]

    def _ended(self, record: Mapping[str, Any]) -> None:
        outcome = record["outcome"]
        self.known |= {(door, code, way) for door, code, way in record["known"]}
        self.doubts.update(record["seen"][0])
        self.given.pop(record["slice"], None)
        self.waiting += record.get("waiting", [])
        self.uncovered |= dict.fromkeys(record["seen"][1])
        self.checks.update({check["code"]: check["count"] for check in outcome["checks"]})
        self.observed = outcome["observed"]
        for row in outcome["cases"]:
            key, reached = (row["door"], row["family"]), row["reached"]
            before = self.reached.get(key, reached)
            self.reached[key] = max(before, reached, key=lambda name: Reached[name.upper()])
        self.impossible |= dict.fromkeys(outcome["reach"]["impossible"])
        for cell in outcome["reach"]["cells"]:
            self._cell(cell)

    def _cell(self, cell: Mapping[str, Any]) -> None:
        """Of the reach map: it was reached when it was in any slice."""
        before = self.reach.setdefault(tuple(cell[name] for name in _CELL), dict(cell) | {"count": 0})
        before["count"] += cell["count"]
        before["reachable"] |= cell["reachable"]
        before["why"] = "" if before["count"] else cell["why"]
