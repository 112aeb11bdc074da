"""What a running program set, and what it did not: too late, without effect, refused, or left as libzmq has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zmqfuzz.audit.exposure import Reach, reach
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.rules.effect import CONFLATING, MAX_MSGSZ, MEANT_FIRST
from zmqfuzz.audit.rules.limits import TOO_MANY, too_many
from zmqfuzz.audit.rules.options import BEFORE, LOCKS
from zmqfuzz.audit.seen import Said, endpoint_of, known_rules, line_of, locked
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Door, OpenedSocket, Place, Recorded, SetOption
from zmqfuzz.sockopts import MEANT

__all__ = ["DEFAULTS", "changed_defaults", "left_alone", "marks", "of_contexts", "of_settings"]

DEFAULTS: dict[str, int] = {
    "MECHANISM": 0,
    "MAXMSGSIZE": -1,
    "HANDSHAKE_IVL": 30_000,
    "HEARTBEAT_IVL": 0,
    "TCP_KEEPALIVE": -1,
    "SNDHWM": 1000,
    "RCVHWM": 1000,
    "LINGER": -1,
}
"""The options that matter to who is attacked, with the defaults of libzmq 4.3.5 (``options.cpp``); a test asks it."""

_ASKED = frozenset(("HWM", "IPV4ONLY", "DELAY_ATTACH_ON_CONNECT", "RATE"))
"""Options of older libzmqs that programs try in order to learn which one they have."""

_TIMES = ("TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_CNT", "TCP_KEEPALIVE_INTVL")


def marks(socket: OpenedSocket, outside: list[Door]) -> Iterator[Said]:
    """High-water marks of 0, as they were at a door or were set later: they act at once (zmq_setsockopt(3))."""
    found: dict[Place | None, list[str]] = {}
    for one in socket.settings:
        if one.name in ("SNDHWM", "RCVHWM", "HWM") and isinstance(one.value, int) and one.value >= TOO_MANY and outside:
            sentence, remedy = too_many(one.name, one.value)
            yield Said("ZF605", one.place, sentence, remedy, endpoint_of(outside[0]), Severity.LOW)
    for name in ("SNDHWM", "RCVHWM"):
        zero = [one.place for one in socket.settings if one.name in (name, "HWM") and one.value == 0]
        opened = [door.place for door in socket.doors if door.options.get(name) == 0]
        for place in (zero or opened)[:1]:
            found.setdefault(place, []).append(name)
    for place, names in found.items():
        yield Said(
            "ZF605",
            place,
            f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} 0, no limit: messages that are not taken are "
            "kept until memory ends.",
            "Set a mark that the memory allows (messages for each peer), and decide what happens at it.",
            endpoint_of((outside or socket.doors)[0]),
            None if outside else Severity.INFO,
        )


def of_settings(socket: OpenedSocket, outside: list[Door]) -> Iterator[Said]:
    """What was set and has no effect, or another one than is meant; and what libzmq did not take."""
    for setting in socket.settings:
        before = [door for door in socket.doors if door.order < setting.order]
        after = [door for door in socket.doors if door.order > setting.order]
        in_force = before[-1].options.get(setting.name) if before else None
        if before and not after and setting.name in BEFORE and in_force != setting.value and outside:
            yield Said(
                "ZF622",
                setting.place,
                f"{setting.name} is set after {before[-1].verb}, where it has no effect any more.",
                f"Set {setting.name} before the first bind and connect.",
                endpoint_of(before[-1]),
                Severity.HIGH if setting.name in LOCKS else None,
            )
        elif setting.name == "ROUTER_HANDOVER" and setting.value and any(not locked(door) for door in outside):
            yield Said(
                "ZF610",
                setting.place,
                "ROUTER_HANDOVER is on, so that whoever claims a peer's routing id gets its messages.",
                "Leave ROUTER_HANDOVER off, or authenticate peers with CURVE and a ZAP handler.",
                endpoint_of(outside[0]),
            )
        elif after and outside and (needs := _needs(setting.name, after[-1])):
            yield Said(
                "ZF644",
                setting.place,
                f"{setting.name} is set and has no effect while {needs}.",
                f"Set {needs.split(' ')[0]}, too, before bind and connect; or leave {setting.name} out.",
                endpoint_of(outside[0]),
            )
        elif setting.value and setting.name == "CONFLATE" and socket.type not in CONFLATING:
            yield Said(
                "ZF644",
                setting.place,
                f"CONFLATE is set and has no effect on a {socket.type}.",
                f"Only {', '.join(sorted(CONFLATING))} conflate; leave it out.",
            )
    for one in socket.refused:
        name = one.name.removeprefix("ZMQ_")
        if name in _ASKED:
            continue
        yield Said(
            "ZF644" if one.known else "ZF642",
            one.place,
            f"libzmq did not take {name} on a {socket.type} ({one.error}), and the program went on or ended here."
            if one.known
            else f"libzmq and pyzmq know no option {name}: this raised an error.",
            MEANT.get(name, "Look for the option that is meant, and its types, in zmq_setsockopt(3)."),
            severity=Severity.INFO if one.known else None,
        )


def _needs(name: str, door: Door) -> str:
    """What else an option needs at a door that it does not have there (libzmq ``tcp.cpp:tune_tcp_keepalives``)."""
    if name in _TIMES and door.options.get(name) != -1 and door.options.get("TCP_KEEPALIVE") in (-1, 0):
        return "TCP_KEEPALIVE is not 1"
    if name in ("HEARTBEAT_TIMEOUT", "HEARTBEAT_TTL") and door.options.get("HEARTBEAT_IVL") == 0:
        return "HEARTBEAT_IVL is 0"
    return ""


def of_contexts(recorded: Recorded) -> Iterator[Said]:
    """What was given to contexts and does nothing there."""
    for pid, context, one in recorded.contexts:
        mine = [socket for socket in recorded.sockets if (socket.pid, socket.context) == (pid, context)]
        before, after = [s for s in mine if s.made < one.order], [s for s in mine if s.made > one.order]
        if one.name == "MAX_MSGSZ":
            yield Said("ZF644", one.place, MAX_MSGSZ, "Set MAXMSGSIZE on each socket, before bind and connect.")
        elif before and one.name in MEANT_FIRST and not one.default:
            yield _late(one, "the first socket was made", before[0], "Set it before the first socket is made.")
        elif before and one.default and not after:
            when = "its sockets were made, which keep what they have"
            yield _late(one, when, before[0], "Set it first, or on each socket.")


def _late(one: SetOption, when: str, socket: OpenedSocket, remedy: str) -> Said:
    line = f" (line {socket.created.line})" if socket.created is not None else ""
    return Said("ZF644", one.place, f"{one.name} is set on the context after {when}{line}: it has no effect.", remedy)


def changed_defaults(library: str, version: str, defaults: Mapping[str, int]) -> list[Line]:
    """What the library at ``library`` has as default otherwise than libzmq 4.3.5."""
    rule = known_rules()["ZF648"]
    return [
        line_of(
            Said(
                "ZF648",
                Place(f"<{library.rpartition('/')[2]}>", 1),
                f"The default of {name} is {defaults[name]} in libzmq {version}; in 4.3.5 it is {usual}.",
                f"Set {name} in the program, so that it does not depend on the library.",
            ),
            rule,
            "",
        )
        for name, usual in DEFAULTS.items()
        if name in defaults and defaults[name] != usual
    ]


def left_alone(socket: OpenedSocket, outside: list[Door]) -> Iterator[Said]:
    """The options that matter and are as libzmq has them, never set, at the first door beyond inproc."""
    if not outside:
        return
    door = outside[0]
    named = {one.name for one in socket.settings}
    named |= {"SNDHWM", "RCVHWM"} if "HWM" in named else set()
    left = [name for name, usual in DEFAULTS.items() if door.options.get(name) == usual and name not in named]
    if socket.closed is not None and socket.closed.linger != -1 and "LINGER" in left:
        left.remove("LINGER")
    if left and reach(endpoint_of(door)).value > Reach.PROCESS.value:
        values = ", ".join(f"{name} {door.options[name]}" if name != "MECHANISM" else "MECHANISM NULL" for name in left)
        yield Said(
            "ZF647",
            door.place,
            f"Left at libzmq's defaults: {values}.",
            "Decide each and set it, so that another libzmq changes nothing.",
            endpoint_of(door),
        )
