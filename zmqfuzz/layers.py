"""ZMTP for scapy: greetings, frames, commands and properties as packets to build, dissect and show.

For people with a capture in front of them, and nothing that zmqfuzz itself speaks with (that is :mod:`zmqfuzz.zmtp`).
Formats: RFC 37, ZMTP 3.1, sections "Framing", "Commands" and "Metadata"; RFC 23 (3.0) has the same.
Importing this module imports scapy, which takes half a second.

    >>> from zmqfuzz.layers import ZMTP, bind_zmtp
    >>> bind_zmtp(5555)  # now rdpcap and sniff show what is spoken at this port
"""

# scapy.contrib.description = ZeroMQ Message Transport Protocol (ZMTP)
# scapy.contrib.status = library

from __future__ import annotations

from typing import Any

from scapy.fields import (
    ByteField,
    ConditionalField,
    Field,
    FieldLenField,
    FlagsField,
    PacketLenField,
    PacketListField,
    StrField,
    StrFixedLenField,
    StrLenField,
    XByteField,
)
from scapy.layers.inet import TCP
from scapy.packet import Packet, bind_layers

__all__ = ["ZMTP", "ZMTPCommand", "ZMTPFrame", "ZMTPGreeting", "ZMTPProperty", "bind_zmtp"]

GREETING = 64
"""Octets of a greeting of ZMTP 3.x (RFC 37, "Greeting")."""

LONG = 0x02
"""The flag that makes the size of a frame eight octets (RFC 37, "Framing")."""

WITH_METADATA = (b"READY", b"INITIATE")
"""Commands whose data are properties where nothing is sealed (RFC 23 and 24)."""


class _Last(Packet):
    """A packet that leaves what follows it to the list that it is in."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        return b"", s


class ZMTPGreeting(_Last):
    """What each side sends first, 64 octets of it."""

    name = "ZMTP greeting"
    fields_desc = [
        XByteField("begin", 0xFF),
        StrFixedLenField("padding", b"", 8),
        XByteField("end", 0x7F),
        ByteField("major", 3),
        ByteField("minor", 1),
        StrFixedLenField("mechanism", b"NULL", 20),
        ByteField("as_server", 0),
        StrFixedLenField("filler", b"", 31),
    ]


class ZMTPProperty(_Last):
    """One property of metadata: name and value, each behind its size."""

    name = "ZMTP property"
    fields_desc = [
        FieldLenField("name_size", None, length_of="property_name", fmt="B"),
        StrLenField("property_name", b"", length_from=lambda packet: packet.name_size),
        FieldLenField("value_size", None, length_of="value", fmt="I"),
        StrLenField("value", b"", length_from=lambda packet: packet.value_size),
    ]


class ZMTPCommand(_Last):
    """The body of a command frame: a name behind its size, and data; of READY and INITIATE, properties."""

    name = "ZMTP command"
    fields_desc = [
        FieldLenField("name_size", None, length_of="command_name", fmt="B"),
        StrLenField("command_name", b"READY", length_from=lambda packet: packet.name_size),
        ConditionalField(
            PacketListField("properties", [], ZMTPProperty), lambda packet: packet.command_name in WITH_METADATA
        ),
        ConditionalField(StrField("data", b""), lambda packet: packet.command_name not in WITH_METADATA),
    ]


class _SizeField(Field[int, int]):
    """The size of a frame: one octet, or eight where LONG is set; None: that of its body."""

    def i2m(self, pkt: Any, x: int | None) -> int:
        if x is None:
            return len(bytes(pkt.content)) if pkt.flags.COMMAND else len(pkt.body)
        return x

    def addfield(self, pkt: Any, s: bytes, val: int | None) -> bytes:
        size = self.i2m(pkt, val)
        return s + (size.to_bytes(8, "big") if pkt.flags.LONG else bytes([size & 0xFF]))

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, int]:
        octets = 8 if pkt.flags.LONG else 1
        return s[octets:], int.from_bytes(s[:octets], "big")


class ZMTPFrame(_Last):
    """A frame: flags, size, and a body or a command. Set LONG for one of more than 255 octets."""

    name = "ZMTP frame"
    fields_desc = [
        FlagsField("flags", 0, -8, ["MORE", "LONG", "COMMAND", "R3", "R4", "R5", "R6", "R7"]),
        _SizeField("size", None, "B"),
        ConditionalField(
            PacketLenField("content", ZMTPCommand(), ZMTPCommand, length_from=lambda packet: packet.size),
            lambda packet: packet.flags.COMMAND,
        ),
        ConditionalField(
            StrLenField("body", b"", length_from=lambda packet: packet.size), lambda packet: not packet.flags.COMMAND
        ),
    ]


def _part(octets: bytes) -> tuple[type[Packet], int] | None:
    """What stands at the beginning of ``octets`` and how long it is; None: it is not whole."""
    if octets[:1] == b"\xff" and octets[9:10] in (b"\x7f", b""):
        return (ZMTPGreeting, GREETING) if len(octets) >= GREETING else None
    begin = 9 if octets and octets[0] & LONG else 2
    end = begin + int.from_bytes(octets[1:begin], "big")
    return (ZMTPFrame, end) if begin <= len(octets) >= end else None


def _next(packet: Packet, parts: list[Packet], last: Packet | None, rest: bytes) -> type[Packet] | None:
    part = _part(rest)
    return part[0] if part is not None else None


class ZMTP(Packet):
    """What is whole in one direction of a connection: the greeting, at its beginning, and frames; the rest is raw."""

    name = "ZMTP"
    fields_desc = [PacketListField("parts", [], next_cls_cb=_next)]

    @classmethod
    def tcp_reassemble(cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]) -> Packet | None:
        """For scapy's ``TCPSession``: wait for something whole at the end; libzmq sends a greeting in three pieces."""
        rest = data
        while rest and (part := _part(rest)) is not None:
            rest = rest[part[1] :]
        return None if rest else cls(data)


def bind_zmtp(port: int) -> None:
    """Take what is spoken at a TCP ``port`` for ZMTP 3.x in the NULL mechanism from now on, in both directions."""
    bind_layers(TCP, ZMTP, dport=port)
    bind_layers(TCP, ZMTP, sport=port)
