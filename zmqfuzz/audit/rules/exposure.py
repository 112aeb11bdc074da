"""Who can reach a socket, and in the clear or not."""

from __future__ import annotations

from collections.abc import Iterator

from zmqfuzz.audit.exposure import Reach, doors, is_locked, only_within, switched_on
from zmqfuzz.audit.inventory import Inventory
from zmqfuzz.audit.lines import Line, Rule, of, rule
from zmqfuzz.finding import Severity


@rule("ZF601", "A socket is bound to every interface and asks nobody who he is", severity=Severity.HIGH)
def wildcard_bind(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """``tcp://*``, ``tcp://0.0.0.0`` and ``tcp://[::]`` listen on every interface that the machine has or will have.

    Why: without CURVE, PLAIN or a ZAP handler whoever can reach one of them is a peer. Looked for: a bind to such an
    endpoint, written out or put together from parts and defaults, of a socket on which no mechanism is set. A default
    that whoever starts the program may change is told as likely. To fix: bind to 127.0.0.1, or to the one interface
    that is meant; or set CURVE_SERVER with a ZAP handler.
    """
    for entry in inventory.entries:
        if is_locked(inventory, entry):
            continue
        for each in doors(entry, bound=True):
            if each.reach is Reach.EVERYWHERE:
                yield of(
                    entry,
                    rule,
                    f"It is bound to every interface{'' if each.sure else ' by default'}, and asks no peer for a key.",
                    "Bind to 127.0.0.1 or the one interface that is meant, or set CURVE_SERVER with a ZAP handler.",
                    use=each.door.use,
                    inventory=inventory,
                    endpoint=each.text,
                    sure=each.sure and not entry.opaque,
                )


@rule("ZF610", "Strangers can take over another peer's identity", severity=Severity.MEDIUM)
def handover(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """ROUTER_HANDOVER gives a routing id to whoever claims it last.

    Why: replies for a peer then go to a stranger who connects with the peer's id, and the peer's own connection is
    closed (libzmq ``router.cpp:identify_peer``). Looked for: the option set to other than 0 where no mechanism is
    set. To fix: leave it off, or authenticate peers with CURVE.
    """
    for entry in inventory.entries:
        if is_locked(inventory, entry) or only_within(entry):
            continue
        for setting in entry.set_to("ROUTER_HANDOVER"):
            if switched_on(setting):
                yield of(
                    entry,
                    rule,
                    "ROUTER_HANDOVER is on, so that whoever claims a peer's routing id gets its messages.",
                    "Leave ROUTER_HANDOVER off, or authenticate peers with CURVE and a ZAP handler.",
                    use=setting.use,
                    inventory=inventory,
                    sure=not entry.given_away and all(r.reach is not Reach.UNKNOWN for r in doors(entry)),
                )


@rule("ZF620", "Messages cross a network in the clear", severity=Severity.LOW)
def in_the_clear(inventory: Inventory, rule: Rule) -> Iterator[Line]:
    """NULL and PLAIN neither encrypt nor show who answers.

    Why: who stands between the two ends reads and changes every message, and with PLAIN the password, too. Looked
    for: an endpoint on a host that is written out and not loopback, of a socket without CURVE. To fix: CURVE on both
    ends, or a tunnel.
    """
    for entry in inventory.entries:
        names = {setting.name for setting in entry.settings}
        names |= {setting.name for use in inventory.of(entry) for setting in use.settings}
        if names & {"CURVE_SERVER", "CURVE_SERVERKEY", "GSSAPI_SERVER", "GSSAPI_PRINCIPAL"} or entry.opaque:
            continue
        plain = bool(names & {"PLAIN_SERVER", "PLAIN_PASSWORD", "PLAIN_USERNAME"})
        for each in doors(entry):
            if each.reach is Reach.HOST or (plain and each.reach is Reach.EVERYWHERE):
                what = "The password and every message are" if plain else "Every message is"
                yield of(
                    entry,
                    rule,
                    f"{what} readable and changeable on the way: no CURVE on an endpoint beyond this machine.",
                    "Set CURVE on both ends, or put the connection into a tunnel.",
                    use=each.door.use,
                    inventory=inventory,
                    endpoint=each.text,
                    sure=each.sure and not entry.given_away,
                    severity=Severity.MEDIUM if plain else None,
                )


__all__ = ["handover", "in_the_clear", "wildcard_bind"]
