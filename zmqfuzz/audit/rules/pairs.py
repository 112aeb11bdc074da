"""Two sockets of the audited files that are each other's peers, and are set differently."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zmqfuzz.audit.ends import End, one_sided
from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.inventory import Door, Entry, Inventory
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.audit.values import HOLE, Const
from zmqfuzz.finding import Severity

__all__ = ["on_one_side"]

_TCP = re.compile(r"^tcp://(.+):(\d+)$")


@rule("ZF645", "An option is set on one side only", severity=Severity.LOW)
def on_one_side(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Both ends of a connection belong to the program, and an option that protects an end is set at the other only.

    Why: MAXMSGSIZE bounds what *this* end receives, HEARTBEAT_IVL lets *this* end notice a dead peer, marks of inproc
    are added up and 0 at one end is no limit, and a mechanism at one end only lets no handshake succeed. Looked for: a
    bind and a connect to the same inproc name, ipc path or tcp port of types that talk to each other, in the audited
    files (likely) or in one run. Info where both ends are on one machine. To fix: set it at both ends.
    """
    told: set[tuple[object, str]] = set()
    ends = [(entry, door) for entry in inventory.entries for door in entry.doors if not _unclear(inventory, entry)]
    for entry, door in ends:
        for other, its in ends:
            if not door.bound or its.bound or entry is other or not _same(door, its):
                continue
            two = ((entry, door), (other, its))
            near = entry.created.scope is other.created.scope  # else a lock may be set where it is told to be
            for each in one_sided(_end(inventory, *two[0], its, near), _end(inventory, *two[1], its, near)):
                mine, at = two[each.at]
                key = (mine.created.node, each.option)
                if key in told:
                    continue
                told.add(key)
                yield of(
                    mine,
                    rule,
                    each.sentence,
                    each.remedy,
                    inventory=inventory,
                    use=at.use,
                    endpoint=at.text,
                    sure=False,
                    severity=each.severity,
                )


def _unclear(inventory: Inventory, entry: Entry) -> bool:
    """Whether options may be set that are not seen."""
    contexts = (setting for use in inventory.of(entry) for setting in use.settings)
    return entry.opaque or entry.given_away or len(entry.types) != 1 or not all(each.name for each in contexts)


def _same(bound: Door, connected: Door) -> bool:
    for one in bound.endpoints:
        for other in connected.endpoints:
            mine, theirs = str(one.value), str(other.value)
            if HOLE in mine.rpartition(":")[2] or HOLE in theirs.rpartition(":")[2]:
                continue
            if mine == theirs and HOLE not in mine:
                return True
            ours, its = _TCP.match(mine), _TCP.match(theirs)
            near = {Reach.EVERYWHERE, Reach.LOOPBACK}
            if ours and its and ours[2] == its[2] and reach(mine) in near and reach(theirs) in near:
                return True
    return False


def _end(inventory: Inventory, entry: Entry, door: Door, connected: Door, near: bool) -> End:
    settings = [*entry.settings, *(each for use in inventory.of(entry) for each in use.settings)]

    def value(name: str, usual: int, *others: str) -> int | None:
        """None: set to what the source does not tell."""
        mine = [setting for setting in settings if setting.name in (name, *others)]
        numbers = {one.value for setting in mine for one in setting.values if isinstance(one, Const)}
        if not mine:
            return usual
        (number,) = numbers if len(numbers) == 1 else (None,)
        return int(number) if isinstance(number, int) else None

    names = {setting.name for setting in settings}
    locks = {"CURVE": {"CURVE_SERVER", "CURVE_SERVERKEY"}, "PLAIN": {"PLAIN_SERVER", "PLAIN_USERNAME"}}
    mechanism = next((name for name, options in locks.items() if names & options), "NULL")
    return End(
        entry.kind,
        inproc=door.text.startswith("inproc:"),
        near=reach(connected.text).value <= Reach.LOOPBACK.value,
        mechanism=mechanism if near and not names & {"GSSAPI_SERVER", "GSSAPI_PRINCIPAL"} else None,
        max_frame=_set(value("MAXMSGSIZE", -1), names, "MAXMSGSIZE"),
        heartbeat=_set(value("HEARTBEAT_IVL", 0), names, "HEARTBEAT_IVL"),
        heartbeat_ttl=value("HEARTBEAT_TTL", 0),
        keepalive=value("TCP_KEEPALIVE", -1),
        send_mark=value("SNDHWM", 1000, "HWM") if _marked(names, "SNDHWM") else None,
        receive_mark=value("RCVHWM", 1000, "HWM") if _marked(names, "RCVHWM") else None,
    )


def _marked(names: set[str], name: str) -> bool:
    return bool(names & {name, "HWM"})


def _set(value: int | None, names: set[str], name: str) -> int | None:
    """An option that is set to something unknown counts as set to something."""
    return 1 if value is None and name in names else value
