"""Rows: first octets that are no ZMTP, or another version's, and greetings with wrong fields."""

from __future__ import annotations

from tests.conformance.row import Reaction, Row, Stage
from zmqfuzz.zmtp import SIGNATURE, Fill, Frame, Greeting, Greeting1, Greeting2, Raw, Unit, encode

__all__ = ["ROWS"]

CLOSES, GIVES_UP = Reaction.CLOSES, Reaction.GIVES_UP
TIMER, ACCEPTS, DROPS = Reaction.TIMER, Reaction.ACCEPTS, Reaction.DROPS
DELIVERS, STALLS = Reaction.DELIVERS, Reaction.STALLS


def _opening(
    name: str, octets: bytes, reaction: Reaction, rfc: str = "37 greeting", kind: str = "PULL", side: str = "bind"
) -> Row:
    return Row(name, rfc, (Raw(octets),), reaction, Stage.OPENING, kind, side, alone=True)


def _greeting(name: str, greeting: Greeting, reaction: Reaction, kind: str = "PULL", side: str = "bind") -> Row:
    alone = reaction not in (ACCEPTS, DELIVERS)
    return Row(name, "37 greeting", (greeting,), reaction, Stage.GREETING, kind, side, alone=alone)


_HONEST = encode(Greeting())
_HTTP = b"GET / HTTP/1.1\r\nHost: localhost:5555\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
_SSH = b"SSH-2.0-OpenSSH_9.6\r\n"

