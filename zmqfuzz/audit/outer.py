"""What is wrong with a listener that only the kernel and the wire showed: findings without a line of source.

Contract: pure. Values that could not be measured are None, and nothing is told of them. What needs more than was
measured is not told either: that nobody was cut in a few seconds is no proof of an endless handshake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.lines import Certainty, Line
from zmqfuzz.audit.seen import FEW_FILES, Said, known_rules
from zmqfuzz.finding import Severity

__all__ = ["OUTER_CODES", "Outer", "lines_from_outside"]

OUTER_CODES = frozenset(("ZF601", "ZF603", "ZF607", "ZF609", "ZF617", "ZF623", "ZF635"))
"""What can be seen of a program in any language."""

_FEW_PEERS = frozenset(("SUB", "REQ", "PAIR"))
_SHARES = frozenset(("DEALER", "PUSH", "REQ"))


@dataclass(frozen=True, slots=True)
class Outer:
    """One listener. ``bound`` is its endpoint as the kernel has it, ``program`` the name of its process.

    ``limit``: octets of the largest frame that it takes; ``unlimited``: none below what was tried. ``cut``: seconds
    after which a silent peer was cut; ``waited``: for how long none was. ``pings``: a peer that had shaken hands was
    asked whether it lives. ``keepalive``: SO_KEEPALIVE of its connections. ``files``: its soft limit on descriptors.
    ``anyone``: every user of the machine may connect to its ipc socket (``why`` has the modes).
    """

    bound: str
    program: str
    type: str = ""
    mechanism: str = ""
    limit: int | None = None
    unlimited: bool = False
    cut: float | None = None
    waited: float = 0.0
    pings: bool | None = None
    keepalive: int | None = None
    files: int | None = None
    anyone: bool = False
    why: str = ""


HANDSHAKE_DEFAULT = 30.0
"""Seconds of HANDSHAKE_IVL where nothing is set (libzmq ``options.cpp``)."""

_LATE = 5.0
"""Seconds beyond it after which nobody was cut, so that it is not the default either."""


def lines_from_outside(seen: Iterable[Outer]) -> list[Line]:
    """All that is told; as place a line has the process's name, as there is no source."""
    rules = known_rules()
    found = []
    for one in seen:
        for said in _of(one):
            rule = rules[said.code]
            found.append(
                Line(
                    rule.code,
                    said.severity or rule.severity,
                    Certainty.SEEN,
                    Path(f"<{one.program}>"),
                    1,
                    1,
                    1,
                    said.sentence,
                    said.remedy,
                    one.type,
                    one.bound,
                    "confirmed: seen from outside",
                )
            )
    return found


def _of(one: Outer) -> Iterator[Said]:
    if not one.type and not one.mechanism:  # no ZMTP
        return
    where = reach(one.bound)
    far, open_to_all = where.value >= Reach.UNKNOWN.value, one.mechanism == "NULL"
    if where is Reach.EVERYWHERE and open_to_all:
        yield Said(
            "ZF601",
            None,
            "It is bound to every interface, and asks no peer for a key.",
            "Bind to 127.0.0.1 or the one interface that is meant, or set CURVE_SERVER with a ZAP handler.",
        )
    if one.unlimited and open_to_all:
        who = "strangers can reach the socket" if far else "others on this machine can reach the socket"
        yield Said(
            "ZF603",
            None,
            f"It takes frames of any size that was tried, and {who}: one frame may fill the memory.",
            "Set MAXMSGSIZE to the largest frame that you expect, before bind.",
            severity=None if far else Severity.INFO,
        )
    if one.cut is None and one.waited > HANDSHAKE_DEFAULT + _LATE:
        yield Said(
            "ZF607",
            None,
            f"A peer that says nothing is still connected after {one.waited:.0f} s.",
            "Set HANDSHAKE_IVL to a few seconds (milliseconds are its unit).",
        )
    silent = one.keepalive == 0 and one.pings is False
    if far and silent and one.type not in _FEW_PEERS and one.bound.startswith("tcp:"):
        yield Said(
            "ZF609",
            None,
            f"SO_KEEPALIVE is off, and a silent peer is not asked for life in {one.waited:.0f} s: connections of hosts "
            "that vanished stay.",
            "Set HEARTBEAT_IVL and HEARTBEAT_TIMEOUT, or TCP_KEEPALIVE with TCP_KEEPALIVE_IDLE.",
            severity=Severity.INFO if one.waited <= HANDSHAKE_DEFAULT else None,  # it may ask more seldom than that
        )
    if far and open_to_all and one.type in _SHARES:
        yield Said(
            "ZF617",
            None,
            f"A {one.type} binds: a stranger who connects gets a share of its messages.",
            "Authenticate peers, or let this end connect and the other bind.",
        )
    if one.files is not None and one.files < FEW_FILES:
        yield Said(
            "ZF623",
            None,
            f"It listens with a limit of {one.files} descriptors, one of which each peer costs.",
            "Raise RLIMIT_NOFILE (LimitNOFILE, ulimit -n), or bound connections in front of it.",
        )
    if one.anyone:
        yield Said(
            "ZF635",
            None,
            f"Every user of the machine may connect to it ({one.why}).",
            "Use a folder of the program's own with mode 0700, and an umask of 0077.",
        )
