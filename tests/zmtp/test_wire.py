"""Encoding against octets written out by hand from the RFCs."""

from __future__ import annotations

import pytest

from zmqfuzz.zmtp import (
    Command,
    Fill,
    Frame,
    Framing,
    Greeting,
    Greeting1,
    Greeting2,
    Property,
    Raw,
    SocketTypeByte,
    Unit,
    encode,
    peer_type,
)

SIGNATURE = bytes.fromhex("ff00000000000000007f")

READY_PULL = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PULL"
"""As libzmq 4.3.5 sends it."""


@pytest.mark.parametrize(
    ("unit", "octets"),
    [
        (Greeting(), SIGNATURE + b"\x03\x01NULL" + bytes(48)),
        (Greeting(mechanism=b"PLAIN", as_server=1), SIGNATURE + b"\x03\x01PLAIN" + bytes(15) + b"\x01" + bytes(31)),
        (Greeting2(SocketTypeByte.PULL, b"me"), SIGNATURE + b"\x01\x07\x00\x02me"),
        (Greeting2(SocketTypeByte.PULL, b"me", revision=0), SIGNATURE + b"\x00\x07\x03\x00me"),
        (Greeting1(b"me"), b"\x03\x00me"),
        (Greeting1(b"me", long=True), b"\xff" + bytes(7) + b"\x03\x00me"),
        (Command(b"READY", properties=(Property(b"Socket-Type", b"PULL"),)), READY_PULL),
        (Frame(b"x" * 255), b"\x00\xff" + b"x" * 255),
        (Frame(Fill(256), more=True), b"\x03" + bytes(6) + b"\x01\x00" + b"y" * 256),
        (Frame(b"abc", declared_size=2**64 - 1, long=True, reserved=0x80), b"\x82" + b"\xff" * 8 + b"abc"),
        (Raw(b"anything"), b"anything"),
    ],
)
def test_units_encode_as_the_rfcs_write_them(unit: Unit, octets: bytes) -> None:
    assert encode(unit) == octets


@pytest.mark.parametrize(
    ("frame", "octets"),
    [
        (Frame(), b"\x01\x00"),
        (Frame(b"a", more=True), b"\x02\x01a"),
        (Frame(b"x" * 253), b"\xfe\x00" + b"x" * 253),
        (Frame(b"x" * 254), b"\xff" + bytes(7) + b"\xff\x00" + b"x" * 254),
    ],
)
def test_the_length_of_zmtp_1_0_counts_the_flags(frame: Frame, octets: bytes) -> None:
    assert encode(frame, Framing.V1) == octets


def test_a_lie_in_any_size_field_is_encoded() -> None:
    assert Command(b"READY", name_size=0x105).body() == b"\x05READY"
    assert encode(Command(b"A", properties=(Property(b"n", b"v", 9, 2**32),))) == b"\x04\x09\x01A\x09n\0\0\0\0v"


def test_an_unknown_socket_type_may_meet_any() -> None:
    assert peer_type("pub") == ("SUB", "XSUB")
    assert "PAIR" in peer_type("RADIO")
