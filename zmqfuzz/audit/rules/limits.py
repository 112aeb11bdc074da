"""What a peer may make the program hold."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.audit.exposure import Reach, doors, only_within, strangers
from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.audit.values import Const
from zmqfuzz.finding import Severity

__all__ = ["TOO_MANY", "dead_peers", "endless_handshake", "no_frame_limit", "no_high_water_mark", "too_many"]


TOO_MANY = 1 << 20
"""Messages: a mark from here on was meant as octets, or as none."""


def too_many(name: str, mark: int) -> tuple[str, str]:
    """What to say of such a mark, and what to do."""
    return (
        f"{name} is {mark:,}: it counts messages for each peer, not octets, and is no limit in practice.",
        "Set a mark that the memory allows: messages of the largest size, for each peer.",
    )


def _defaults(inventory: Inventory) -> set[str]:
    return {setting.name for use in inventory.contexts.values() for setting in use.settings}


@rule("ZF603", "Strangers can send frames of any size", severity=Severity.MEDIUM)
def no_frame_limit(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """MAXMSGSIZE is off by default: one frame may announce up to 2^63-1 octets.

    Why: libzmq keeps a frame until it is complete, so a stranger decides how much memory the program holds. Looked
    for: a socket bound where strangers may reach it (or where the source does not tell: likely, and info), on which
    MAXMSGSIZE is never set. To fix: ``socket.setsockopt(zmq.MAXMSGSIZE, limit)`` before bind. It bounds one frame,
    not a message of many.
    """
    for entry in inventory.entries:
        door = strangers(inventory, entry)
        if door is None or door.text.startswith("udp:") or entry.opaque or "MAXMSGSIZE" in _defaults(inventory):
            continue
        limits = entry.set_to("MAXMSGSIZE")
        off = [one for setting in limits for one in setting.numbers() if one.value == -1]
        if limits and not off:
            continue
        known = door.reach is not Reach.UNKNOWN
        if off:
            sentence = "MAXMSGSIZE is set to -1, no limit, where strangers can reach the socket."
        elif known:
            sentence = "MAXMSGSIZE is not set, and strangers can reach the socket: one frame may fill the memory."
        else:
            sentence = "MAXMSGSIZE is not set, and the source does not say who can reach the socket."
        yield of(
            entry,
            rule,
            sentence,
            "Set MAXMSGSIZE to the largest frame that you expect, before bind.",
            inventory=inventory,
            use=(off and limits[0].use) or door.door.use,
            endpoint=door.text,
            sure=known and door.sure and not entry.given_away,
            severity=None if known else Severity.INFO,
        )


@rule("ZF605", "A high-water mark is switched off", severity=Severity.MEDIUM)
def no_high_water_mark(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """SNDHWM and RCVHWM of 0 mean no limit.

    Why: messages for a peer that reads slowly, and of one that sends quickly, are then kept until memory ends. The
    mark counts messages for each peer, not octets. Looked for: SNDHWM, RCVHWM or HWM set to 0 (info where the socket
    is for one process only), or to a million and more (low), which was meant as octets or as no limit. To fix: a mark
    that the memory allows, and code for what happens there: PUB drops, PUSH and DEALER block.
    """
    for entry in inventory.entries:
        for setting in entry.set_to("SNDHWM", "RCVHWM", "HWM"):
            zero = [one for one in setting.numbers() if one.value == 0 and one.value is not False]
            if zero:
                yield of(
                    entry,
                    rule,
                    f"{setting.name} is 0, no limit: messages that are not taken are kept until memory ends.",
                    "Set a mark that the memory allows (messages for each peer), and decide what happens at it.",
                    inventory=inventory,
                    use=setting.use,
                    sure=all(one.sure for one in zero),
                    severity=Severity.INFO if only_within(entry) else None,
                )
            many = [one for one in setting.numbers() if isinstance(one.value, int) and one.value >= TOO_MANY]
            if many and not only_within(entry):
                sentence, remedy = too_many(setting.name, int(str(many[0].value)))
                use, sure = setting.use, all(one.sure for one in many)
                yield of(entry, rule, sentence, remedy, inventory=inventory, use=use, sure=sure, severity=Severity.LOW)


@rule("ZF607", "Peers may stay in the handshake for ever", severity=Severity.MEDIUM)
def endless_handshake(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """HANDSHAKE_IVL of 0 lets a peer that never completes the handshake keep its connection.

    Why: each costs a descriptor and some memory, and no key is needed. Looked for: the option set to 0 (the default,
    30 s, is not told). To fix: a few seconds.
    """
    for entry in inventory.entries:
        for setting in entry.set_to("HANDSHAKE_IVL"):
            if Const(0) in setting.values and not only_within(entry):
                yield of(
                    entry,
                    rule,
                    "HANDSHAKE_IVL is 0: a peer that never completes the handshake keeps its connection for ever.",
                    "Set HANDSHAKE_IVL to a few seconds (milliseconds are its unit).",
                    inventory=inventory,
                    use=setting.use,
                )


@rule("ZF609", "Dead peers are never noticed", severity=Severity.LOW)
def dead_peers(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """Neither ZMTP heartbeats nor TCP keepalive are on.

    Why: the connection of a peer whose host vanished stays for ever, with its descriptor and queue. Keepalive finds
    vanished hosts only, heartbeats find hung programs, too. Looked for: a ROUTER, PUB, XPUB, REP, PUSH or PULL bound
    where other hosts can reach it, with neither HEARTBEAT_IVL nor TCP_KEEPALIVE. To fix: ``HEARTBEAT_IVL`` with
    ``HEARTBEAT_TIMEOUT``, or ``TCP_KEEPALIVE`` with its times.
    """
    for entry in inventory.entries:
        names = {setting.name for setting in entry.settings} | _defaults(inventory)
        if names & {"HEARTBEAT_IVL", "TCP_KEEPALIVE"} or entry.opaque:
            continue
        if not entry.types or entry.types <= {"SUB", "REQ", "PAIR"}:
            continue
        for each in doors(entry, bound=True):
            if each.reach.value >= Reach.HOST.value and not each.text.startswith("udp:"):
                yield of(
                    entry,
                    rule,
                    "Neither HEARTBEAT_IVL nor TCP_KEEPALIVE is set: connections of hosts that vanished stay for ever.",
                    "Set HEARTBEAT_IVL and HEARTBEAT_TIMEOUT, or TCP_KEEPALIVE with TCP_KEEPALIVE_IDLE.",
                    inventory=inventory,
                    use=each.door.use,
                    endpoint=each.text,
                    sure=each.sure and not entry.given_away,
                )
                break
