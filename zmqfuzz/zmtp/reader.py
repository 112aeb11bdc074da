"""Octets to frames, commands and properties; lax, so that what breaks ZMTP is read and named rather than refused.

Contract: a reader takes what is complete and returns it, or returns ``None`` (need more) and takes nothing. It
raises :class:`Unreadable` only where nobody could say where the next frame begins. Whatever is returned encodes
back to the octets it was read from. Sources: RFC 37 and RFC 13 grammars; libzmq ``src/v1_decoder.cpp``,
``src/v2_decoder.cpp``, ``src/mechanism.cpp:parse_metadata``.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import lru_cache

from zmqfuzz.zmtp.wire import (
    COMMAND,
    LONG,
    MORE,
    Command,
    Frame,
    Framing,
    Property,
    SocketTypeByte,
    body_bytes,
    encode,
)

__all__ = [
    "HANDSHAKE_COMMANDS",
    "OLD_GREETING_SIZE",
    "OLD_VERSIONS",
    "WITH_METADATA",
    "Buffer",
    "GreetingReceived",
    "Unreadable",
    "property_value",
    "read_command",
    "read_error",
    "read_frame",
    "read_greeting",
    "read_properties",
]

OLD_VERSIONS = ("1.0", "2.0")
"""Versions without handshake and commands."""

OLD_GREETING_SIZE = 12
"""RFC 15: signature, revision, socket type; the identity frame follows. They decide about the version."""

HANDSHAKE_COMMANDS = (b"READY", b"ERROR", b"HELLO", b"WELCOME", b"INITIATE")
"""RFC 37, 24 and 26: commands that have no place in traffic."""

WITH_METADATA = (b"READY", b"INITIATE")
"""Commands that tell who the other side is; after them its traffic may follow."""

_READABLE_METADATA = (b"NULL", b"PLAIN")
"""Mechanisms whose metadata is in clear; CURVE boxes its own (RFC 26)."""

_GREETING_SIZE = 64
"""RFC 37: ``greeting = signature version mechanism as-server filler``."""

_SMALL = 4096
"""Octets that are sooner copied twice than looked at through a view."""

_REPEATED = 256
"""Octets of a command, at most, that is taken for one that comes again and again: what it says is remembered."""

_RESERVED_V1 = 0xFE
_RESERVED_V2 = 0xF8

_NAME_OCTETS = frozenset((string.ascii_letters + string.digits + "-_.+").encode())
"""RFC 37: ``name-char = ALPHA | DIGIT | "-" | "_" | "." | "+"``."""


class Unreadable(Exception):
    """The octets cannot be cut into frames any more; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Buffer:
    """``octets`` that have arrived and were not read yet."""

    __slots__ = ("octets",)

    def __init__(self, octets: bytes = b"") -> None:
        self.octets = bytearray(octets)

    def __len__(self) -> int:
        return len(self.octets)

    def feed(self, octets: bytes) -> None:
        """Append what arrived."""
        self.octets += octets

    def peek(self, size: int, skip: int = 0) -> bytes:
        """``size`` octets after the first ``skip``, fewer when fewer are here; they stay."""
        return bytes(self.octets[skip : skip + size])

    def take(self, size: int, skip: int = 0) -> bytes | None:
        """``size`` octets, after ``skip`` that are thrown away; ``None``, and nothing taken, when too few are here."""
        end = skip + size
        if len(self.octets) < end:
            return None
        if size < _SMALL:
            taken = bytes(self.octets[skip:end])
        else:
            with memoryview(self.octets) as view:
                taken = bytes(view[skip:end])
        del self.octets[:end]
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self.octets.clear()


@dataclass(frozen=True, slots=True)
class GreetingReceived:
    """The other side's greeting is complete: 1.0, 2.0, 3.0, 3.1, or 3.x (any other; libzmq takes it for 3.1).

    ``mechanism`` comes without its zero padding, and is empty before 3.0. ``raw`` includes the identity of 1.0 and 2.0.
    """

    version: str
    mechanism: bytes
    as_server: bool
    raw: bytes


Greeted = tuple[GreetingReceived, Framing, tuple[Property, ...]]
"""A greeting, the framing that follows it, and what a 2.0 (socket type, identity) or 1.0 one (identity) tells."""


