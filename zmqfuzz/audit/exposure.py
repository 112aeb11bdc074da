"""Who can reach a socket: what its endpoints say, and whether it asks for a key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from zmqfuzz.audit.inventory import Door, Entry, Inventory, Setting
from zmqfuzz.audit.values import HOLE, Const, shown

__all__ = ["Reach", "Reached", "doors", "is_locked", "only_within", "reach", "strangers", "switched_on"]

_TCP = re.compile(r"^(?:tcp|wss?|udp)://(\[[^\]]*\]?|[^:/;]*)")
_LOOPBACK = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:127\.\d+\.\d+\.\d+\]|lo)$", re.IGNORECASE)
_WILD = {"*", "0.0.0.0", "[::]", "[*]"}
_LOCKS = ("CURVE_SERVER", "PLAIN_SERVER", "GSSAPI_SERVER", "ZAP_DOMAIN")


class Reach(Enum):
    """From where an endpoint can be reached, the narrowest first."""

    PROCESS = auto()
    MACHINE = auto()
    LOOPBACK = auto()
    UNKNOWN = auto()
    HOST = auto()
    EVERYWHERE = auto()


@dataclass(frozen=True, slots=True)
class Reached:
    """The widest that one ``bind`` or ``connect`` may mean; ``sure`` is false for a default."""

    door: Door
    reach: Reach
    sure: bool
    text: str = ""


def reach(endpoint: str) -> Reach:
    """From where ``endpoint`` can be reached; its holes are unknown."""
    if endpoint.startswith("inproc://"):
        return Reach.PROCESS
    if endpoint.startswith("ipc://"):
        return Reach.MACHINE
    match = _TCP.match(endpoint)
    host = match[1].rpartition("@")[2] if match else HOLE
    if host in _WILD:
        return Reach.EVERYWHERE
    if _LOOPBACK.match(host):
        return Reach.LOOPBACK
    return Reach.UNKNOWN if HOLE in host or not host else Reach.HOST


def doors(entry: Entry, *, bound: bool | None = None) -> list[Reached]:
    """Each ``bind`` and ``connect`` (or only those) with the widest of what it may mean."""
    found = []
    for door in entry.doors:
        if bound is None or door.bound is bound:
            told = [one for one in door.endpoints if str(one.value).strip(HOLE)]
            widest = max(told or door.endpoints, key=_width)
            found.append(Reached(door, reach(str(widest.value)), widest.sure, shown(str(widest.value).strip(HOLE))))
    return found


def _width(one: Const) -> tuple[int, bool, int, str]:
    text = str(one.value)
    return reach(text).value, one.sure, -text.count(HOLE), text


def switched_on(setting: Setting) -> bool:
    """Whether an option may be set to something else than 0, False, None and the empty text."""
    constants = [one for one in setting.values if isinstance(one, Const)]
    return not constants or len(constants) < len(setting.values) or any(one.value for one in constants)


def is_locked(inventory: Inventory, entry: Entry) -> bool:
    """Whether the socket, or its context for all of its sockets, asks peers for a key, password or ZAP's consent."""
    settings = [*entry.settings, *(each for use in inventory.of(entry) for each in use.settings)]
    return any(setting.name in _LOCKS and switched_on(setting) for setting in settings)


def strangers(inventory: Inventory, entry: Entry) -> Reached | None:
    """The bound endpoint through which strangers may come, where nothing asks who they are."""
    if entry.monitors or is_locked(inventory, entry):
        return None
    open_doors = [each for each in doors(entry, bound=True) if each.reach.value >= Reach.UNKNOWN.value]
    return max(open_doors, key=lambda each: (each.reach.value, each.sure), default=None)


def only_within(entry: Entry, widest: Reach = Reach.PROCESS) -> bool:
    """Whether all endpoints are known to be no wider than ``widest``; false where there are none."""
    found = doors(entry)
    return bool(found) and all(each.reach.value <= widest.value for each in found)
