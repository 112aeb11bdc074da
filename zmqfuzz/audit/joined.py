"""What sources say and what a run showed, brought together: confirmed, refuted, or not probed.

A rule that is decided when a socket is bound or connected is refuted by a run in which the socket of its line was
opened and was not so. Another configuration may still make it true: such a line stays, as info.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zmqfuzz.audit.lines import Line
from zmqfuzz.finding import Severity
from zmqfuzz.opened import OpenedSocket, Recorded

__all__ = ["BEHAVIOUR", "Proof", "Shown", "by_behaviour", "by_run"]

_DECIDED = frozenset(("ZF601", "ZF603", "ZF605", "ZF607", "ZF609", "ZF610", "ZF620", "ZF622", "ZF630"))

BEHAVIOUR: dict[str, tuple[str, ...]] = {
    "ZF602": ("ZF301",),
    "ZF603": ("ZF201", "ZF206"),
    "ZF605": ("ZF203", "ZF206"),
    "ZF606": ("ZF321",),
    "ZF607": ("ZF311",),
    "ZF609": ("ZF312", "ZF313"),
    "ZF612": ("ZF101", "ZF102"),
    "ZF614": ("ZF101", "ZF102"),
    "ZF623": ("ZF103",),
}
"""By the code of a rule: the invariants that are broken where it matters."""

_PROVEN = {"ZF603": "ZF201", "ZF606": "ZF321", "ZF607": "ZF311"}
"""The invariants that hold only where the rule's fear is unfounded; that others held proves nothing."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A finding of an attack: at a door of type ``kind`` (empty: not known), whose socket ``file`` opens, if known."""

    code: str
    id: str
    kind: str = ""
    file: str = ""

    def is_about(self, line: Line, kinds: set[str]) -> bool:
        """Whether it may be about the socket of ``line``: one of ``kinds``, in the same file if that is known."""
        same = not self.file or Path(self.file) == _full(line.path)
        return same and (not kinds or not self.kind or self.kind in kinds)


@dataclass(frozen=True, slots=True)
class Shown:
    """What attacks and probes showed; ``held``: code and checks of ``run``, which attacked doors of types ``kinds``.

    ``limits``: by the address where it listens, the largest frame that it takes; None: there is no limit.
    ``reached``: whether it could be connected to from another network namespace.
    """

    findings: tuple[Proof, ...] = ()
    held: tuple[tuple[str, int], ...] = ()
    run: str = ""
    limits: tuple[tuple[str, int | None], ...] = ()
    reached: tuple[tuple[str, bool], ...] = ()
    kinds: frozenset[str] = frozenset()


def _full(path: Path) -> Path:
    return path.absolute()


def _places(socket: OpenedSocket) -> Iterable[tuple[Path, int]]:
    known = [socket.created, *(door.place for door in socket.doors), *(one.place for one in socket.settings)]
    return ((Path(place.file), place.line) for place in known if place is not None)


def by_run(static: Sequence[Line], seen: Sequence[Line], recorded: Recorded) -> list[Line]:
    """The lines of the sources with what the run says of them, and what the run alone showed."""
    at: dict[tuple[Path, str], list[Line]] = defaultdict(list)
    for line in seen:
        at[(_full(line.path), line.code)].append(line)
    opened: dict[Path, set[int]] = defaultdict(set)
    for socket in recorded.sockets:
        if socket.doors:
            for path, number in _places(socket):
                opened[path].add(number)
    told: list[Line] = []
    merged: set[int] = set()
    for line in static:
        path, spanned = _full(line.path), range(line.line, line.end_line + 1)
        same = [one for one in at[(path, line.code)] if one.line in spanned]
        if same:
            merged.update(map(id, same))
            one = min(same, key=lambda one: one.severity.rank)
            told.append(
                replace(
                    line,
                    certainty=one.certainty,
                    severity=one.severity,
                    socket=one.socket,
                    endpoint=one.endpoint,
                    evidence=one.evidence,
                )
            )
        elif line.code in _DECIDED and not opened[path].isdisjoint(spanned):
            evidence = "refuted in this run: the socket of this line was opened, and was not so"
            told.append(replace(line, severity=Severity.INFO, evidence=evidence))
        else:
            told.append(replace(line, evidence="not probed"))
    return told + [line for line in seen if id(line) not in merged]


def by_behaviour(lines: Sequence[Line], shown: Shown) -> list[Line]:
    """The same, with what attacks on the target showed of it: by which finding, or by which invariant that held."""
    return [_behaved(line, shown) for line in lines]


def _behaved(line: Line, shown: Shown) -> Line:
    broken = BEHAVIOUR.get(line.code, ())
    kinds = {*line.socket.split(" or ")} - {""}
    found = [proof.id for proof in shown.findings if proof.code in broken and proof.is_about(line, kinds)]
    before = f"{line.evidence}; " if line.evidence and line.evidence != "not probed" else ""
    limits = dict(shown.limits) if line.code == "ZF603" else {}
    reached = dict(shown.reached)
    if line.code == "ZF601" and line.endpoint in reached:
        word = "reached" if reached[line.endpoint] else "not reached"
        return replace(line, evidence=f"{before}{word} from another network namespace")
    if line.endpoint in limits and not found:
        limit = limits[line.endpoint]
        probed = (
            f"refuted by a probe: it takes {limit:,} octets" if limit else "confirmed by a probe: no limit below 64 MiB"
        )
        return replace(line, evidence=f"{before}{probed}")
    if found:
        return replace(line, evidence=f"{before}confirmed by finding {', '.join(found)}")
    if kinds and shown.kinds and kinds.isdisjoint(shown.kinds):
        return line
    proof = [(code, count) for code, count in shown.held if code == _PROVEN.get(line.code)]
    if proof and not line.evidence.startswith("confirmed"):
        code, count = proof[0]
        return replace(line, evidence=f"{before}refuted by {code}, which held ({count:,} checks, {shown.run})")
    others = [f"{code} ({count:,})" for code, count in shown.held if code in broken]
    if others:
        return replace(line, evidence=f"{before}probed and not shown by attacks: {', '.join(others)} held")
    return line
