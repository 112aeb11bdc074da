"""What every rule that looks at a running program shares: how it says what it saw, and the rules without a source."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from zmqfuzz.audit.lines import Certainty, Line, Rule, checks
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Door, Place

__all__ = [
    "FEW_FILES",
    "ONLY_RUNNING",
    "SEEN_CODES",
    "Said",
    "endpoint_of",
    "is_our_own",
    "known_rules",
    "line_of",
    "locked",
    "plain_address",
    "shown_path",
]

FEW_FILES = 4096
"""Descriptors; each peer costs one, and the usual soft limit of 1024 is reached by one stranger."""

ONLY_RUNNING = (
    Rule(
        "ZF608",
        "Heartbeats may end a program that falls behind",
        Severity.LOW,
        "HEARTBEAT_IVL is on, with a libzmq that has the defect of its issues 3937 and 4767.\n\nWhy: a receiver at its "
        "high-water mark does not read the peer's answer; the connection is cut as dead, and reading on may abort the "
        "process. Looked for: HEARTBEAT_IVL above 0 at run time on a socket that receives, libzmq 4.2.0 to 4.3.5. To "
        "fix: read faster than the mark fills, or use TCP keepalive, which finds vanished hosts only.",
    ),
    Rule(
        "ZF617",
        "Work is shared out to whoever connects",
        Severity.INFO,
        "A DEALER, PUSH or REQ binds where strangers can reach it.\n\nWhy: it gives its messages to its peers in turn, "
        "and a stranger who connects gets a share, and may never answer. Looked for: the bind at run time, without "
        "CURVE, PLAIN or ZAP. To fix: authenticate peers, or let this end connect and the other bind.",
    ),
    Rule(
        "ZF623",
        "A listener may open few descriptors",
        Severity.LOW,
        "The soft limit on descriptors (RLIMIT_NOFILE) is below 4096 where a socket listens.\n\nWhy: each connection "
        "costs one, also before its handshake; at the limit nobody is let in, and files of the program do not open. "
        "Looked for: the limit at the bind. To fix: raise it (LimitNOFILE, ulimit -n), or bound connections in front.",
    ),
    Rule(
        "ZF647",
        "Options that matter are left at their defaults",
        Severity.INFO,
        "A socket beyond inproc was bound or connected with libzmq's defaults.\n\nWhy: defaults are made to be "
        "compatible, not safe (no limit on frames, no encryption, 30 s for a handshake, no heartbeats, an endless "
        "LINGER), and another release may have others. Looked for: MECHANISM, MAXMSGSIZE, HANDSHAKE_IVL, "
        "HEARTBEAT_IVL, TCP_KEEPALIVE, the high-water marks and LINGER, at their defaults at run time and never set. "
        "To fix: decide each, and set it, even to the same value.",
    ),
    Rule(
        "ZF648",
        "A default of this libzmq is not the one that is known",
        Severity.LOW,
        "The libzmq that is mapped in the program has a default that differs from that of libzmq 4.3.5.\n\nWhy: what "
        "the program does not set it takes from there, so that an upgrade changed it. Looked for: the library is asked "
        "in a process of its own, for a socket of which nothing is set. To fix: set the option in the program.",
    ),
)

_CODES = """
    ZF601 ZF602 ZF603 ZF605 ZF606 ZF607 ZF608 ZF609 ZF610 ZF617 ZF620 ZF622 ZF623 ZF625 ZF630 ZF640 ZF641 ZF642 ZF644
    ZF645 ZF647
"""
SEEN_CODES = frozenset(_CODES.split())
"""What a run of a Python program can show; what sources say with another code, it says nothing about."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule has to say of one line of the program."""

    code: str
    place: Place | None
    sentence: str
    remedy: str
    endpoint: str = ""
    severity: Severity | None = None


def known_rules() -> dict[str, Rule]:
    """All rules by code, those of sources, too: a run uses their codes."""
    return {rule.code: rule for rule in (*(rule for rule, _ in checks()), *ONLY_RUNNING)}


def shown_path(file: str) -> Path:
    """Relative where it is below the current folder, as a person would write it."""
    path = Path(file)
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def line_of(said: Said, rule: Rule, kind: str) -> Line:
    """The line of an audit; ``kind`` is the socket's type."""
    place = said.place or Place("<no line of the program>", 1)
    return Line(
        rule.code,
        said.severity or rule.severity,
        Certainty.SEEN,
        shown_path(place.file),
        place.line,
        1,
        place.line,
        said.sentence,
        said.remedy,
        kind,
        said.endpoint,
        "confirmed: seen at run time",
    )


def locked(door: Door) -> bool:
    """Whether a door asks its peers who they are."""
    return bool(door.options.get("MECHANISM")) or bool(door.options.get("ZAP_DOMAIN"))


def endpoint_of(door: Door) -> str:
    """Where it is, as libzmq has it for what is bound, else as the program gave it."""
    return plain_address(door.endpoint) if door.verb == "bind" and door.endpoint else door.given


def is_our_own(endpoint: str) -> bool:
    """Whether a tcp endpoint names an address of this machine: what is sent there does not leave it."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        kind = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
        return True
    except (OSError, ValueError):
        return False


def plain_address(endpoint: str) -> str:
    """An IPv4 address that is written as IPv6 (RFC 4291, 2.5.5.2) as the kernel shows its listener."""
    return re.sub(r"^tcp://\[::ffff:(\d+\.\d+\.\d+\.\d+)\]:", r"tcp://\1:", endpoint)
