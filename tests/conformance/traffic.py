"""Rows: frames and commands after an honest handshake, on every socket type."""

from __future__ import annotations

from tests.conformance.row import Reaction, Row
from zmqfuzz.zmtp import Command, Fill, Frame, Property, Raw, Unit

__all__ = ["ROWS"]

CLOSES, GIVES_UP, COMES_BACK = Reaction.CLOSES, Reaction.GIVES_UP, Reaction.COMES_BACK
DROPS, DELIVERS, STALLS = Reaction.DROPS, Reaction.DELIVERS, Reaction.STALLS

_TYPES = ("PULL", "ROUTER", "DEALER", "SUB", "PAIR", "XPUB", "REP", "REQ", "PUSH", "PUB")
_READ = ("PULL", "ROUTER", "DEALER", "SUB", "PAIR")

_COMMANDS: tuple[tuple[str, Unit], ...] = (
    ("an unknown command", Command(b"UNKNOWN", b"odd")),
    ("an empty command", Frame(b"", command=True)),
    ("a command whose name is longer than it", Command(b"PING", name_size=200)),
    ("READY once more", Command(b"READY", properties=(Property(b"Socket-Type", b"PAIR"),))),
    ("ERROR after READY", Command(b"ERROR", b"\x03odd")),
    ("PONG without a PING", Command(b"PONG", b"odd")),
    ("JOIN", Command(b"JOIN", b"odd")),
    ("HELLO", Command(b"HELLO", b"\x01u\x01p")),
)

_AFTER = tuple(Row(name, "37 command", (unit,), DROPS, socket_type=kind) for kind in _TYPES for name, unit in _COMMANDS)

_SUBSCRIPTIONS = (
    *(Row("SUBSCRIBE", "37 subscribe", (Command(b"SUBSCRIBE", b"odd"),), DELIVERS, socket_type=kind) for kind in _READ),
    *(Row("CANCEL", "37 cancel", (Command(b"CANCEL", b"odd"),), DELIVERS, socket_type=kind) for kind in _READ),
    Row("SUBSCRIBE", "37 subscribe", (Command(b"SUBSCRIBE", b"odd"),), DROPS, socket_type="REP"),
    Row("SUBSCRIBE", "37 subscribe", (Command(b"SUBSCRIBE", b"odd"),), DROPS, socket_type="PUSH"),
    Row(
        "SUBSCRIBE",
        "37 subscribe",
        (Command(b"SUBSCRIBE", b"odd"),),
        DELIVERS,
        socket_type="XPUB",
    ),
    Row(
        "SUBSCRIBE with MORE", "37 subscribe", (Command(b"SUBSCRIBE", b"odd", more=True),), DELIVERS, socket_type="XPUB"
    ),
    Row("CANCEL of what was not subscribed", "37 cancel", (Command(b"CANCEL", b"odd"),), DELIVERS, socket_type="XPUB"),
    Row("SUBSCRIBE in lower case", "37 subscribe", (Command(b"subscribe", b"odd"),), DROPS, socket_type="XPUB"),
    Row("a subscription as a message, in 3.1", "23 subscribe", (Frame(b"\x01odd"),), DELIVERS, socket_type="XPUB"),
    Row("a message that is no subscription", "37 traffic", (Frame(b"odd"),), DELIVERS, socket_type="XPUB"),
    Row("a message that is no subscription", "37 traffic", (Frame(b"odd"),), DROPS, socket_type="PUB"),
    Row("an empty message", "37 traffic", (Frame(b""),), DROPS, socket_type="PUB"),
    Row("a message to a socket that only sends", "37 traffic", (Frame(b"odd"),), DROPS, socket_type="PUSH"),
)