def read_greeting(buffer: Buffer, ours: bytes, max_body: int) -> Greeted | None:
    """The other side's greeting, or ``None`` when it is not complete; ``ours`` are the first octets we sent.

    Version selection as in libzmq ``src/zmtp_engine.cpp:receive_greeting`` and ``select_handshake_fun``. Ours counts
    because libzmq sends revision 3 before it answers an older peer in that peer's version.
    """
    head = buffer.peek(OLD_GREETING_SIZE)
    theirs, asked = _version(head), _version(ours)
    if not head or (head[0] == 0xFF and len(head) < 10):
        return None
    if "1.0 unversioned" in (theirs, asked):
        # To an unversioned peer libzmq's signature is the header of its identity: FF, length, flags 7F
        # (zmtp_engine.cpp:handshake_v1_0_unversioned).
        return _read_old_greeting(buffer, b"", Framing.V1, max_body)
    if not theirs:
        return None
    if "1.0" in (theirs, asked):
        return _read_old_greeting(buffer, head, Framing.V1, max_body)
    if "2.0" in (theirs, asked):
        return _read_old_greeting(buffer, head, Framing.V2, max_body)
    raw = buffer.take(_GREETING_SIZE)
    return None if raw is None else (_greeting(raw), Framing.V2, ())


@lru_cache(64)  # a target says the same to everybody
def _greeting(raw: bytes) -> GreetingReceived:
    major, minor = raw[10], raw[11]
    version = f"3.{minor}" if major == 3 and minor < 2 else "3.x"
    return GreetingReceived(version, raw[12:32].rstrip(b"\0"), bool(raw[32]), raw)


def _version(octets: bytes) -> str:
    """The version that the first octets of a stream ask for, "" while they do not say."""
    if octets and octets[0] != 0xFF:
        return "1.0 unversioned"
    if len(octets) >= 10 and not octets[9] & 1:
        return "1.0 unversioned"
    if len(octets) < 11:
        return ""
    return {0: "1.0", 1: "2.0"}.get(octets[10], "3")


def _read_old_greeting(buffer: Buffer, head: bytes, framing: Framing, max_body: int) -> Greeted | None:
    """``head`` (none, or signature, revision and socket type) and the identity frame that ends the greeting."""
    if 0 < len(head) < OLD_GREETING_SIZE:
        return None
    identity = read_frame(buffer, framing, max_body, skip=len(head))
    if identity is None:
        return None
    properties: tuple[Property, ...] = (Property(b"Identity", body_bytes(identity.body)),)
    if head and head[11] in SocketTypeByte.__members__.values():
        properties = (Property(b"Socket-Type", SocketTypeByte(head[11]).name.encode()), *properties)
    version = "1.0" if framing is Framing.V1 else "2.0"
    return GreetingReceived(version, b"", False, head + encode(identity, framing)), framing, properties


def read_frame(buffer: Buffer, framing: Framing, max_body: int, *, skip: int = 0) -> Frame | None:
    """The next frame, or ``None`` when it is not complete; ``skip`` octets before it are thrown away with it.

    Raises:
        Unreadable: its size is over ``max_body``, or is a zero length of RFC 13, which counts the flags octet.
    """
    return _read_v1(buffer, max_body, skip) if framing is Framing.V1 else _read_v2(buffer, max_body, skip)


def _read_v1(buffer: Buffer, max_body: int, skip: int) -> Frame | None:
    head = buffer.peek(10, skip)
    long = head[:1] == b"\xff"
    flags_at = 9 if long else 1
    if len(head) < flags_at:
        return None
    length = int.from_bytes(head[1:9] if long else head[:1], "big")
    if length == 0:
        raise Unreadable("ZMTP 1.0 frame of length 0, which must count its flags octet")
    _check_size(length - 1, max_body)
    body = buffer.take(length - 1, skip=skip + flags_at + 1)
    if body is None:
        return None
    flags = head[flags_at]
    more = bool(flags & MORE)
    return Frame(body, more=more, long=_surprising(long, length > 254), reserved=flags & _RESERVED_V1)


def _read_v2(buffer: Buffer, max_body: int, skip: int) -> Frame | None:
    head = buffer.peek(9, skip)
    if len(head) < 2:
        return None
    flags = head[0]
    long = bool(flags & LONG)
    if long and len(head) < 9:
        return None
    size = int.from_bytes(head[1:9], "big") if long else head[1]
    _check_size(size, max_body)
    body = buffer.take(size, skip + (9 if long else 2))
    if body is None:
        return None
    return Frame(
        body,
        more=bool(flags & MORE),
        command=bool(flags & COMMAND),
        long=_surprising(long, size > 255),
        reserved=flags & _RESERVED_V2,
    )


