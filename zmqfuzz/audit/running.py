"""What is wrong with the sockets that a running program was seen to open: the rules that need no source.

Each check looks at one socket as it was recorded (:mod:`zmqfuzz.opened`), with the options that were in force at its
bind or connect. Most codes are those of the rules that read sources; four exist at run time only (``ONLY_RUNNING``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.lines import Certainty, Line, Rule, checks
from zmqfuzz.audit.rules.options import BEFORE, LOCKS
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Door, OpenedSocket, Place, Recorded

__all__ = ["FEW_FILES", "ONLY_RUNNING", "SEEN_CODES", "lines_of", "shown_path"]

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
        "ZF644",
        "An option is set and has no effect",
        Severity.MEDIUM,
        "An option that libzmq takes, and that does nothing as it is set.\n\nWhy: the program looks protected and is "
        "not. Looked for: MAX_MSGSZ of a context, which bounds nothing that is received (libzmq issues 3895, 4526); "
        "times of TCP keepalive while TCP_KEEPALIVE is not 1; HEARTBEAT_TIMEOUT and HEARTBEAT_TTL while HEARTBEAT_IVL "
        "is 0. To fix: as the line says.",
    ),
)

_CODES = """
    ZF601 ZF602 ZF603 ZF605 ZF606 ZF607 ZF608 ZF609 ZF610 ZF617 ZF620 ZF622 ZF623 ZF625 ZF630 ZF644
