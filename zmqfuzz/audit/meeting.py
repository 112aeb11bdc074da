"""Sockets of one run that were each other's peers, and what only one of them had."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zmqfuzz.audit.ends import End, one_sided
from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.seen import Said, endpoint_of
from zmqfuzz.opened import Door, OpenedSocket, Recorded

__all__ = ["on_one_side"]

_TCP = re.compile(r"^tcp://(.+):(\d+)$")
_MECHANISMS = ("NULL", "PLAIN", "CURVE", "GSSAPI")
_SAME_HOST = {"localhost": "127.0.0.1"}


def on_one_side(recorded: Recorded) -> Iterator[tuple[str, Said]]:
    """The socket's type, and what its peer has that it lacks; each line and option once."""
    bound = [(socket, door) for socket in recorded.sockets for door in socket.doors if door.verb == "bind"]
    told: set[tuple[object, str]] = set()
    for socket in recorded.sockets:
        for door in socket.doors:
            if door.verb != "connect":
                continue
            for other, its in bound:
                if not _meet(other, its, socket, door):
                    continue
                two = ((other, its), (socket, door))
                for one in one_sided(_end(other, its, door), _end(socket, door, door)):
                    mine, at = two[one.at]
                    place = at.place or mine.place
                    if (place, one.option) in told:
                        continue
                    told.add((place, one.option))
                    peer = two[1 - one.at][1].place
                    where = f" (the other end: line {peer.line} of {peer.file.rpartition('/')[2]})" if peer else ""
                    sentence = f"{one.sentence.removesuffix('.')}{where}."
                    yield mine.type, Said("ZF645", place, sentence, one.remedy, endpoint_of(at), one.severity)


def _meet(binder: OpenedSocket, bound: Door, connecter: OpenedSocket, connected: Door) -> bool:
    if bound.given.startswith("inproc:"):
        same = (binder.pid, binder.context) == (connecter.pid, connecter.context)
        return same and bound.given == connected.given
    if bound.endpoint == connected.given:
        return True
    ours, theirs = _TCP.match(bound.endpoint), _TCP.match(connected.given)
    if ours is None or theirs is None or ours[2] != theirs[2]:
        return False
    host = _SAME_HOST.get(theirs[1], theirs[1])
    return host == ours[1] or (reach(bound.endpoint) is Reach.EVERYWHERE and reach(connected.given) is Reach.LOOPBACK)


def _end(socket: OpenedSocket, door: Door, connected: Door) -> End:
    def value(name: str) -> int | None:
        found = door.options.get(name)
        return found if isinstance(found, int) else None

    set_here = {one.name for one in socket.settings}
    marked = {name for name in ("SNDHWM", "RCVHWM") if {name, "HWM"} & set_here}
    mechanism = value("MECHANISM")
    known = mechanism is not None and 0 <= mechanism < len(_MECHANISMS)
    return End(
        socket.type,
        inproc=door.given.startswith("inproc:"),
        near=reach(connected.given).value <= Reach.LOOPBACK.value,
        mechanism=_MECHANISMS[mechanism] if known and mechanism is not None else None,
        max_frame=value("MAXMSGSIZE"),
        heartbeat=value("HEARTBEAT_IVL"),
        heartbeat_ttl=value("HEARTBEAT_TTL"),
        keepalive=value("TCP_KEEPALIVE"),
        send_mark=value("SNDHWM") if "SNDHWM" in marked else None,
        receive_mark=value("RCVHWM") if "RCVHWM" in marked else None,
    )
