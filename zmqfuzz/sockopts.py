"""Socket options as people write them, and the sets of them that are known to help against a finding.

Contract: names and kinds are pyzmq's (``zmq.SocketOption``), values are what libzmq takes (zmq_setsockopt(3)):
milliseconds for times, seconds for the two times of TCP keepalive, octets for sizes. No I/O.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import zmq

from zmqfuzz.budget import Limits
from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_duration, parse_size

__all__ = ["MEANT", "Option", "Set", "costs", "parse_set", "suggested", "written"]

Option = tuple[str, int | str]
Set = tuple[Option, ...]
"""Options that are tried together."""

_TIMES = """
    HANDSHAKE_IVL HEARTBEAT_IVL HEARTBEAT_TIMEOUT HEARTBEAT_TTL LINGER RCVTIMEO SNDTIMEO RECONNECT_IVL
    RECONNECT_IVL_MAX CONNECT_TIMEOUT TCP_MAXRT
"""
_MILLISECONDS = frozenset(_TIMES.split())
_SECONDS = frozenset(("TCP_KEEPALIVE_IDLE", "TCP_KEEPALIVE_INTVL"))
_SIZES = frozenset(("MAXMSGSIZE", "SNDBUF", "RCVBUF"))
_READ_ONLY = frozenset(("LAST_ENDPOINT", "TYPE", "FD", "EVENTS", "RCVMORE", "MECHANISM", "THREAD_SAFE"))
_TEXTS = re.compile("KEY|DOMAIN|USERNAME|PASSWORD|PRINCIPAL|PROXY|IDENTITY|ROUTING_ID|DEVICE|MSG$|METADATA|FILTER$")


MEANT = {
    "DROP": "There is no such option: what happens at the high-water mark depends on the socket's type.",
    "TCP_USER_TIMEOUT": "That is the kernel's option; libzmq's is TCP_MAXRT.",
    "TCP_SYNCNT": "That is the kernel's option; libzmq's is CONNECT_TIMEOUT.",
    "TCP_NODELAY": "libzmq always sets it; leave it out.",
    "MAX_MSGSZ": "Set MAXMSGSIZE on each socket: MAX_MSGSZ is an option of the context.",
}
"""What is meant by names that are believed to be options, and are none."""


def parse_set(text: str) -> Set:
    """``HEARTBEAT_IVL=1s,HEARTBEAT_TIMEOUT=2s``: options tried together. Raises UsageError with the remedy."""
    found = tuple(_parse(part.strip()) for part in text.split(",") if part.strip())
    if not found:
        raise UsageError("--set is empty; write an option and its value, as --set MAXMSGSIZE=64KiB.")
    return found


def _parse(text: str) -> Option:
    name, equals, value = text.partition("=")
    name = name.strip().upper().removeprefix("ZMQ_")
    if not equals or not value.strip():
        raise UsageError(f"--set {text!r} gives no value; write OPTION=VALUE, as MAXMSGSIZE=64KiB.")
    members = zmq.SocketOption.__members__
    if name not in members or name in _READ_ONLY:
        if name in _READ_ONLY:
            raise UsageError(f"--set: {name} can be read and not set; give another option.")
        near = difflib.get_close_matches(name, members, 1)
        if name in MEANT:
            raise UsageError(f"--set: libzmq has no option {name!r} of a socket. {MEANT[name]}")
        hint = f"did you mean {near[0]}?" if near else "zmq_setsockopt(3) has them all."
        raise UsageError(f"--set: libzmq has no option {name!r} that a socket could be given; {hint}")
    return name, _value(name, value.strip())


def _value(name: str, text: str) -> int | str:
    if re.fullmatch(r"[+-]?\d{1,18}", text) and not _TEXTS.search(name):
        return int(text)
    try:
        if name in _MILLISECONDS:
            return round(parse_duration(text) * 1000)
        if name in _SECONDS:
            return round(parse_duration(text))
        if name in _SIZES:
            return parse_size(text)
    except UsageError as error:
        raise UsageError(f"--set {name}: {error}") from None
    if _TEXTS.search(name):
        return text
    raise UsageError(f"--set {name}: {text!r} is not a whole number, as {name} takes it.")


def written(options: Set) -> str:
    """As a person may write it to ``--set`` again."""
    return ",".join(f"{name}={value}" for name, value in options)


@dataclass(frozen=True, slots=True)
class _Times:
    """Milliseconds that keep what was promised: the half of it for what is repeated."""

    handshake: int
    hung: int
    vanished: int
    linger: int


def _times(limits: Limits) -> _Times:
    def of(promised: float | None, otherwise: float) -> int:
        return max(1, round(1000 * (promised if promised is not None else otherwise)))

    return _Times(
        of(limits.handshake_within, 5.0),
        of(limits.hung_within, 10.0),
        of(limits.vanished_within, 10.0),
        of(limits.linger, 1.0),
    )


def suggested(code: str, limits: Limits, mechanism: str = "NULL") -> tuple[Set, ...]:
    """The sets that are known to help against findings of ``code``, the least surprising first; perhaps none.

    Sources: zmq_setsockopt(3) for what each does; for what does not help, the measurements in
    docs/what-libzmq-does.md.
    """
    times, sealed = _times(limits), 33 if mechanism == "CURVE" else 0  # a MESSAGE command around each frame (RFC 26)
    frame: Set = (("MAXMSGSIZE", (limits.max_frame or 1 << 20) + sealed),)
    marks: tuple[Set, ...] = ((("RCVHWM", 10),), (("RCVHWM", 1), ("RCVBUF", 64 * 1024)))
    handshake: Set = (("HANDSHAKE_IVL", times.handshake),)
    beats = _beats(times.hung)
    keepalive: Set = _keepalive(times.vanished)
    old: Set = (("ZAP_DOMAIN", "zmqfuzz"),)
    known: dict[str, tuple[Set, ...]] = {
        "ZF103": (handshake, beats, (("BACKLOG", 4096),)),
        "ZF201": (frame,),
        "ZF202": (frame, (("MAXMSGSIZE", -1),)),
        "ZF203": (frame, *marks, (*frame, *marks[0])),
        "ZF204": (handshake, beats, frame),
        "ZF205": (handshake, beats, keepalive),
        "ZF206": (frame, marks[0], (("SNDHWM", 10),), (*frame, ("RCVHWM", 10), ("SNDHWM", 10))),
        "ZF207": (frame, *marks),
        "ZF208": (beats, keepalive, handshake),
        "ZF209": (handshake, beats),
        "ZF311": (handshake,),
        "ZF312": (beats,),
        "ZF313": (keepalive, _beats(times.vanished)),
        "ZF314": ((("HEARTBEAT_TIMEOUT", times.hung), ("HEARTBEAT_TTL", times.hung)), (("HEARTBEAT_IVL", 0),)),
        "ZF315": (handshake, old, (*old, *handshake)),
        "ZF316": (beats, old, (*old, *beats)),
        "ZF321": ((("LINGER", times.linger),), (("LINGER", 0),)),
        "ZF322": ((("LINGER", times.linger),), (("LINGER", -1),)),
    }
    return known.get(code, ())


_COSTS = {
    "BACKLOG": "more connections may wait than the kernel allows (net.core.somaxconn)",
    "HANDSHAKE_IVL": "honest peers on a slow network have no longer for their handshake either",
    "HEARTBEAT_IVL": "an honest peer that is stopped or falls behind for so long is cut, too",
    "LINGER": "what is not sent by then is lost",
    "MAXMSGSIZE": "a larger frame of an honest peer ends its connection, too",
    "RCVHWM": "an honest peer that is fast is slowed down (or, from a PUB, loses messages) earlier",
    "SNDHWM": "messages for a peer that is slow are dropped or held up earlier",
    "TCP_KEEPALIVE": "an honest peer behind a network that is away for so long is cut, too",
    "ZAP_DOMAIN": "all peers of ZMTP 1.0 and 2.0 are refused; a ZAP handler, where there is one, is asked about all",
}


def costs(options: Set) -> tuple[str, ...]:
    """What options are known to cost honest peers, in sentences' parts (zmq_setsockopt(3), RFC 27)."""
    return tuple(_COSTS[name] for name, value in options if name in _COSTS and value != -1)


def _beats(within: int) -> Set:
    """A hung peer is cut HEARTBEAT_IVL and HEARTBEAT_TIMEOUT after its last octets, at the latest."""
    return ("HEARTBEAT_IVL", max(1, within * 3 // 10)), ("HEARTBEAT_TIMEOUT", max(1, within * 6 // 10))


def _keepalive(within: int) -> Set:
    """The kernel gives up after the idle time and COUNT unanswered probes; whole seconds (tcp(7))."""
    each = max(1, within // 4000)
    return (
        ("TCP_KEEPALIVE", 1),
        ("TCP_KEEPALIVE_IDLE", each),
        ("TCP_KEEPALIVE_INTVL", each),
        ("TCP_KEEPALIVE_CNT", 2),
    )
