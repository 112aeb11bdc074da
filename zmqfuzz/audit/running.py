"""What is wrong with the sockets that a running program was seen to open: the rules that need no source.

Each check looks at one socket as it was recorded (:mod:`zmqfuzz.opened`), with the options that were in force at its
bind or connect. Most codes are those of the rules that read sources (:mod:`zmqfuzz.audit.seen` has the others).
"""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.meeting import on_one_side
from zmqfuzz.audit.seen import FEW_FILES, Said, endpoint_of, is_our_own, known_rules, line_of, locked
from zmqfuzz.audit.setting import left_alone, marks, of_contexts, of_settings
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Door, OpenedSocket, Recorded

__all__ = ["lines_of"]

_RECEIVES = frozenset(("SUB", "PULL", "ROUTER", "DEALER", "REP", "REQ", "XSUB", "PAIR", "XPUB"))
_FEW_PEERS = frozenset(("SUB", "REQ", "PAIR"))
_HEART = (4, 3, 5)


def lines_of(recorded: Recorded) -> list[Line]:
    """All that is told of what was recorded, the same sentence about the same line once."""
    rules = known_rules()
    found: dict[tuple[object, ...], Line] = {}
    versions = {one.pid: one.versions.get("libzmq", "") for one in recorded.processes}
    said = [
        (socket.type, one)
        for socket in recorded.sockets
        for one in _of_socket(socket, recorded, versions.get(socket.pid, ""))
    ]
    said += [("", one) for one in of_contexts(recorded)]
    said += on_one_side(recorded)
    for kind, one in said:
        line = line_of(one, rules[one.code], kind)
        found.setdefault((line.path, line.line, line.code, line.sentence), line)
    return list(found.values())


def _of_socket(socket: OpenedSocket, recorded: Recorded, libzmq: str) -> Iterator[Said]:
    zap = (socket.pid, socket.context) in recorded.zap
    outside = [door for door in socket.doors if not door.given.startswith("inproc:")]
    for door in outside:
        yield from _exposed(socket, door)
        yield from _bounds(socket, door)
        yield from _timers(socket, door, libzmq)
        if door.verb == "bind" and door.options.get("CURVE_SERVER") and not zap:
            yield Said(
                "ZF630",
                door.place,
                "CURVE_SERVER is on, and no ZAP handler was there: whoever knows the public key is let in.",
                "Start a zmq.auth authenticator with the keys of those you know.",
                door.endpoint,
            )
    yield from of_settings(socket, outside)
    yield from left_alone(socket, outside)
    yield from _waiting(socket, outside)
    if socket.doors:
        yield from marks(socket, outside)
    if outside and socket.pyobj is not None:
        yield Said(
            "ZF602",
            socket.pyobj,
            "recv_pyobj unpickles what a peer sent, which runs the code that the peer wrote.",
            "Send JSON or msgpack.",
            outside[0].endpoint,
        )
    if socket.parts is not None:
        yield Said(
            "ZF625",
            next((one.place for one in socket.settings if one.name == "CONFLATE"), socket.parts),
            f"CONFLATE is on, and a message of several parts passes (line {socket.parts.line}): one part is kept.",
            "Send one part, or leave CONFLATE off and read until nothing is left.",
            outside[0].endpoint if outside else "",
        )
    closed = socket.closed
    asks = [door for door in outside if door.verb == "connect"]
    if closed is not None and closed.linger == -1 and asks and socket.type not in ("SUB", "PULL"):
        yield Said(
            "ZF606",
            closed.place or asks[0].place,
            "It is closed with LINGER -1: the program's end waits for ever for an absent peer.",
            "Set socket.linger to milliseconds, or give linger= to close() or destroy().",
            asks[0].endpoint,
        )


def _waiting(socket: OpenedSocket, outside: list[Door]) -> Iterator[Said]:
    if outside and socket.waits is not None:
        yield Said(
            "ZF640",
            socket.waits,
            "It waits for the reply without any limit: a lost reply stops the program here for ever.",
            "Set RCVTIMEO or poll with a time, and open a new socket when it is over.",
            endpoint_of(outside[0]),
        )
    if socket.monitor is not None and not socket.polled:
        yield Said(
            "ZF641",
            socket.monitor,
            "Nothing read this monitor in the run: when its queue is full, libzmq's I/O thread stops, and all sockets.",
            "Read its events in a thread or task, or call disable_monitor().",
        )


