"""Pieces that several families share: openings, sizes, bodies, endings. Registers nothing itself."""

from __future__ import annotations

from zmqfuzz.budget import MIB
from zmqfuzz.catalogue import Situation
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Close, Connect, Expect, Reset, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting, Greeting1, Greeting2, Raw, SocketTypeByte, Unit, peer_type

__all__ = [
    "BOUNDARIES",
    "CHUNKS",
    "COMMANDS",
    "IDENTITIES",
    "body",
    "bounded",
    "ending",
    "greeted",
    "leaving",
    "message",
    "odd_greeting",
    "opening",
    "our_octet",
    "our_type",
    "peers",
    "spoken",
    "stretched",
    "waited_out",
]

BOUNDARIES = (
    0,
    1,
    2,
    5,
    31,
    32,
    33,
    34,
    126,
    127,
    128,
    254,
    255,
    256,
    257,
    1024,
    8191,
    8192,
    8193,
    20_000,
    65535,
    65536,
)
"""Sizes where an encoder or decoder changes its mind: short and long frames, libzmq's 33-octet inline messages
(``msg.hpp:max_vsm_size``), 8192-octet batches (``config.hpp:in_batch_size``), and more than two of them."""

CHUNKS = (None, 1, 2, 9, 64)
"""Octets per write: as the kernel takes them, one by one, split in the middle of headers."""

COMMANDS = (
    *(b"PING", b"PONG", b"SUBSCRIBE", b"CANCEL", b"READY", b"ERROR", b"JOIN", b"LEAVE"),
    *(b"HELLO", b"WELCOME", b"INITIATE", b"MESSAGE", b"WHAT", b""),
)
"""Command names: RFC 37, 24 (PLAIN), 26 (CURVE), 48 (RADIO-DISH), one that is none, and the empty one."""

IDENTITIES = (
    *(b"peer", b"", b"\0", b"\0\0\0\0\1", b"\xff\xfe\xfd", b"\xc3\xbc"),
    *(b"A" * size for size in (254, 255, 256, 8193, 65536)),
)
"""RFC 37 wants 0 to 255 octets and no zero in front; libzmq's own routing ids are a zero and four octets."""

_ODD_BODIES = (b"", b"\0", b"\xff", b"\xff\xfe\xfd", b"{", b"[]", b"null", b"\x80\x04.", b"-1", b"\n", b"%s%n")


def our_type(draw: Draw, situation: Situation) -> str:
    """A socket type that may talk to the target's."""
    return draw.choice(peer_type(situation.surface.socket_type))


def opening(draw: Draw, situation: Situation, *, identity: bytes = b"") -> tuple[Step, ...]:
    """Connect and shake hands as an honest peer."""
    return (Connect(), Shake(our_type(draw, situation), identity=identity))


def our_octet(draw: Draw, situation: Situation) -> int:
    """The same for a ZMTP 2.0 greeting; DEALER where that version has no octet for the type."""
    kind = our_type(draw, situation)
    return SocketTypeByte[kind] if kind in SocketTypeByte.__members__ else SocketTypeByte.DEALER


def greeted(draw: Draw, situation: Situation, *, identity: bytes = b"") -> tuple[Step, ...]:
    """Connect and get to traffic in any ZMTP version that the door may let in: 3.1, 3.0; without a lock 2.0 and 1.0."""
    locked = situation.surface.mechanism.upper() in ("PLAIN", "CURVE")
    versions = (31, 31, 30) if locked else (31, 31, 31, 30, 20, 10, 10)  # 1.0 has a decoder of its own
    return spoken(draw, situation, draw.choice(versions), identity=identity)


def spoken(draw: Draw, situation: Situation, version: int, *, identity: bytes = b"") -> tuple[Step, ...]:
    """Connect and get to traffic as an honest peer of ZMTP 3.1, 3.0, 2.0 or 1.0 (``version`` 31, 30, 20, 10).

    Older peers stage it: libzmq says its ten octets at once, and the version follows from the eleventh and twelfth.
    """
    if version == 31:
        return opening(draw, situation, identity=identity)
    if version == 30:
        return (Connect(), Shake(our_type(draw, situation), identity=identity, version=(3, 0)))
    if version == 20:
        greeting = Greeting2(our_octet(draw, situation), identity)
        return (Connect(), Expect("bytes", within=0.2), Send((greeting,)), Expect("greeting", within=0.1))
    return (Connect(), Expect("bytes", within=0.2), Send((Greeting1(identity),)), Wait(0.01))


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


def bounded(times: int, units: tuple[Unit, ...], octets: int = MIB) -> int:
    """``times``, or how often ``units`` go into ``octets``; at least once."""
    return max(1, min(times, octets // max(1, sum(map(unit_size, units)))))


def stretched(
    head: bytes, size: int, *, byte: int = 0x79, command: bool = True, more: bool = False
) -> tuple[Unit, ...]:
    """A true frame of ``head`` and ``size`` more octets ``byte``: large, and still small on disk."""
    return (Frame(head, more, command, declared_size=len(head) + size), Raw(Fill(size, byte)))


_GIVES_UP = 0.4
"""Seconds in which an impatient client gives a silent server up."""


def waited_out(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """Mostly silence until a client that waits for what was begun gives up; nothing at a target that binds."""
    waits = situation.surface.side == "connect" and draw.choice((True, True, False))
    return (Expect("close", within=_GIVES_UP),) if waits else ()


def ending(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    """How the connection is left: open, FIN, RST, half-closed; or by a client that has waited in vain."""
    ways: tuple[tuple[Step, ...], ...] = ((), (Close(),), (Reset(),), (ShutdownWrite(),))
    if situation.surface.side == "connect":
        ways += ((Expect("close", within=_GIVES_UP),),)
    return draw.choice(ways)


def leaving(draw: Draw) -> Step:
    """FIN or RST, for a peer that comes back."""
    ways: tuple[Step, ...] = (Close(), Reset())
    return draw.choice(ways)


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
