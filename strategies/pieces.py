"""Pieces that several families share: openings, sizes, bodies, endings. Registers nothing itself."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Close, Connect, Expect, Reset, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.zmtp.wire import Frame, Greeting, Greeting1, Greeting2, SocketTypeByte, Unit, peer_type

__all__ = ["BOUNDARIES", "CHUNKS", "body", "ending", "greeted", "message", "opening", "our_type", "peers"]

BOUNDARIES = (0, 1, 2, 5, 31, 32, 33, 34, 126, 127, 128, 254, 255, 256, 257, 1024, 8191, 8192, 8193, 65535, 65536)
"""Sizes where an encoder or decoder changes its mind: short and long frames, libzmq's 33-octet inline messages
(``msg.hpp:max_vsm_size``) and 8192-octet batches (``config.hpp:in_batch_size``)."""

CHUNKS = (None, 1, 2, 9, 64)
"""Octets per write: as the kernel takes them, one by one, split in the middle of headers."""

_ODD_BODIES = (b"", b"\0", b"\xff", b"\xff\xfe\xfd", b"{", b"[]", b"null", b"\x80\x04.", b"-1", b"\n", b"%s%n")


def our_type(draw: Draw, situation: Situation) -> str:
    """A socket type that may talk to the target's."""
    return draw.choice(peer_type(situation.surface.socket_type))


def opening(draw: Draw, situation: Situation, *, identity: bytes = b"") -> tuple[Step, ...]:
    """Connect and shake hands as an honest peer."""
    return (Connect(), Shake(our_type(draw, situation), identity=identity))


def greeted(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """Connect and get to traffic in any ZMTP version that needs no secret: 3.1, 3.0, 2.0, 1.0."""
    version = draw.choice((31, 31, 31, 30, 20, 10))
    if version == 31:
        return opening(draw, situation)
    if version == 30:
        kind = our_type(draw, situation)
        return (Connect(), Shake(kind, version=(3, 0)))
    if version == 20:
        kind = our_type(draw, situation)
        octet = SocketTypeByte[kind] if kind in SocketTypeByte.__members__ else SocketTypeByte.DEALER
        return (Connect(), Expect("bytes"), Send((Greeting2(octet),)), Wait(0.02))
    return (Connect(), Expect("bytes"), Send((Greeting1(),)), Wait(0.02))


def peers(draw: Draw, situation: Situation, counts: tuple[int, ...]) -> int:
    """How many peers do the same at once; always one against a target that connects, for it opens one connection."""
    return draw.choice(counts) if situation.surface.side == "bind" else 1


def body(draw: Draw) -> bytes:
    """A body: shapes that careless parsers trip over, random octets, or a length where an encoding changes."""
    kind = draw.integer(0, 2)
    if kind == 0:
        return draw.choice(_ODD_BODIES)
    if kind == 1:
        return draw.binary(0, 64)
    return draw.choice((b"A", b"\0", b"\xff", b"[")) * draw.choice(BOUNDARIES)


def message(draw: Draw, most_parts: int = 6) -> tuple[Unit, ...]:
    """One complete message of honest frames: an enveloped body (RFC 28 delimiter), or ``1..most_parts`` parts."""
    if most_parts > 1 and draw.boolean():
        return (Frame(b"", more=True), Frame(body(draw)))
    parts = draw.integer(1, most_parts)
    return tuple([Frame(body(draw), more=number < parts - 1) for number in range(parts)])


def ending(draw: Draw) -> tuple[Step, ...]:
    """How the connection is left: open, FIN, RST, half-closed."""
    kind = draw.choice(("open", "close", "reset", "half"))
    if kind == "close":
        return (Close(),)
    if kind == "reset":
        return (Reset(),)
    if kind == "half":
        return (ShutdownWrite(),)
    return ()


def odd_greeting(draw: Draw) -> Unit:
    """A greeting with one or more fields that no honest peer sends."""
    if draw.choice((False, False, True)):
        if draw.boolean():
            return Greeting1(draw.binary(0, 40), long=draw.boolean())
        return Greeting2(draw.integer(0, 255), draw.binary(0, 40), revision=draw.choice((1, 0, 2, 255)))
    fields = draw.integer(1, 31)
    signature = draw.binary(10, 10) if fields & 1 else Greeting().signature
    major, minor = (draw.choice((0, 1, 2, 4, 255)), draw.choice((0, 1, 2, 255))) if fields & 2 else (3, 1)
    mechanism = (
        draw.choice((b"null", b"NULL\0x", b"", b"PLAIN", b"CURVE", b"GSSAPI", b"X" * 20, b"\xff" * 20))
        if fields & 4
        else b"NULL"
    )
    as_server = draw.choice((1, 2, 255)) if fields & 8 else 0
    filler = draw.binary(0, 40) if fields & 16 else bytes(31)
    return Greeting(major, minor, mechanism, as_server, signature, filler)