_STRANGERS = (
    _opening("an HTTP request", _HTTP, STALLS),
    _opening("an HTTP answer", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", STALLS, side="connect"),
    _opening("an SSH banner", _SSH, STALLS),
    _opening("newlines", b"\n" * 300, DELIVERS),
    _opening("a Redis PING", b"PING\r\n" * 40, STALLS),
    _opening("one zero octet", b"\0", CLOSES),
    _opening("one octet that is not ff", b"\x05", STALLS),
    _opening("nothing", b"", TIMER),
    _opening("ff and nothing more", b"\xff", TIMER),
    _opening("zeros", bytes(64), CLOSES),
    _opening("ff throughout", b"\xff" * 64, CLOSES),
)

_CUT = tuple(
    _opening(f"greeting cut after {size} octets", _HONEST[:size], TIMER, side=side)
    for size, side in (
        (9, "bind"),
        (10, "bind"),
        (11, "bind"),
        (12, "bind"),
        (32, "bind"),
        (63, "bind"),
        (63, "connect"),
    )
)

_FIELDS = (
    _greeting("signature ends with an even octet", Greeting(signature=b"\xff" + bytes(8) + b"\x7e"), CLOSES),
    _greeting("signature ends with 01", Greeting(signature=b"\xff" + bytes(8) + b"\x01"), ACCEPTS),
    _greeting("signature ends with ff", Greeting(signature=b"\xff" + bytes(8) + b"\xff"), ACCEPTS),
    _greeting("padding of ones", Greeting(signature=b"\xff" * 9 + b"\x7f"), ACCEPTS),
    *(
        _greeting(f"version {major}.{minor}", Greeting(major, minor), ACCEPTS)
        for major, minor in ((3, 2), (3, 255), (4, 0), (127, 0), (255, 255))
    ),
    _greeting("version 2.1", Greeting(2, 1), ACCEPTS),
    _greeting("as-server 1 with NULL", Greeting(as_server=1), ACCEPTS),
    _greeting("as-server 255", Greeting(as_server=255), ACCEPTS),
    _greeting("filler of ones", Greeting(filler=b"\xff" * 31), ACCEPTS),
    *(
        _greeting(f"mechanism {name.decode('ascii', 'backslashreplace') or 'empty'}", Greeting(mechanism=name), CLOSES)
        for name in (
            b"",
            b"null",
            b"NUL",
            b"NULL\0x",
            b"NULLNULLNULLNULLNULL",
            b"PLAIN",
            b"CURVE",
            b"GSSAPI",
            b"\xff" * 20,
        )
    ),
    _greeting("mechanism null", Greeting(mechanism=b"null"), GIVES_UP, side="connect"),
    _greeting("mechanism CURVE", Greeting(mechanism=b"CURVE"), GIVES_UP, side="connect"),
    _greeting("version 4.0", Greeting(4, 0), ACCEPTS, kind="ROUTER"),
    _greeting("version 4.0", Greeting(4, 0), ACCEPTS, kind="SUB", side="connect"),
)


def _old(stage: Stage, name: str, rfc: str, *units: Unit, reaction: Reaction, kind: str = "PULL", **more: bool) -> Row:
    return Row(name, rfc, units, reaction, stage, kind, alone=more.get("alone", False))


_V1 = (
    _old(Stage.V1, "an honest message only", "13", reaction=ACCEPTS),
    _old(Stage.V1, "length 0", "13 frame", Raw(b"\0"), reaction=CLOSES),
    _old(Stage.V1, "64-bit length 0", "13 frame", Raw(b"\xff" + bytes(8)), reaction=CLOSES),
    _old(Stage.V1, "64-bit length 2^64-1", "13 frame", Raw(b"\xff" * 9), reaction=CLOSES),
    _old(Stage.V1, "64-bit length 2^63", "13 frame", Raw(b"\xff\x80" + bytes(7)), reaction=CLOSES),
    _old(Stage.V1, "64-bit length of a short frame", "13 frame", Frame(b"odd", long=True), reaction=DELIVERS),
    _old(Stage.V1, "reserved flag bits", "13 frame", Frame(b"odd", reserved=0xFE), reaction=DELIVERS),
    _old(
        Stage.V1, "a frame that never ends", "13 frame", Frame(b"odd", declared_size=200), reaction=STALLS, alone=True
    ),
    _old(Stage.V1, "identity with a leading zero", "13 greeting", Frame(b"odd"), reaction=DELIVERS, kind="ROUTER"),
    _old(Stage.V1, "nothing subscribed", "13", reaction=ACCEPTS, kind="PUB"),
    Row(
        "identity frame with MORE",
        "13 greeting",
        (Raw(b"\x02\x01i"), Raw(b"\x04\0odd")),
        DELIVERS,
        Stage.OPENING,
        alone=True,
    ),
    Row(
        "identity of 64-bit length",
        "13 greeting",
        (Greeting1(b"i" * 300, long=True), Raw(b"\x04\0odd")),
        DELIVERS,
        Stage.OPENING,
        "ROUTER",
        alone=True,
    ),
    Row(
        "revision 0 after a signature",
        "13",
        (Greeting2(revision=0), Raw(b"\x04\0odd")),
        DELIVERS,
        Stage.OPENING,
        alone=True,
    ),
)

_V2 = (
    _old(Stage.V2, "an honest message only", "15", reaction=ACCEPTS),
    _old(Stage.V2, "reserved flag bits", "15 frame", Frame(b"odd", reserved=0xF8), reaction=DELIVERS),
    _old(Stage.V2, "a command", "15 frame", Frame(b"\x04PING\0\0", command=True), reaction=DROPS),
    _old(Stage.V2, "long size of a short frame", "15 frame", Frame(b"odd", long=True), reaction=DELIVERS),
    _old(Stage.V2, "size 2^64-1", "15 frame", Frame(long=True, declared_size=2**64 - 1), reaction=CLOSES, alone=True),
    _old(Stage.V2, "size 2^63", "15 frame", Frame(long=True, declared_size=2**63), reaction=CLOSES, alone=True),
    _old(Stage.V2, "MORE, then another message", "15 message", Frame(b"odd", more=True), reaction=DELIVERS),
    *(
        Row(
            f"socket type {number}",
            "15 greeting",
            (Greeting2(number), Raw(b"\0\x03odd")),
            DELIVERS,
            Stage.OPENING,
            alone=True,
        )
        for number in (0, 7, 9, 200, 255)
    ),
    Row(
        "an identity of 300 octets",
        "15 identity",
        (Greeting2(identity=b"i" * 300), Raw(b"\0\x03odd")),
        DELIVERS,
        Stage.OPENING,
        "ROUTER",
        alone=True,
    ),
    Row(
        "an identity with a leading zero",
        "15 identity",
        (Greeting2(identity=b"\0i"), Raw(b"\0\x03odd")),
        DELIVERS,
        Stage.OPENING,
        "ROUTER",
        alone=True,
    ),
    Row("no identity, ever", "15 greeting", (Raw(SIGNATURE + b"\x01\x08"),), STALLS, Stage.OPENING, alone=True),
    Row(
        "ZMTP 2.0 to a PLAIN server",
        "24 security",
        (Greeting2(), Raw(b"\0\x03odd")),
        CLOSES,
        Stage.OPENING,
        alone=True,
        mechanism="PLAIN",
    ),
    Row(
        "ZMTP 1.0 to a PLAIN server",
        "24 security",
        (Greeting1(), Raw(b"\x04\0odd")),
        CLOSES,
        Stage.OPENING,
        alone=True,
        mechanism="PLAIN",
    ),
    Row(
        "ZMTP 2.0 to a CURVE server",
        "26 security",
        (Greeting2(), Raw(b"\0\x03odd")),
        CLOSES,
        Stage.OPENING,
        alone=True,
        mechanism="CURVE",
    ),
    Row(
        "ZMTP 1.0 to a CURVE server",
        "26 security",
        (Greeting1(), Raw(b"\x04\0odd")),
        CLOSES,
        Stage.OPENING,
        alone=True,
        mechanism="CURVE",
    ),
    Row(
        "a large frame that never ends",
        "15 frame",
        (Greeting2(), Frame(Fill(1000), declared_size=2**32)),
        STALLS,
        Stage.OPENING,
        alone=True,
    ),
)

ROWS = (*_STRANGERS, *_CUT, *_FIELDS, *_V1, *_V2)