def _exposed(socket: OpenedSocket, door: Door) -> Iterator[Said]:
    where = reach(endpoint_of(door))
    bound, endpoint = door.verb == "bind", endpoint_of(door)
    if bound and where is Reach.EVERYWHERE and not locked(door):
        yield Said(
            "ZF601",
            door.place,
            "It is bound to every interface, and asks no peer for a key.",
            "Bind to 127.0.0.1 or the one interface that is meant, or set CURVE_SERVER with a ZAP handler.",
            endpoint,
        )
    plain = door.options.get("MECHANISM") == 1
    leaves = where is Reach.HOST and not (door.verb == "connect" and is_our_own(endpoint))
    if (leaves and door.options.get("MECHANISM") in (0, 1)) or (plain and where is Reach.EVERYWHERE):
        yield Said(
            "ZF620",
            door.place,
            f"{'The password and every' if plain else 'Every'} message can be read and changed on the way: no CURVE "
            "on an endpoint beyond this machine.",
            "Set CURVE on both ends, or put the connection into a tunnel.",
            endpoint,
            Severity.MEDIUM if plain else None,
        )
    strangers = bound and where.value >= Reach.UNKNOWN.value and not locked(door)
    if strangers and socket.type in ("DEALER", "PUSH", "REQ"):
        yield Said(
            "ZF617",
            door.place,
            f"A {socket.type} binds: a stranger who connects gets a share of its messages.",
            "Authenticate peers, or let this end connect and the other bind.",
            endpoint,
        )
    if bound and 0 < door.files < FEW_FILES and not endpoint.startswith("udp:"):
        yield Said(
            "ZF623",
            door.place,
            f"It listens with a limit of {door.files} descriptors, one of which each peer costs.",
            "Raise RLIMIT_NOFILE (LimitNOFILE, ulimit -n), or bound connections in front of it.",
            endpoint,
        )


def _bounds(socket: OpenedSocket, door: Door) -> Iterator[Said]:
    where, endpoint = reach(endpoint_of(door)), endpoint_of(door)
    if door.verb == "bind" and door.options.get("MAXMSGSIZE") == -1 and not locked(door):
        far = where.value >= Reach.UNKNOWN.value
        who = "strangers can reach the socket" if far else "others on this machine can reach the socket"
        yield Said(
            "ZF603",
            door.place,
            f"MAXMSGSIZE is -1, and {who}: one frame may fill the memory.",
            "Set MAXMSGSIZE to the largest frame that you expect, before bind.",
            endpoint,
            None if far else Severity.INFO,
        )


def _timers(socket: OpenedSocket, door: Door, libzmq: str) -> Iterator[Said]:
    where, endpoint, options = reach(endpoint_of(door)), endpoint_of(door), door.options
    far = where.value >= Reach.UNKNOWN.value
    never = options.get("HANDSHAKE_IVL") == 0
    if never or (door.verb == "bind" and options.get("HANDSHAKE_IVL") == 30_000 and far):
        yield Said(
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
        yield Said(
            "ZF609",
            door.place,
            "Neither HEARTBEAT_IVL nor TCP_KEEPALIVE is on: connections of hosts that vanished stay for ever.",
            "Set HEARTBEAT_IVL and HEARTBEAT_TIMEOUT, or TCP_KEEPALIVE with TCP_KEEPALIVE_IDLE.",
            endpoint,
        )
    if options.get("HEARTBEAT_IVL") and socket.type in _RECEIVES and (4, 2) <= _version(libzmq) <= _HEART:
        yield Said(
            "ZF608",
            door.place,
            f"HEARTBEAT_IVL is on with libzmq {libzmq}, where a receiver that falls behind may be aborted.",
            "Read faster than the high-water mark fills; or use TCP keepalive, which finds vanished hosts only.",
            endpoint,
        )


def _version(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else (0,)
