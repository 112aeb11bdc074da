"""ZMTP values and their bytes, honest and dishonest; no I/O, standard library only.

Contract: every value below encodes to bytes whatever its fields say (lies are data: a ``declared_size`` that is
not the size, a signature that is none). Nothing here refuses to be sent. Reading is done by
:mod:`zmqfuzz.zmtp.connection`.

Sources: RFC 37 (ZMTP 3.1), RFC 23 (3.0), RFC 15 (2.0), RFC 13 (1.0); libzmq 4.3.5 ``src/zmtp_engine.cpp``,
``src/v1_decoder.cpp``, ``src/v2_decoder.cpp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from zmqfuzz.zmtp.brief import Brief
from zmqfuzz.zmtp.patterns import SOCKET_TYPES, peer_type

__all__ = [
    "CURVE_WORDS",
    "MECHANISM_SIZE",
    "SIGNATURE",
    "SOCKET_TYPES",
    "Command",
    "CurveCommand",
    "Fill",
    "Flag",
    "Frame",
    "Framing",
    "Greeting",
    "Greeting1",
    "Greeting2",
    "Property",
    "Raw",
    "SocketTypeByte",
    "Unit",
    "body_bytes",
    "curve_size",
    "encode",
    "encode_properties",
    "finished",
    "flipped",
    "peer_type",
    "unsealed",
]

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
"""RFC 37 greeting: ``signature = %xFF padding %x7F``, ten octets."""

MECHANISM_SIZE = 20
"""RFC 37: the mechanism name is padded with zeros to twenty octets."""


class Flag(IntFlag):
    """Frame flag bits (RFC 37 2.3 Framing; the same bits in RFC 15, where COMMAND is reserved)."""

    MORE = 0x01
    LONG = 0x02
    COMMAND = 0x04


MORE, LONG, COMMAND = Flag.MORE.value, Flag.LONG.value, Flag.COMMAND.value
"""Plain numbers: arithmetic with the enumeration takes ten times as long, and is done for each frame."""


class Framing(IntEnum):
    """Which frame layout is spoken: V1 is RFC 13 (length, flags, body), V2 is RFC 15, 23 and 37 (flags, size, body)."""

    V1 = 1
    V2 = 2


class SocketTypeByte(IntEnum):
    """The socket-type octet of a ZMTP 2.0 greeting (RFC 15)."""

    PAIR = 0
    PUB = 1
    SUB = 2
    REQ = 3
    REP = 4
    DEALER = 5
    ROUTER = 6
    PULL = 7
    PUSH = 8


@dataclass(frozen=True, slots=True, repr=False)
class Fill(Brief):
    """A body of ``size`` octets all equal to ``byte``: large bodies stay readable and small on disk."""

    size: int
    byte: int = 0x79


Body = bytes | Fill


def body_bytes(body: Body) -> bytes:
    """The octets of a body."""
    return bytes([body.byte & 0xFF]) * body.size if isinstance(body, Fill) else body


@dataclass(frozen=True, slots=True, repr=False)
class Raw(Brief):
    """Octets sent as they are."""

    data: Body


@dataclass(frozen=True, slots=True, repr=False)
class Greeting(Brief):
    """A ZMTP 3.x greeting: 64 octets when honest (RFC 37 2.2).

    ``mechanism`` is zero padded to twenty octets and never cut; ``as_server`` is the whole octet.
    """

    major: int = 3
    minor: int = 1
    mechanism: bytes = b"NULL"
    as_server: int = 0
    signature: bytes = SIGNATURE
    filler: bytes = bytes(31)


@dataclass(frozen=True, slots=True, repr=False)
class Greeting2(Brief):
    """A ZMTP 2.0 greeting (RFC 15): signature, revision, socket-type octet, then the identity as a frame."""

    socket_type: int = SocketTypeByte.DEALER
    identity: bytes = b""
    revision: int = 1
    signature: bytes = SIGNATURE


@dataclass(frozen=True, slots=True, repr=False)
class Greeting1(Brief):
    """A ZMTP 1.0 greeting (RFC 13): an identity as the first frame; ``long`` picks the 64-bit length form."""

    identity: bytes = b""
    long: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Frame(Brief):
    """One frame. ``None`` means honest: the LONG flag as the size asks, the declared size as the body is.

    ``reserved`` is OR-ed into the flags octet (RFC 37: bits 7-3 must be zero).
    """

    body: Body = b""
    more: bool = False
    command: bool = False
    long: bool | None = None
    declared_size: int | None = None
    reserved: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Property(Brief):
    """One metadata property: name-length (1 octet), name, value-length (4 octets), value (RFC 37 metadata)."""

    name: bytes
    value: bytes = b""
    name_size: int | None = None
    value_size: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Command(Brief):
    """A command frame: name-length, name, then ``data`` and ``properties`` in this order (RFC 37 command)."""

    name: bytes
    data: bytes = b""
    properties: tuple[Property, ...] = ()
    name_size: int | None = None
    more: bool = False

    def body(self) -> bytes:
        """The command's frame body."""
        size = len(self.name) if self.name_size is None else self.name_size
        start = bytes([size & 0xFF]) + self.name + self.data
        return start + encode_properties(self.properties) if self.properties else start


