"""Rows: wrong commands and metadata in the handshakes of NULL, PLAIN and CURVE."""

from __future__ import annotations

from tests.conformance.row import Reaction, Row, Stage
from zmqfuzz.zmtp import Command, Fill, Frame, Greeting, Property, Raw, Unit

__all__ = ["ROWS"]

CLOSES, GIVES_UP = Reaction.CLOSES, Reaction.GIVES_UP
TIMER, ACCEPTS = Reaction.TIMER, Reaction.ACCEPTS

_PUSH = Property(b"Socket-Type", b"PUSH")


def _shake(
    name: str, *units: Unit, rfc: str = "37 NULL", reaction: Reaction = CLOSES, kind: str = "PULL", side: str = "bind"
) -> Row:
    alone = reaction is not ACCEPTS
    return Row(name, rfc, units, reaction, Stage.HANDSHAKE, kind, side, alone=alone)


def _ready(name: str, *properties: Property, reaction: Reaction, kind: str = "PULL", side: str = "bind") -> Row:
    return _shake(
        name, Command(b"READY", properties=properties), rfc="37 metadata", reaction=reaction, kind=kind, side=side
    )


_NULL = (
    *(
        _shake(
            f"{command.name.decode() or 'a command without a name'} in place of READY",
            command,
            side=side,
            reaction=reaction,
        )
        for side, reaction in (("bind", CLOSES), ("connect", GIVES_UP))
        for command in (
            Command(b"PING", b"\0\0"),
            Command(b"HELLO"),
            Command(b"SUBSCRIBE", b"x"),
            Command(b"UNKNOWN"),
            Command(b""),
            Command(b"ready", properties=(_PUSH,)),
        )
    ),
    _shake("a message in place of READY", Frame(b"odd")),
    _shake("an empty message in place of READY", Frame(b"")),
    _shake("an empty command frame in place of READY", Frame(b"", command=True)),
    _shake("ERROR in place of READY", Command(b"ERROR", b"\x03odd")),
    _shake("ERROR in place of READY", Command(b"ERROR", b"\x03odd"), side="connect", reaction=GIVES_UP),
    _shake("ERROR whose reason is cut", Command(b"ERROR", b"\x09odd")),
    _shake("READY without the COMMAND flag", Frame(Command(b"READY", properties=(_PUSH,)).body()), reaction=ACCEPTS),
    _shake("READY with MORE", Command(b"READY", properties=(_PUSH,), more=True), reaction=ACCEPTS),
    _shake(
        "READY with reserved flag bits",
        Frame(Command(b"READY", properties=(_PUSH,)).body(), command=True, reserved=0xF8),
        reaction=ACCEPTS,
    ),
    _shake(
        "READY with a long size",
        Frame(Command(b"READY", properties=(_PUSH,)).body(), command=True, long=True),
        reaction=ACCEPTS,
    ),
    _shake("READY whose name is cut", Command(b"REA", name_size=5)),
    _shake("READY of 2^63 octets", Frame(b"\x05READY", command=True, long=True, declared_size=2**63)),
    _shake("READY that never ends", Frame(b"\x05READY", command=True, declared_size=200), reaction=TIMER),
    _shake(
        "READY that never ends",
        Frame(b"\x05READY", command=True, declared_size=200),
        reaction=TIMER,
        side="bind",
        kind="XPUB",
    ),
    _shake("nothing in place of READY", reaction=TIMER),
    _shake("nothing in place of READY", reaction=TIMER, side="connect"),
    Row(
        "greeting, READY and a message in one segment",
        "37 NULL",
        (Greeting(), Command(b"READY", properties=(_PUSH,)), Frame(b"odd")),
        CLOSES,
        Stage.OPENING,
        alone=True,
    ),
)

_METADATA = (
    _ready("READY without metadata", reaction=ACCEPTS),
    _ready("READY without metadata", reaction=ACCEPTS, kind="ROUTER"),
    _ready("Socket-Type in lower case, wrong value", Property(b"socket-type", b"SUB"), reaction=ACCEPTS),
    *(
        _ready(
            f"Socket-Type {value.decode('ascii', 'backslashreplace') or 'empty'}",
            Property(b"Socket-Type", value),
            reaction=CLOSES,
        )
        for value in (b"", b"push", b"PUSH\0", b"PULL", b"SUB", b"REQ", b"STREAM", b"\xff\xff")
    ),
    _ready("Socket-Type SUB", Property(b"Socket-Type", b"SUB"), reaction=GIVES_UP, side="connect"),
    _ready("Socket-Type twice, both right", _PUSH, _PUSH, reaction=ACCEPTS),
    _ready("Socket-Type twice, the second wrong", _PUSH, Property(b"Socket-Type", b"SUB"), reaction=CLOSES),
    _ready("a property without a name", _PUSH, Property(b"", b"x"), reaction=ACCEPTS),
    _ready("a property name of 255 octets", _PUSH, Property(b"x" * 255, b"x"), reaction=ACCEPTS),
    _ready("a property name with control characters", _PUSH, Property(b"\0\n\xff", b"x"), reaction=ACCEPTS),
    _ready("a property value of 100 kB", _PUSH, Property(b"x", b"x" * 100_000), reaction=ACCEPTS),
    _ready("a thousand properties", _PUSH, *(Property(b"x%d" % number) for number in range(1000)), reaction=ACCEPTS),
    _ready("a name longer than the rest", _PUSH, Property(b"x", b"", name_size=200), reaction=CLOSES),
    _ready("a value longer than the rest", _PUSH, Property(b"x", b"y", value_size=200), reaction=CLOSES),
    *(
        _ready(
            f"a value of 2^{power}{'-1' if less else ''} octets",
            _PUSH,
            Property(b"x", b"y", value_size=2**power - less),
            reaction=CLOSES,
        )
        for power, less in ((31, 1), (31, 0), (32, 1))
    ),
    _shake(
        "a stray octet behind the metadata", Command(b"READY", b"\x0bSocket-Type\0\0\0\x04PUSHx"), rfc="37 metadata"
    ),
    *(
        _ready(name, Property(b"Identity", value), reaction=ACCEPTS, kind="ROUTER")
        for name, value in (
            ("an identity with a leading zero", b"\0odd"),
            ("an identity of 256 octets", b"i" * 256),
            ("an identity of 100 kB", b"i" * 100_000),
            ("an empty identity", b""),
            ("an identity with zeros and ones", b"\xff\0\xff"),
        )
    ),
    _ready("Identity twice", Property(b"Identity", b"a"), Property(b"Identity", b"b"), reaction=ACCEPTS, kind="ROUTER"),
    _ready(
        "User-Id and Peer-Address given by the peer",
        _PUSH,
        Property(b"User-Id", b"admin"),
        Property(b"Peer-Address", b"x"),
        reaction=ACCEPTS,
    ),
)


