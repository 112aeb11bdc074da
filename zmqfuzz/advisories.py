"""Public advisories about libzmq, and whether a door of a given target can be reached by what they describe.

Contract: the table is a file of the package (``advisories.toml``), dated, and read without the network. A version that
is not in a range of the table is not known to be vulnerable, whatever its age. :func:`reaches` is a pure function.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from importlib import resources

from zmqfuzz.exposure import Version
from zmqfuzz.finding import Severity
from zmqfuzz.trial import Surface

__all__ = ["STALE", "Advisory", "Reach", "Table", "reaches", "read_version", "table", "told_severity"]

STALE = 180
"""Days after which the table is told to be old."""


class Reach(IntEnum):
    """How far a peer gets to what an advisory describes, at the doors that were seen; the worst is the largest."""

    NOT_SEEN = 0
    UNKNOWN = 1
    INSIDE = 2
    ANYONE = 3


@dataclass(frozen=True, slots=True)
class Advisory:
    """One row; see the head of ``advisories.toml``. ``affected``: from the first version to before the second."""

    id: str
    title: str
    severity: Severity
    affected: tuple[tuple[Version, Version], ...]
    source: str
    aliases: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    side: str = ""
    inside: bool = False
    unseen: str = ""

    def fixed(self, version: Version) -> Version | None:
        """The release that mended it for those who have ``version``; None: that one is not affected."""
        return next((fixed for first, fixed in self.affected if first <= version < fixed), None)


@dataclass(frozen=True, slots=True)
class Table:
    """All advisories, and the day on which they were last compared with their sources."""

    checked: date
    advisories: tuple[Advisory, ...]

    def about(self, version: Version) -> tuple[Advisory, ...]:
        """Those that this version of libzmq is affected by."""
        return tuple(one for one in self.advisories if one.fixed(version) is not None)

    def stale(self, today: date) -> str:
        """That the table is old, in words; empty where it is not."""
        days = (today - self.checked).days
        return (
            f"the table of advisories is of {self.checked}, {days} days old; a newer zmqfuzz has a newer one"
            if days > STALE
            else ""
        )


def read_version(text: str) -> Version:
    """``4.3.5``. Raises ValueError."""
    major, minor, patch = map(int, text.split("."))
    return major, minor, patch


@functools.cache
def table() -> Table:
    """The table of this package."""
    plain = tomllib.loads(resources.files("zmqfuzz").joinpath("advisories.toml").read_text(encoding="utf-8"))
    return Table(plain["checked"], tuple(_advisory(**row) for row in plain["advisory"]))


def _advisory(
    *,
    id: str,
    title: str,
    severity: str,
    affected: list[list[str]],
    source: str,
    aliases: list[str] | None = None,
    mechanisms: list[str] | None = None,
    types: list[str] | None = None,
    side: str = "",
    inside: bool = False,
    unseen: str = "",
) -> Advisory:
    return Advisory(
        id,
        title,
        Severity(severity),
        tuple((read_version(first), read_version(fixed)) for first, fixed in affected),
        source,
        tuple(aliases or ()),
        tuple(mechanisms or ()),
        tuple(types or ()),
        side,
        inside,
        unseen,
    )


def reaches(advisory: Advisory, surface: Surface) -> tuple[Reach, str]:
    """How far a peer gets at this door, and why, in words; what the greeting and READY said is what is known of it."""
    mechanism = surface.mechanism or "NULL"
    if advisory.side and surface.side != advisory.side:
        return Reach.NOT_SEEN, "needs a door that " + ("listens" if advisory.side == "bind" else "connects to others")
    if advisory.mechanisms and mechanism not in advisory.mechanisms:
        return Reach.NOT_SEEN, f"needs a door that asks for {' or '.join(advisory.mechanisms)}"
    kind = surface.socket_type.upper()
    if advisory.types and kind and kind not in advisory.types:
        return Reach.NOT_SEEN, f"needs a {' or '.join(advisory.types)} socket"
    if advisory.types and not kind:
        return Reach.UNKNOWN, f"needs a {' or '.join(advisory.types)} socket, and {surface.key} did not say its type"
    if advisory.unseen:
        return Reach.UNKNOWN, f"where {advisory.unseen}, which cannot be seen from outside"
    # Of PLAIN a client learns nothing about its server (RFC 24), which is why only the side that listens is guarded.
    guarded = mechanism == "CURVE" or (mechanism != "NULL" and surface.side == "bind")
    if advisory.inside and guarded:
        return Reach.INSIDE, f"by who is let in at {surface.key}"
    return Reach.ANYONE, f"by anyone at {surface.key}"


def told_severity(advisory: Advisory, reach: Reach) -> Severity:
    """As published where anyone gets there; one step less for those who are let in; else low."""
    if reach is Reach.ANYONE:
        return advisory.severity
    steps = list(Severity)
    less = steps[min(advisory.severity.rank + 1, Severity.LOW.rank)]
    return less if reach is Reach.INSIDE else Severity.LOW