def _check_size(size: int, max_body: int) -> None:
    if size > max_body:
        raise Unreadable(f"frame of {size} octets announced, over the {max_body} we are willing to read")


def _surprising(long: bool, expected: bool) -> bool | None:
    """``Frame.long``: ``None`` when the encoder would choose the same form for this size."""
    return None if long is expected else long


def read_command(frame: Frame, mechanism: bytes) -> tuple[Command, str]:
    """A command frame's command, and what is wrong with it ("" when nothing is).

    RFC 37: ``command-name = OCTET 1*255command-name-char``. A name that is announced longer than the frame is
    kept as far as it goes, with the announced size. Metadata that ``mechanism`` sends in clear becomes properties;
    all else behind the name is left in ``data``.
    """
    body = frame.body if isinstance(frame.body, bytes) else b""
    if len(body) > _REPEATED:
        return _command(body, frame.more, mechanism)
    return _repeated_command(body, frame.more, mechanism)


def _command(body: bytes, more: bool, mechanism: bytes) -> tuple[Command, str]:
    if not body:
        return Command(b"", name_size=0, more=more), "command frame without a body"
    size, name, data = body[0], body[1 : 1 + body[0]], body[1 + body[0] :]
    if len(name) < size:
        return Command(name, name_size=size, more=more), f"command name of {size} octets in {len(body)} octets"
    command = Command(name, data, more=more)
    if name not in WITH_METADATA or mechanism not in _READABLE_METADATA:
        return command, "" if size else "command without a name"
    properties, wrong = read_properties(data)
    if properties is not None:
        command = Command(name, properties=properties, more=more)
        if not wrong and property_value(properties, b"Socket-Type") is None:
            wrong = "metadata without Socket-Type"  # RFC 37: the metadata SHALL have it
    return command, f"{name.decode()}: {wrong}" if wrong else ""


_repeated_command = lru_cache(256)(_command)


def read_properties(octets: bytes) -> tuple[tuple[Property, ...] | None, str]:
    """Metadata, ``None`` when it does not parse to its end; and the first thing wrong with it ("" when nothing is).

    RFC 37: ``metadata = *property ; property = name value ; name = OCTET 1*255name-char ; value = 4OCTET *OCTET``.
    """
    found: list[Property] = []
    wrong = ""
    at = 0
    while at < len(octets):
        value_at = at + 1 + octets[at] + 4
        if value_at > len(octets):
            return None, "metadata ends in the middle of a property"
        name = octets[at + 1 : value_at - 4]
        end = value_at + int.from_bytes(octets[value_at - 4 : value_at], "big")
        if end > len(octets):
            return None, f"metadata ends in the middle of the value of {name!r}"
        if not name:
            wrong = wrong or "property without a name"
        elif not _NAME_OCTETS.issuperset(name):
            wrong = wrong or f"property name {name!r} with octets that no name may have"
        found.append(Property(name, octets[value_at:end]))
        at = end
    return tuple(found), wrong


_PLAIN_ERROR = b"^RROR"


def read_error(frame: Frame) -> tuple[bytes, str] | None:
    """The reason in an ERROR command, and what is wrong with it; ``None`` when it is another command.

    RFC 37: ``error = command-size %d5 "ERROR" error-reason ; error-reason = OCTET 0*255VCHAR``. libzmq's PLAIN says
    ``^RROR`` since 4.3.0: ``src/plain_common.hpp`` writes "\\x05ERROR", which C++ reads as one escape ``\\x5E``.
    """
    body = frame.body if isinstance(frame.body, bytes) else b""
    wrong = ""
    if body.startswith(_PLAIN_ERROR):
        rest = body[len(_PLAIN_ERROR) :]
        wrong = "ERROR spelt ^RROR (libzmq src/plain_common.hpp)"
    elif body.startswith(b"\x05ERROR"):
        rest = body[6:]
    else:
        return None
    if not rest or rest[0] != len(rest) - 1:
        wrong = wrong or "ERROR whose reason is not as long as announced"
    return rest[1:], wrong


def property_value(properties: tuple[Property, ...], name: bytes) -> bytes | None:
    """The value of the first property called ``name``; RFC 37: names are case-insensitive."""
    wanted = name.lower()
    return next((item.value for item in properties if item.name.lower() == wanted), None)