def _secure(mechanism: str, name: str, *units: Unit, rfc: str, reaction: Reaction = CLOSES) -> Row:
    return Row(name, rfc, units, reaction, Stage.HANDSHAKE, "PULL", alone=True, mechanism=mechanism)


def _plain(name: str, *units: Unit, reaction: Reaction = CLOSES) -> Row:
    return _secure("PLAIN", name, *units, rfc="24", reaction=reaction)


_HELLO = Command(b"HELLO", b"\x04user\x08password")

_PLAIN = (
    _plain("INITIATE in place of HELLO", Command(b"INITIATE", properties=(_PUSH,))),
    _plain("WELCOME in place of HELLO", Command(b"WELCOME")),
    _plain("READY in place of HELLO", Command(b"READY", properties=(_PUSH,))),
    _plain("ERROR in place of HELLO", Command(b"ERROR", b"\x03odd")),
    _plain("a message in place of HELLO", Frame(b"odd")),
    _plain("HELLO without anything", Command(b"HELLO")),
    _plain("HELLO without a password", Command(b"HELLO", b"\x04user")),
    _plain("HELLO whose user name is cut", Command(b"HELLO", b"\x40user")),
    _plain("HELLO whose password is cut", Command(b"HELLO", b"\x04user\x40password")),
    _plain("HELLO and a stray octet", Command(b"HELLO", b"\x04user\x08passwordx")),
    _plain("HELLO and INITIATE at once", _HELLO, Command(b"INITIATE", properties=(_PUSH,))),
    _plain("HELLO twice", _HELLO, _HELLO),
    _plain("a wrong password", Command(b"HELLO", b"\x04user\x05wrong"), reaction=TIMER),
    _plain("an empty name and password", Command(b"HELLO", b"\0\0"), reaction=TIMER),
    _plain("a user name with zeros", Command(b"HELLO", b"\x04\0\0\0\0\x08password"), reaction=TIMER),
    _plain("nothing in place of HELLO", reaction=TIMER),
    _plain("HELLO, and nothing after WELCOME", _HELLO, reaction=TIMER),
)


def _curve(name: str, *units: Unit, reaction: Reaction = CLOSES) -> Row:
    return _secure("CURVE", name, *units, rfc="26", reaction=reaction)


def _hello(size: int = 194, version: bytes = b"\1\0", key: bytes = b"k" * 32) -> Command:
    """RFC 26: version, padding of 72, key of 32, nonce of 8, box of 80; the box here opens with no key."""
    return Command(b"HELLO", (version + bytes(72) + key + bytes(8) + bytes(80)).ljust(size, b"\0")[:size])


_CURVE = (
    _curve("HELLO whose box does not open", _hello()),
    _curve("HELLO one octet short", _hello(193)),
    _curve("HELLO one octet long", _hello(195)),
    _curve("HELLO without anything", Command(b"HELLO")),
    _curve("HELLO of version 2.0", _hello(version=b"\2\0")),
    _curve("HELLO with a key of zeros", _hello(key=bytes(32))),
    _curve("HELLO of PLAIN", _HELLO),
    _curve("HELLO of 100 kB", Frame(Fill(100_000), command=True)),
    _curve("INITIATE in place of HELLO", Command(b"INITIATE", bytes(300))),
    _curve("READY in place of HELLO", Command(b"READY", properties=(_PUSH,))),
    _curve("MESSAGE in place of HELLO", Command(b"MESSAGE", bytes(60))),
    _curve("ERROR in place of HELLO", Command(b"ERROR", b"\x03odd")),
    _curve("a message in place of HELLO", Frame(b"odd")),
    _curve("a command that never ends", Raw(b"\x04\xc8\x05HELLO"), reaction=TIMER),
    _curve("nothing in place of HELLO", reaction=TIMER),
)

ROWS = (*_NULL, *_METADATA, *_PLAIN, *_CURVE)
