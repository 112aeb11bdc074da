"""Options that libzmq takes and that then do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.audit.inventory import Entry, Inventory, Setting
from zmqfuzz.audit.lines import Line, Rule, at, of, rule
from zmqfuzz.audit.values import Const
from zmqfuzz.finding import Severity

__all__ = ["CONFLATING", "MAX_MSGSZ", "MEANT_FIRST", "without_effect"]

CONFLATING = frozenset(("DEALER", "PUB", "PULL", "PUSH", "SUB"))
"""The types for which CONFLATE does anything (libzmq ``options.hpp:get_effective_conflate_option``)."""

MAX_MSGSZ = "MAX_MSGSZ is set on the context, where it bounds nothing that a peer sends."

MEANT_FIRST = frozenset(("IO_THREADS", "MAX_SOCKETS"))
"""Options of a context that libzmq reads when its first socket is made (``ctx.cpp:start``)."""

_KEEPALIVE_TIMES = ("TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_CNT", "TCP_KEEPALIVE_INTVL")
_HEARTBEAT_TIMES = ("HEARTBEAT_TIMEOUT", "HEARTBEAT_TTL")


@rule("ZF644", "An option is set and has no effect", severity=Severity.MEDIUM)
def without_effect(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """An option that libzmq takes, and that does nothing as it is set.

    Why: the program looks protected and is not. Looked for: MAX_MSGSZ of a context, which bounds nothing that is
    received (libzmq issues 3895, 4526); times of TCP keepalive while TCP_KEEPALIVE is not 1; HEARTBEAT_TIMEOUT and
    HEARTBEAT_TTL while HEARTBEAT_IVL is 0; CONFLATE on a type that does not have it; SNDHWM on a PULL, which sends
    nothing; IO_THREADS and MAX_SOCKETS of a context that has made a socket already, and options given to a context
    after its sockets (pyzmq gives them to later ones). To fix: as the line says.
    """
    for entry in inventory.entries:
        names = {each.name for each in entry.settings} | {
            each.name for use in inventory.of(entry) for each in use.settings
        }
        for setting in entry.settings:
            why = _why(entry, setting, names)
            if why:
                yield of(
                    entry,
                    rule,
                    f"{setting.name} is set and has no effect {why[0]}.",
                    why[1],
                    inventory=inventory,
                    use=setting.use,
                    sure=not (entry.opaque or entry.given_away),
                )
    for use in inventory.contexts.values():
        for setting in use.settings:
            index = inventory.flow.indexes[setting.use.scope.module]
            if setting.name == "MAX_MSGSZ":
                remedy = "Set MAXMSGSIZE on each socket, before bind and connect."
                yield at(index, setting.use.node, rule, MAX_MSGSZ, remedy)
    yield from _after_sockets(inventory, rule)


def _off(entry: Entry, name: str, names: set[str]) -> bool:
    """Whether an option that is off by default is on nowhere; false where that is not known."""
    values = [one.value for setting in entry.set_to(name) for one in setting.values if isinstance(one, Const)]
    return name not in names or (bool(values) and all(value in (0, -1) for value in values))


def _why(entry: Entry, setting: Setting, names: set[str]) -> tuple[str, str] | None:
    """While what a setting does nothing, and what to do."""
    zero = any(isinstance(one, Const) and one.value in (0, -1) for one in setting.values)
    if setting.name in _KEEPALIVE_TIMES and not zero and _off(entry, "TCP_KEEPALIVE", names):
        return "while TCP_KEEPALIVE is not 1", "Set TCP_KEEPALIVE, too, before bind and connect."
    if setting.name in _HEARTBEAT_TIMES and not zero and _off(entry, "HEARTBEAT_IVL", names):
        return "while HEARTBEAT_IVL is 0", "Set HEARTBEAT_IVL, too, before bind and connect."
    if setting.name == "CONFLATE" and not zero and entry.types and not entry.types & CONFLATING:
        return f"on a {entry.kind}", f"Only {', '.join(sorted(CONFLATING))} conflate; leave it out."
    if setting.name == "SNDHWM" and entry.types == {"PULL"}:
        return "on a PULL, which sends nothing", "Set RCVHWM, which counts messages for each peer."
    return None


def _after_sockets(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Options of a context that come after the sockets they were meant for, in one function."""
    for context, use in inventory.contexts.items():
        mine = [entry for entry in inventory.entries if entry.contexts == {context} and not entry.monitors]
        for setting in use.settings:
            here = [entry for entry in mine if entry.created.scope is setting.use.scope]
            if not here or len(here) < len(mine) or setting.name in ("", "MAX_MSGSZ"):
                continue
            line = setting.use.node.lineno
            before = [entry for entry in here if entry.created.node.lineno < line]
            branched = setting.use.path or any(entry.created.path for entry in here)  # lines are not in order of time
            if branched or not before:
                continue
            first = setting.name in MEANT_FIRST
            if not first and len(before) < len(here):
                continue
            when = "the first socket is made" if first else "its sockets are made, which keep what they have"
            remedy = "Set it before the first socket is made." if first else "Set it first, or on each socket."
            when = f"{when} (line {before[0].created.node.lineno})"
            sentence = f"{setting.name} is set on the context after {when}: it has no effect."
            index = inventory.flow.indexes[setting.use.scope.module]
            yield at(index, setting.use.node, rule, sentence, remedy, socket=before[0].kind)