_FRAMES = (
    *(
        Row(f"reserved flag bits {bits:02x}", "37 frame", (Frame(b"odd", reserved=bits),), DELIVERS, socket_type=kind)
        for bits in (0x08, 0x80, 0xF8)
        for kind in ("PULL", "ROUTER")
    ),
    Row("a long size of a short frame", "37 frame", (Frame(b"odd", long=True),), DELIVERS),
    Row("a long size of an empty frame", "37 frame", (Frame(b"", long=True),), DELIVERS),
    *(
        Row(f"size {name}", "37 frame", (Frame(long=True, declared_size=size),), CLOSES, socket_type=kind, alone=True)
        for name, size in (("2^64-1", 2**64 - 1), ("2^64-40", 2**64 - 40), ("2^63", 2**63), ("2^62", 2**62))
        for kind in ("PULL", "XPUB")
    ),
    Row(
        "size 2^63",
        "37 frame",
        (Frame(long=True, declared_size=2**63),),
        GIVES_UP,
        socket_type="SUB",
        side="connect",
        alone=True,
    ),
    Row("a body that never ends", "37 frame", (Frame(b"odd", declared_size=200),), STALLS, alone=True),
    Row("a large body that never ends", "37 frame", (Frame(b"odd", declared_size=2**31),), STALLS, alone=True),
    Row("a header that never ends", "37 frame", (Raw(b"\x02\0\0"),), STALLS, alone=True),
    Row("MORE that is never followed", "37 message", (Frame(b"odd", more=True),), STALLS, alone=True),
    Row("MORE, then another message", "37 message", (Frame(b"odd", more=True),), DELIVERS),
    Row(
        "a command between the parts of a message",
        "37 message",
        (Frame(b"odd", more=True), Command(b"PING", b"\0\0")),
        DELIVERS,
    ),
    Row("a command with MORE", "37 command", (Command(b"UNKNOWN", more=True),), DROPS),
    Row(
        "a command with reserved flag bits",
        "37 command",
        (Frame(b"\x07UNKNOWN", command=True, reserved=0xF8),),
        DROPS,
    ),
    Row("a command of 100 kB", "37 command", (Frame(Fill(100_000), command=True),), DROPS),
    Row("one octet over MAXMSGSIZE", "37 frame", (Frame(Fill(1001)),), CLOSES, max_size=1000),
    Row("exactly MAXMSGSIZE", "37 frame", (Frame(Fill(1000)),), DELIVERS, max_size=1000),
    Row("a command over MAXMSGSIZE", "37 frame", (Frame(Fill(1001), command=True),), CLOSES, max_size=1000),
    Row(
        "two parts, together over MAXMSGSIZE",
        "37 message",
        (Frame(Fill(900), more=True), Frame(Fill(900))),
        DELIVERS,
        max_size=1000,
    ),
    Row("one octet over MAXMSGSIZE", "37 frame", (Frame(Fill(1001)),), GIVES_UP, side="connect", max_size=1000),
)

_HEARTBEATS = (
    *(
        Row(
            "PING with a context of 100 kB",
            "37 heartbeat",
            (Command(b"PING", b"\0\0" + b"c" * 100_000),),
            DROPS,
            socket_type=kind,
        )
        for kind in ("PULL", "ROUTER")
    ),
    Row("PING with a TTL of 6553.5 s", "37 heartbeat", (Command(b"PING", b"\xff\xff"),), DROPS),
    Row("PING with MORE", "37 heartbeat", (Command(b"PING", b"\0\0", more=True),), DROPS),
    Row("PING as a message", "37 heartbeat", (Frame(b"\x04PING\0\0"),), DELIVERS),
    Row("PING with a TTL of 0.1 s, then silence", "37 heartbeat", (Command(b"PING", b"\0\1"),), CLOSES, alone=True),
    Row(
        "PING with a TTL of 0.1 s, then silence",
        "37 heartbeat",
        (Command(b"PING", b"\0\1"),),
        COMES_BACK,
        side="connect",
        alone=True,
    ),
)

_ENVELOPES = (
    Row("a request without a delimiter", "28 REP", (Frame(b"odd"),), DROPS, socket_type="REP"),
    Row("a delimiter and nothing more", "28 REP", (Frame(b""),), DROPS, socket_type="REP"),
    Row(
        "a thousand addresses",
        "28 REP",
        (*(Frame(b"a", more=True) for _ in range(1000)), Frame(b"", more=True), Frame(b"odd")),
        DELIVERS,
        socket_type="REP",
    ),
    Row("an answer without a delimiter", "28 REQ", (Frame(b"odd"),), CLOSES, socket_type="REQ", alone=True),
    Row(
        "an answer without a delimiter",
        "28 REQ",
        (Frame(b"odd"),),
        GIVES_UP,
        socket_type="REQ",
        side="connect",
        alone=True,
    ),
    Row("a delimiter and nothing more", "28 REQ", (Frame(b""),), CLOSES, socket_type="REQ", alone=True),
    Row("an empty message", "28 ROUTER", (Frame(b""),), DELIVERS, socket_type="ROUTER"),
)

ROWS = (*_AFTER, *_SUBSCRIPTIONS, *_FRAMES, *_HEARTBEATS, *_ENVELOPES)
