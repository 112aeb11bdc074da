"""The inventory: the sockets that a run opened, those of one line put together, as rows for a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from zmqfuzz.audit.seen import shown_path
from zmqfuzz.opened import Door, OpenedSocket, Place, Recorded, Value

__all__ = ["SHOWN", "Row", "at", "rows", "steady", "told", "written"]

SHOWN = (
    "MAXMSGSIZE",
    "SNDHWM",
    "RCVHWM",
    "LINGER",
    "HANDSHAKE_IVL",
    "HEARTBEAT_IVL",
    "HEARTBEAT_TIMEOUT",
    "TCP_KEEPALIVE",
)
"""Always shown; others where they are not as libzmq has them by default (zmq_setsockopt(3))."""

_DEFAULTS: dict[str, Value] = {
    "HEARTBEAT_TIMEOUT": -1,
    "HEARTBEAT_TTL": 0,
    "TCP_KEEPALIVE_IDLE": -1,
    "TCP_KEEPALIVE_CNT": -1,
    "TCP_KEEPALIVE_INTVL": -1,
    "TCP_MAXRT": 0,
    "ZAP_DOMAIN": "",
    "CURVE_SERVER": 0,
    "PLAIN_SERVER": 0,
    "RCVTIMEO": -1,
    "SNDTIMEO": -1,
    "SNDBUF": -1,
    "RCVBUF": -1,
    "BACKLOG": 100,
    "IPV6": 0,
    "IMMEDIATE": 0,
    "CONFLATE": 0,
    "RECONNECT_IVL": 100,
    "RECONNECT_IVL_MAX": 0,
    "CONNECT_TIMEOUT": 0,
}

_EPHEMERAL = range(32768, 61000)

_MECHANISMS = ("NULL", "PLAIN", "CURVE", "GSSAPI")


@dataclass(slots=True)
class Row:
    """Sockets of one type that one line binds or connects with the same options. ``endpoint`` is as it was given.

    ``endpoints``: what libzmq made of it. ``later``: options that were set afterwards, with their lines.
    """

    place: Place | None
    type: str
    verb: str
    endpoint: str
    options: dict[str, Value]
    count: int = 0
    endpoints: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)


def at(place: Place | None) -> str:
    """``gateway/server.py:48``, of an installed package from its name on; a dash where no line of it is on the way."""
    if place is None:
        return "-"
    _, installed, rest = place.file.rpartition("/site-packages/")
    return f"{rest if installed else shown_path(place.file)}:{place.line}"


def rows(recorded: Recorded) -> list[Row]:
    """By file and line; sockets that were made and never opened are left out."""
    found: dict[tuple[object, ...], Row] = {}
    for socket in recorded.sockets:
        for door in socket.doors:
            options = told(door, socket)
            given = steady(door.given)
            key = (door.place, socket.type, door.verb, given, tuple(options.items()))
            row = found.setdefault(key, Row(door.place, socket.type, door.verb, given, options))
            row.count += 1
            row.endpoints.add(door.endpoint)
            for one in socket.settings:
                if one.order > door.order and not any(other.order > one.order for other in socket.doors):
                    row.later.add(f"{one.name}={one.value} ({at(one.place)})")
    return sorted(found.values(), key=lambda row: (at(row.place).rpartition(":")[0], row.place or Place("", 0)))


def steady(endpoint: str) -> str:
    """The endpoint as it is again at the next start: a port of the kernel's ephemeral range (ip(7)) is ``*``."""
    found = re.fullmatch(r"(tcp://.*:)(\d{1,5})", endpoint)
    return f"{found[1]}*" if found and int(found[2]) in _EPHEMERAL else endpoint


def told(door: Door, socket: OpenedSocket) -> dict[str, Value]:
    """The options that a person wants to see of a door: the limits, and what is not as it is by default.

    What can be set and not read (ROUTER_MANDATORY and others) is taken from the calls that set it.
    """
    shown: dict[str, Value] = {name: door.options[name] for name in SHOWN if name in door.options}
    shown |= {name: door.options[name] for name, usual in _DEFAULTS.items() if door.options.get(name, usual) != usual}
    mechanism = door.options.get("MECHANISM")
    if isinstance(mechanism, int) and 0 < mechanism < len(_MECHANISMS):
        shown["MECHANISM"] = _MECHANISMS[mechanism]
    for one in socket.settings:
        if one.order < door.order and one.name not in door.options and one.name != "HWM":
            shown[one.name] = one.value
    return shown


def written(options: dict[str, Value], names: Sequence[str] = ()) -> str:
    """``MAXMSGSIZE=-1 RCVHWM=1000``; only ``names`` where given."""
    return " ".join(f"{name}={value}" for name, value in options.items() if not names or name in names)