@dataclass(frozen=True, slots=True, repr=False)
class CurveCommand(Brief):
    """A CURVE command (RFC 26) by meaning: the connection's mechanism seals it anew whenever it is sent.

    ``name`` decides the layout: HELLO, WELCOME, INITIATE, READY, ERROR, and that of MESSAGE for any other;
    ``spelling`` is the name on the wire where it is to be another. Each field at its default is honest.

    Content: ``body`` and ``flags`` of a MESSAGE (flags 1: MORE, 2: COMMAND), ``body`` of an ERROR (its reason),
    ``properties`` of INITIATE and READY, ``version`` and each octet of ``padding`` of HELLO.
    Cryptography, one word each (an unknown one is honest): ``nonce`` next, repeat, lower, gap, last (2^64-1), zero;
    ``key`` (the public key within) own, zero, random; ``box`` sealed, foreign (by a key nobody knows), random, open
    (the plaintext behind 16 zeros); ``cookie`` given, zero, random, another (of another connection); ``vouch`` own,
    zero, random, foreign. ``replay``: own or another, the octets of the last such command of this or another
    connection, instead of all that.
    At the end: ``flip_inside`` flips that bit of the plaintext, ``flip`` one of the whole body, ``size`` cuts the body
    or fills it up with zeros; ``more``, ``command`` (None: as RFC 26 has it) and ``reserved`` are the frame's, outside.
    """

    name: bytes
    spelling: bytes | None = None
    body: Body = b""
    flags: int = 0
    properties: tuple[Property, ...] = ()
    version: tuple[int, int] = (1, 0)
    padding: int = 0
    nonce: str = "next"
    key: str = "own"
    box: str = "sealed"
    cookie: str = "given"
    vouch: str = "own"
    replay: str = ""
    flip_inside: int | None = None
    flip: int | None = None
    size: int | None = None
    more: bool = False
    command: bool | None = None
    reserved: int = 0


Unit = Raw | Greeting | Greeting1 | Greeting2 | Frame | Command | CurveCommand
"""Anything that can be sent."""

CURVE_WORDS = {
    "nonce": ("next", "repeat", "lower", "gap", "last", "zero"),
    "key": ("own", "zero", "random"),
    "box": ("sealed", "foreign", "random", "open"),
    "cookie": ("given", "zero", "random", "another"),
    "vouch": ("own", "zero", "random", "foreign"),
    "replay": ("", "own", "another"),
}
"""The words of a :class:`CurveCommand`, the honest one first."""

_CURVE_SIZES = {b"HELLO": 194, b"WELCOME": 160, b"INITIATE": 248, b"READY": 24, b"ERROR": 1}
_CURVE_MESSAGE = 25
"""RFC 26: octets behind the name; metadata, a payload and a reason are added."""


def curve_size(unit: CurveCommand) -> int:
    """Octets of the body that ``unit`` is sent as; a replayed one is taken for as large as an honest one."""
    if unit.size is not None:
        return max(unit.size, 0)
    name = unit.name if unit.spelling is None else unit.spelling
    size = 1 + len(name) + _CURVE_SIZES.get(unit.name, _CURVE_MESSAGE)
    if unit.name in (b"INITIATE", b"READY"):
        return size + len(encode_properties(unit.properties))
    if unit.name in (b"HELLO", b"WELCOME"):
        return size
    return size + (max(unit.body.size, 0) if isinstance(unit.body, Fill) else len(unit.body))


