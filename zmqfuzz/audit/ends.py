"""The two ends of one connection, side by side: what one has and the other lacks. Pure: no source, no run.

Contract: an option that is not known of an end (None) is never told. Sources: zmq_setsockopt(3); RFC 37 for PING and
its time to live; for inproc, ``socket_base.cpp:connect_internal``, where each mark is the sum of both ends', and none
where one of them is 0. A test asks the installed libzmq for each of these facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmqfuzz.finding import Severity

__all__ = ["PARTNERS", "End", "OneSided", "one_sided"]

PARTNERS = {
    "PAIR": {"PAIR"},
    "PUB": {"SUB", "XSUB"},
    "XPUB": {"SUB", "XSUB"},
    "SUB": {"PUB", "XPUB"},
    "XSUB": {"PUB", "XPUB"},
    "REQ": {"REP", "ROUTER"},
    "REP": {"REQ", "DEALER"},
    "DEALER": {"REP", "DEALER", "ROUTER"},
    "ROUTER": {"REQ", "DEALER", "ROUTER"},
    "PUSH": {"PULL"},
    "PULL": {"PUSH"},
}
"""The types that may talk to each other (RFC 28 to 31)."""

_TAKES_FRAMES = frozenset(PARTNERS) - {"PUB", "XPUB", "PUSH"}
"""Types to which a peer sends messages."""


@dataclass(frozen=True, slots=True)
class End:
    """One end. Values as libzmq has them, None where not known. ``near``: both ends are on this machine."""

    type: str
    inproc: bool = False
    near: bool = False
    mechanism: str | None = None
    max_frame: int | None = None
    heartbeat: int | None = None
    heartbeat_ttl: int | None = None
    keepalive: int | None = None
    send_mark: int | None = None
    receive_mark: int | None = None


@dataclass(frozen=True, slots=True)
class OneSided:
    """What ``at``, 0 or 1, lacks that the other end has; ``option`` is the one that the other end has."""

    at: int
    option: str
    sentence: str
    remedy: str
    severity: Severity


def one_sided(one: End, other: End) -> Iterator[OneSided]:
    """All that only one of the two ends has."""
    if one.type and other.type and other.type not in PARTNERS.get(one.type, {other.type}):
        return
    for at, (mine, theirs) in enumerate(((one, other), (other, one))):
        if mine.inproc:
            yield from _marks(at, mine, theirs)
            continue
        yield from _mechanism(at, mine, theirs)
        yield from _frames(at, mine, theirs)
        yield from _life(at, mine, theirs)


def _mechanism(at: int, mine: End, theirs: End) -> Iterator[OneSided]:
    if mine.mechanism and theirs.mechanism and mine.mechanism != theirs.mechanism and mine.mechanism == "NULL":
        yield OneSided(
            at,
            f"{theirs.mechanism}",
            f"{theirs.mechanism} is set at the other end only: no handshake between the two succeeds.",
            f"Set {theirs.mechanism} at both ends.",
            Severity.HIGH,
        )


def _frames(at: int, mine: End, theirs: End) -> Iterator[OneSided]:
    if mine.max_frame == -1 and theirs.max_frame is not None and theirs.max_frame >= 0 and mine.type in _TAKES_FRAMES:
        yield OneSided(
            at,
            "MAXMSGSIZE",
            "MAXMSGSIZE is set at the other end only: it bounds what an end receives, and this one takes any size.",
            "Set MAXMSGSIZE here, too: neither end can rely on the other to be what it says.",
            Severity.INFO if mine.near else Severity.LOW,
        )


def _life(at: int, mine: End, theirs: End) -> Iterator[OneSided]:
    theirs_on = bool(theirs.heartbeat)
    told_by_peer = theirs.heartbeat_ttl is None or theirs.heartbeat_ttl > 0
    if mine.heartbeat == 0 and theirs_on and not told_by_peer and mine.keepalive in (-1, 0):
        yield OneSided(
            at,
            "HEARTBEAT_IVL",
            "HEARTBEAT_IVL is set at the other end only: that end notices a dead peer, and this one never does.",
            "Set HEARTBEAT_IVL here, too, or HEARTBEAT_TTL at the other end.",
            Severity.INFO if mine.near else Severity.LOW,
        )


def _marks(at: int, mine: End, theirs: End) -> Iterator[OneSided]:
    if mine.send_mark and theirs.receive_mark == 0:
        option, other = "SNDHWM", "RCVHWM"
    elif mine.receive_mark and theirs.send_mark == 0:
        option, other = "RCVHWM", "SNDHWM"
    else:
        return
    yield OneSided(
        at,
        option,
        f"{option} is set in vain: {other} is 0 at the other end of this inproc, and then there is no limit at all.",
        f"Set {other} at the other end; on inproc the marks of both ends are added up, and 0 is no limit.",
        Severity.LOW,
    )
