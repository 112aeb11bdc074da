"""Whether the program can end."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.finding import Severity

__all__ = ["lingers"]

_NEVER_SEND = frozenset({"SUB", "PULL"})


@rule("ZF606", "The program's end may wait for a peer for ever", severity=Severity.LOW)
def lingers(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """LINGER of -1, libzmq's default, makes ``term`` wait until every message has been taken.

    Why: a peer that is absent or hung then keeps the program from ending. Looked for: LINGER set to -1 (sure); or
    never set, on a socket that connects and sends over a network or ipc, where its context is ended by ``term``,
    ``destroy`` without ``linger`` or ``with`` (likely: messages have to be waiting). To fix: ``socket.linger`` in
    milliseconds, ``close(linger=...)`` or ``destroy(linger=...)``.
    """
    for entry in inventory.entries:
        set_to = entry.set_to("LINGER")
        forever = [setting for setting in set_to if any(one.value == -1 for one in setting.numbers())]
        for setting in forever:
            yield of(
                entry,
                rule,
                "LINGER is set to -1: the program's end waits for every peer, for ever.",
                "Set LINGER to the milliseconds that its last messages are worth.",
                inventory=inventory,
                use=setting.use,
                severity=Severity.MEDIUM,
                sure=all(one.sure for one in setting.numbers()),
            )
        sends = bool(entry.sent) and not (entry.types and entry.types <= _NEVER_SEND)
        # A listener waits for peers that are there and do not read, not for those that have gone.
        waits = [door for door in entry.doors if not door.bound and not door.text.startswith(("udp:", "inproc:"))]
        if set_to or entry.opaque or entry.monitors or not sends or not waits:
            continue
        ends = inventory.ends(entry)
        if ends and not any(use.lingers for use in inventory.of(entry)):
            how = {"with": "leaving the `with` of its context", "term": "term()"}.get(ends[0].method, "destroy()")
            yield of(
                entry,
                rule,
                f"LINGER is never set: {how} waits for ever while a message to an absent peer is left.",
                "Set socket.linger to milliseconds, or give linger= to close() or destroy().",
                inventory=inventory,
                sure=False,
            )