"""
SEEN_CODES = frozenset(_CODES.split())
"""What a run can show; what sources say with another code, it says nothing about."""

_RECEIVES = frozenset(("SUB", "PULL", "ROUTER", "DEALER", "REP", "REQ", "XSUB", "PAIR", "XPUB"))
_FEW_PEERS = frozenset(("SUB", "REQ", "PAIR"))
_HEART = (4, 3, 5)
_TIMES = ("TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_CNT", "TCP_KEEPALIVE_INTVL")


@dataclass(frozen=True, slots=True)
class _Said:
    code: str
    place: Place | None
    sentence: str
    remedy: str
    endpoint: str = ""
    severity: Severity | None = None


def shown_path(file: str) -> Path:
    """Relative where it is below the current folder, as a person would write it."""
    path = Path(file)
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def lines_of(recorded: Recorded) -> list[Line]:
    """All that is told of what was recorded, the same sentence about the same line once."""
    rules = {rule.code: rule for rule in (*(rule for rule, _ in checks()), *ONLY_RUNNING)}
    found: dict[tuple[object, ...], Line] = {}
    versions = {one.pid: one.versions.get("libzmq", "") for one in recorded.processes}
    for socket in recorded.sockets:
        for said in _of_socket(socket, recorded, versions.get(socket.pid, "")):
            line = _line(said, rules[said.code], socket.type)
            found.setdefault((line.path, line.line, line.code, line.sentence), line)
    for _, _, option in recorded.contexts:
        if option.name == "MAX_MSGSZ":
            said = _Said(
                "ZF644",
                option.place,
                "MAX_MSGSZ is set on the context, where it bounds nothing that a peer sends.",
                "Set MAXMSGSIZE on each socket, before bind and connect.",
            )
            line = _line(said, rules["ZF644"], "")
            found.setdefault((line.path, line.line, line.code, line.sentence), line)
    return list(found.values())


def _line(said: _Said, rule: Rule, kind: str) -> Line:
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


def _of_socket(socket: OpenedSocket, recorded: Recorded, libzmq: str) -> Iterator[_Said]:
    zap = (socket.pid, socket.context) in recorded.zap
    outside = [door for door in socket.doors if not door.given.startswith("inproc:")]
    for door in outside:
        yield from _exposed(socket, door)
        yield from _bounds(socket, door)
        yield from _timers(socket, door, libzmq)
        if door.verb == "bind" and door.options.get("CURVE_SERVER") and not zap:
            yield _Said(
                "ZF630",
                door.place,
                "CURVE_SERVER is on, and no ZAP handler was there: whoever knows the public key is let in.",
                "Start a zmq.auth authenticator with the keys of those you know.",
                door.endpoint,
            )
    yield from _settings(socket, outside)
    if socket.doors:
        yield from _marks(socket, outside)
    if outside and socket.pyobj is not None:
        yield _Said(
            "ZF602",
            socket.pyobj,
            "recv_pyobj unpickles what a peer sent, which runs the code that the peer wrote.",
            "Send JSON or msgpack.",
            outside[0].endpoint,
        )
    if socket.parts is not None:
        yield _Said(
            "ZF625",
            next((one.place for one in socket.settings if one.name == "CONFLATE"), socket.parts),
            f"CONFLATE is on, and a message of several parts passes (line {socket.parts.line}): one part is kept.",
            "Send one part, or leave CONFLATE off and read until nothing is left.",
            outside[0].endpoint if outside else "",
        )
    closed = socket.closed
    asks = [door for door in outside if door.verb == "connect"]
    if closed is not None and closed.linger == -1 and asks and socket.type not in ("SUB", "PULL"):
        yield _Said(
            "ZF606",
            closed.place or asks[0].place,
            "It is closed with LINGER -1: the program's end waits for ever for an absent peer.",
            "Set socket.linger to milliseconds, or give linger= to close() or destroy().",
            asks[0].endpoint,
        )


def _locked(door: Door) -> bool:
    return bool(door.options.get("MECHANISM")) or bool(door.options.get("ZAP_DOMAIN"))


def _endpoint(door: Door) -> str:
    return door.endpoint if door.verb == "bind" and door.endpoint else door.given


def _exposed(socket: OpenedSocket, door: Door) -> Iterator[_Said]:
    where = reach(_endpoint(door))
    bound, endpoint = door.verb == "bind", _endpoint(door)
    if bound and where is Reach.EVERYWHERE and not _locked(door):
        yield _Said(
            "ZF601",
            door.place,
            "It is bound to every interface, and asks no peer for a key.",
            "Bind to 127.0.0.1 or the one interface that is meant, or set CURVE_SERVER with a ZAP handler.",
            endpoint,
        )
    plain = door.options.get("MECHANISM") == 1
    if (where is Reach.HOST and door.options.get("MECHANISM") in (0, 1)) or (plain and where is Reach.EVERYWHERE):
        yield _Said(
            "ZF620",
            door.place,
            f"{'The password and every' if plain else 'Every'} message can be read and changed on the way: no CURVE "
            "on an endpoint beyond this machine.",
            "Set CURVE on both ends, or put the connection into a tunnel.",
            endpoint,
            Severity.MEDIUM if plain else None,
        )
    strangers = bound and where.value >= Reach.UNKNOWN.value and not _locked(door)
    if strangers and socket.type in ("DEALER", "PUSH", "REQ"):
        yield _Said(
            "ZF617",
            door.place,
            f"A {socket.type} binds: a stranger who connects gets a share of its messages.",
            "Authenticate peers, or let this end connect and the other bind.",
            endpoint,
        )
    if bound and 0 < door.files < FEW_FILES and not endpoint.startswith("udp:"):
        yield _Said(
            "ZF623",
            door.place,
            f"It listens with a limit of {door.files} descriptors, one of which each peer costs.",
            "Raise RLIMIT_NOFILE (LimitNOFILE, ulimit -n), or bound connections in front of it.",
            endpoint,
        )


def _bounds(socket: OpenedSocket, door: Door) -> Iterator[_Said]:
    where, endpoint = reach(_endpoint(door)), _endpoint(door)
    if door.verb == "bind" and door.options.get("MAXMSGSIZE") == -1 and not _locked(door):
        far = where.value >= Reach.UNKNOWN.value
        who = "strangers can reach the socket" if far else "others on this machine can reach the socket"
        yield _Said(
            "ZF603",
            door.place,
            f"MAXMSGSIZE is -1, and {who}: one frame may fill the memory.",
            "Set MAXMSGSIZE to the largest frame that you expect, before bind.",
            endpoint,
            None if far else Severity.INFO,
        )


def _marks(socket: OpenedSocket, outside: list[Door]) -> Iterator[_Said]:
    """High-water marks of 0, as they were at a door or were set later: they act at once (zmq_setsockopt(3))."""
    found: dict[Place | None, list[str]] = {}
    for name in ("SNDHWM", "RCVHWM"):
        zero = [one.place for one in socket.settings if one.name in (name, "HWM") and one.value == 0]
        opened = [door.place for door in socket.doors if door.options.get(name) == 0]
        for place in (zero or opened)[:1]:
            found.setdefault(place, []).append(name)
    for place, names in found.items():
        yield _Said(
            "ZF605",
            place,
            f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} 0, no limit: messages that are not taken are "
            "kept until memory ends.",
            "Set a mark that the memory allows (messages for each peer), and decide what happens at it.",
            _endpoint((outside or socket.doors)[0]),
            None if outside else Severity.INFO,
        )


def _timers(socket: OpenedSocket, door: Door, libzmq: str) -> Iterator[_Said]:
    where, endpoint, options = reach(_endpoint(door)), _endpoint(door), door.options
    far = where.value >= Reach.UNKNOWN.value
    never = options.get("HANDSHAKE_IVL") == 0
    if never or (door.verb == "bind" and options.get("HANDSHAKE_IVL") == 30_000 and far):
        yield _Said(
            "ZF607",
            door.place,
            "HANDSHAKE_IVL is 0: a peer that never completes the handshake keeps its connection for ever."
            if never
            else "HANDSHAKE_IVL is 30 s, the default: so long a stranger's silence costs a descriptor.",
            "Set HANDSHAKE_IVL to a few seconds (milliseconds are its unit).",
            endpoint,
            None if never else Severity.INFO,
        )
    silent = not options.get("HEARTBEAT_IVL") and options.get("TCP_KEEPALIVE") in (-1, 0)
    if door.verb == "bind" and far and silent and socket.type not in _FEW_PEERS and endpoint.startswith("tcp:"):
        yield _Said(
            "ZF609",
            door.place,
            "Neither HEARTBEAT_IVL nor TCP_KEEPALIVE is on: connections of hosts that vanished stay for ever.",
            "Set HEARTBEAT_IVL and HEARTBEAT_TIMEOUT, or TCP_KEEPALIVE with TCP_KEEPALIVE_IDLE.",
            endpoint,
        )
    if options.get("HEARTBEAT_IVL") and socket.type in _RECEIVES and (4, 2) <= _version(libzmq) <= _HEART:
        yield _Said(
            "ZF608",
            door.place,
            f"HEARTBEAT_IVL is on with libzmq {libzmq}, where a receiver that falls behind may be aborted.",
            "Read faster than the high-water mark fills; or use TCP keepalive, which finds vanished hosts only.",
            endpoint,
        )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)


def _settings(socket: OpenedSocket, outside: list[Door]) -> Iterator[_Said]:
    for setting in socket.settings:
        before = [door for door in socket.doors if door.order < setting.order]
        after = [door for door in socket.doors if door.order > setting.order]
        in_force = before[-1].options.get(setting.name) if before else None
        if before and not after and setting.name in BEFORE and in_force != setting.value and outside:
            yield _Said(
                "ZF622",
                setting.place,
                f"{setting.name} is set after {before[-1].verb}, where it has no effect any more.",
                f"Set {setting.name} before the first bind and connect.",
                _endpoint(before[-1]),
                Severity.HIGH if setting.name in LOCKS else None,
            )
        elif setting.name == "ROUTER_HANDOVER" and setting.value and any(not _locked(door) for door in outside):
            yield _Said(
                "ZF610",
                setting.place,
                "ROUTER_HANDOVER is on, so that whoever claims a peer's routing id gets its messages.",
                "Leave ROUTER_HANDOVER off, or authenticate peers with CURVE and a ZAP handler.",
                _endpoint(outside[0]),
            )
        elif after and outside and (needs := _needs(setting.name, after[-1])):
            yield _Said(
                "ZF644",
                setting.place,
                f"{setting.name} is set and has no effect while {needs}.",
                f"Set {needs.split(' ')[0]}, too, before bind and connect; or leave {setting.name} out.",
                _endpoint(outside[0]),
            )


def _needs(name: str, door: Door) -> str:
    """What else an option needs at a door that it does not have there (libzmq ``tcp.cpp:tune_tcp_keepalives``)."""
    if name in _TIMES and door.options.get(name) != -1 and door.options.get("TCP_KEEPALIVE") in (-1, 0):
        return "TCP_KEEPALIVE is not 1"
    if name in ("HEARTBEAT_TIMEOUT", "HEARTBEAT_TTL") and door.options.get("HEARTBEAT_IVL") == 0:
        return "HEARTBEAT_IVL is 0"
    return ""