def finished(unit: CurveCommand, body: bytes) -> Frame:
    """The frame of ``unit``, whose sealed body is given: what its last fields say is done to it."""
    if unit.size is not None:
        body = body[: max(unit.size, 0)].ljust(unit.size, b"\0")
    if unit.flip is not None:
        body = flipped(body, unit.flip)
    command = unit.name in _CURVE_SIZES if unit.command is None else unit.command
    return Frame(body, unit.more, command, reserved=unit.reserved)


def unsealed(unit: CurveCommand) -> Frame:
    """The frame of ``unit`` without a connection, so without keys: all behind the name is zeros."""
    name = unit.name if unit.spelling is None else unit.spelling
    return finished(unit, (bytes([len(name) & 0xFF]) + name).ljust(curve_size(unit), b"\0"))


def flipped(octets: bytes, bit: int) -> bytes:
    """``octets`` with one bit changed; the bit counts from the start, and round again where there are fewer."""
    changed = bytearray(octets)
    if changed:
        changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def encode_properties(properties: tuple[Property, ...]) -> bytes:
    """The octets of a property list."""
    out = bytearray()
    for item in properties:
        name_size = len(item.name) if item.name_size is None else item.name_size
        value_size = len(item.value) if item.value_size is None else item.value_size
        out += bytes([name_size & 0xFF]) + item.name + (value_size & 0xFFFFFFFF).to_bytes(4, "big") + item.value
    return bytes(out)


def encode(unit: Unit, framing: Framing = Framing.V2) -> bytes:
    """The octets of ``unit``; ``framing`` matters for frames and commands only. Never raises for odd values."""
    match unit:  # the most frequent first: this is done for everything that is sent
        case Frame():
            return _frame_v1(unit) if framing is Framing.V1 else _frame_v2(unit)
        case Raw(data):
            return body_bytes(data)
        case Command():
            return _frame(Frame(unit.body(), command=True, more=unit.more), framing)
        case Greeting():
            return (
                unit.signature
                + bytes([unit.major & 0xFF, unit.minor & 0xFF])
                + unit.mechanism.ljust(MECHANISM_SIZE, b"\0")
                + bytes([unit.as_server & 0xFF])
                + unit.filler
            )
        case Greeting2():
            head = unit.signature + bytes([unit.revision & 0xFF, unit.socket_type & 0xFF])
            # libzmq zmtp_engine.cpp:handshake_v1_0: after revision 0 the identity, too, is framed as in RFC 13.
            return head + _frame(Frame(unit.identity), Framing.V1 if unit.revision & 0xFF == 0 else Framing.V2)
        case Greeting1():
            return _frame_v1(Frame(unit.identity, long=unit.long or None))
        case CurveCommand():
            return _frame(unsealed(unit), framing)


def _frame(frame: Frame, framing: Framing) -> bytes:
    return _frame_v1(frame) if framing is Framing.V1 else _frame_v2(frame)


def _frame_v1(frame: Frame) -> bytes:
    """RFC 13: ``length flags body`` with the flags octet counted; 0xFF announces a 64-bit length."""
    body = body_bytes(frame.body)
    length = (len(body) if frame.declared_size is None else frame.declared_size) + 1
    flags = bytes([_flags(frame, long=False)])
    if length > 254 if frame.long is None else frame.long:
        return b"\xff" + (length & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") + flags + body
    return bytes([length & 0xFF]) + flags + body


def _frame_v2(frame: Frame) -> bytes:
    body = body_bytes(frame.body)
    size = len(body) if frame.declared_size is None else frame.declared_size
    long = size > 255 if frame.long is None else frame.long
    head = bytes([_flags(frame, long=long)])
    if long:
        return head + (size & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") + body
    return head + bytes([size & 0xFF]) + body


def _flags(frame: Frame, *, long: bool) -> int:
    return frame.reserved & 0xFF | frame.more * MORE | long * LONG | frame.command * COMMAND
