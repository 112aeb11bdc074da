"""What a socket's pattern needs and does not get."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from zmqfuzz.audit.exposure import only_within
from zmqfuzz.audit.inventory import Inventory, Use
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.audit.values import HOLE
from zmqfuzz.finding import Severity

__all__ = ["unread_monitor", "waits_for_ever"]

_LIMITS = ("wait_for", "timeout", "timeout_at", "move_on_after", "fail_after", "with_timeout", "Timeout", "wait")


@rule("ZF640", "A request waits for its reply for ever", severity=Severity.MEDIUM)
def waits_for_ever(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """A REQ that receives without a limit hangs when its server, or one message, is lost.

    Why: neither a reconnect nor a restarted server brings a lost reply back, and REQ does not let the program send
    again. Looked for: a REQ on a network or ipc with ``recv`` and neither RCVTIMEO, poll, NOBLOCK nor a timeout
    around. To fix: RCVTIMEO or ``poll(milliseconds)``, and a new socket after it.
    """
    for entry in inventory.entries:
        if entry.types != {"REQ"} or only_within(entry) or entry.waits or entry.opaque or not entry.doors:
            continue
        limits = {setting.name for setting in entry.settings}
        limits |= {setting.name for use in inventory.of(entry) for setting in use.settings}
        waiting = [use for use in entry.received if not _is_limited(inventory, use)]
        if waiting and "RCVTIMEO" not in limits:
            yield of(
                entry,
                rule,
                "It waits for the reply without any limit: a lost reply stops the program here for ever.",
                "Set RCVTIMEO or poll with a time, and open a new socket when it is over.",
                inventory=inventory,
                use=waiting[0],
                sure=not entry.given_away,
            )


def _is_limited(inventory: Inventory, use: Use) -> bool:
    words = ast.unparse(use.node)
    if "NOBLOCK" in words or "DONTWAIT" in words or "flags" in words:
        return True
    for called in inventory.flow.indexes[use.scope.module].calls:
        match called.node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name) if called.scope is use.scope and name in _LIMITS:
                return True
    return False


@rule("ZF641", "A socket's monitor is never read", severity=Severity.HIGH)
def unread_monitor(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Events of a monitor are messages, and libzmq waits where they are not taken.

    Why: libzmq writes each event with a blocking send (``socket_base.cpp:monitor_event``). When the monitor's queue
    is full, after about two thousand events, its I/O thread stops: strangers who only connect and leave stop all
    sockets of the context. Looked for: ``get_monitor_socket()`` on whose result nothing is received or polled, and
    ``monitor(endpoint)`` to which nothing connects. To fix: read it in a thread or task, or ``disable_monitor()``.
    """
    addresses = {str(one.value) for entry in inventory.entries for door in entry.doors for one in door.endpoints}
    for entry in inventory.entries:
        if not entry.monitors or entry.received or entry.waits or entry.given_away:
            continue
        node = entry.created.node
        if isinstance(node.func, ast.Attribute) and node.func.attr == "monitor":
            if not node.args:
                continue
            texts = inventory.flow.values(node.args[0], entry.created.scope)
            named = {str(value.value) for value in texts if hasattr(value, "value")}
            if not named or any(HOLE in name for name in named) or named & addresses:
                continue
            used = inventory.flow.values(node.func.value, entry.created.scope)
            if not any(one.created.node is getattr(value, "call", None) for value in used for one in inventory.entries):
                continue
        yield of(
            entry,
            rule,
            "Nothing reads this monitor: when its queue is full, libzmq's I/O thread stops, and all sockets with it.",
            "Read its events in a thread or task, or call disable_monitor().",
            inventory=inventory,
            sure=False,
        )
