"""What was encoded is read back; metadata, commands and ERROR in good and bad shape."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.zmtp.reader import (
    Buffer,
    Unreadable,
    property_value,
    read_command,
    read_error,
    read_frame,
    read_greeting,
    read_properties,
)
from zmqfuzz.zmtp.wire import (
    SIGNATURE,
    Command,
    Frame,
    Framing,
    Greeting,
    Greeting1,
    Greeting2,
    Property,
    SocketTypeByte,
    encode,
    encode_properties,
)

CAP = 1 << 20

BODIES = st.one_of(st.binary(max_size=20), st.integers(240, 300).map(bytes))
NAME = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.+0123456789abc", min_size=1, max_size=30).map(str.encode)
PROPERTIES = st.lists(st.builds(Property, NAME, st.binary(max_size=300)), max_size=5).map(tuple)


def buffer_of(octets: bytes) -> Buffer:
    buffer = Buffer()
    buffer.feed(octets)
    return buffer


@settings(deadline=None, max_examples=150)
@given(frame=st.builds(Frame, BODIES, st.booleans(), st.booleans()), rest=st.binary(max_size=3))
def test_a_frame_of_2_0_and_3_is_read_back(frame: Frame, rest: bytes) -> None:
    octets = encode(frame)
    buffer = buffer_of(octets + rest)
    assert read_frame(buffer, Framing.V2, CAP) == frame
    assert len(buffer) == len(rest)


@settings(deadline=None, max_examples=100)
@given(frame=st.builds(Frame, BODIES, st.booleans()), rest=st.binary(max_size=3))
def test_a_frame_of_1_0_is_read_back(frame: Frame, rest: bytes) -> None:
    buffer = buffer_of(encode(frame, Framing.V1) + rest)
    assert read_frame(buffer, Framing.V1, CAP) == frame
    assert len(buffer) == len(rest)


@settings(deadline=None, max_examples=300)
@given(octets=st.binary(max_size=40), framing=st.sampled_from(Framing))
def test_whatever_frame_is_read_encodes_to_its_octets(octets: bytes, framing: Framing) -> None:
    buffer = buffer_of(octets)
    try:
        frame = read_frame(buffer, framing, 64)
    except Unreadable:
        return
    if frame is None:
        assert len(buffer) == len(octets)
    else:
        assert encode(frame, framing) + buffer.peek(64) == octets


@settings(deadline=None, max_examples=60)
@given(framing=st.sampled_from(Framing), frame=st.builds(Frame, BODIES), cut=st.data())
def test_a_frame_that_is_not_complete_is_left_alone(framing: Framing, frame: Frame, cut: st.DataObject) -> None:
    octets = encode(frame, framing)
    part = octets[: cut.draw(st.integers(0, len(octets) - 1))]
    buffer = buffer_of(part)
    assert read_frame(buffer, framing, CAP) is None
    assert buffer.peek(CAP) == part


@pytest.mark.parametrize(
    ("framing", "octets"),
    [
        (Framing.V2, b"\x02" + (CAP + 1).to_bytes(8, "big")),
        (Framing.V2, b"\x02" + b"\xff" * 8),
        (Framing.V1, b"\xff" + (CAP + 2).to_bytes(8, "big")),
        (Framing.V1, b"\x00"),
        (Framing.V1, b"\xff" + bytes(8)),
    ],
)
def test_the_header_alone_tells_what_cannot_be_read(framing: Framing, octets: bytes) -> None:
    with pytest.raises(Unreadable):
        read_frame(buffer_of(octets), framing, CAP)


def test_a_body_as_large_as_the_cap_is_read() -> None:
    assert read_frame(buffer_of(encode(Frame(bytes(300)))), Framing.V2, 300) == Frame(bytes(300))


@settings(deadline=None, max_examples=150)
@given(properties=PROPERTIES)
def test_metadata_is_read_back(properties: tuple[Property, ...]) -> None:
    assert read_properties(encode_properties(properties)) == (properties, "")


@settings(deadline=None, max_examples=300)
@given(octets=st.binary(max_size=60))
def test_metadata_that_parses_encodes_to_its_octets(octets: bytes) -> None:
    properties, wrong = read_properties(octets)
    assert wrong or properties is not None
    if properties is not None:
        assert encode_properties(properties) == octets


@pytest.mark.parametrize(
    ("octets", "read", "wrong"),
    [
        (b"\x01", False, "middle of a property"),
        (b"\x01a\0\0\0", False, "middle of a property"),
        (b"\x01a\0\0\0\x02v", False, "middle of the value"),
        (b"\x01a\xff\xff\xff\xff", False, "middle of the value"),
        (b"\x00\0\0\0\x01v", True, "without a name"),
        (b"\x01 \0\0\0\x01v", True, "no name may have"),
        (b"", True, ""),
    ],
)
def test_what_is_wrong_with_metadata_is_said(octets: bytes, read: bool, wrong: str) -> None:
    properties, said = read_properties(octets)
    assert (properties is not None) is read
    assert wrong in said
    assert bool(wrong) is bool(said)


def test_property_names_are_case_insensitive_and_the_first_counts() -> None:
    properties = (Property(b"socket-TYPE", b"1"), Property(b"Socket-Type", b"2"))
    assert property_value(properties, b"Socket-Type") == b"1"
    assert property_value(properties, b"Identity") is None


@settings(deadline=None, max_examples=150)
@given(name=NAME, data=st.binary(max_size=40), more=st.booleans())
def test_a_command_is_read_back(name: bytes, data: bytes, more: bool) -> None:
    command = Command(name, data, more=more)
    assert read_command(Frame(command.body(), command=True, more=more), b"CURVE") == (command, "")


@settings(deadline=None, max_examples=200)
@given(body=st.one_of(st.binary(min_size=1, max_size=40), st.binary(max_size=20).map(b"\x05READY".__add__)))
def test_whatever_command_is_read_has_the_body_it_came_in(body: bytes) -> None:
    command, _ = read_command(Frame(body, command=True), b"NULL")
    assert command.body() == body


@settings(deadline=None, max_examples=100)
@given(properties=PROPERTIES)
def test_ready_is_read_with_its_metadata(properties: tuple[Property, ...]) -> None:
    command = Command(b"READY", properties=(Property(b"Socket-Type", b"PULL"), *properties))
    assert read_command(Frame(command.body(), command=True), b"NULL") == (command, "")


@pytest.mark.parametrize(
    ("body", "reason", "wrong"),
    [
        (b"\x05ERROR\x03400", b"400", False),
        (b"\x05ERROR\x00", b"", False),
        (b"\x05ERROR", b"", True),
        (b"\x05ERROR\x09400", b"400", True),
        (b"^RROR\x03400", b"400", True),
    ],
)
def test_error_is_read_in_every_spelling(body: bytes, reason: bytes, wrong: bool) -> None:
    found = read_error(Frame(body, command=True))
    assert found is not None
    assert found[0] == reason
    assert bool(found[1]) is wrong


def test_no_other_command_is_an_error() -> None:
    assert read_error(Frame(b"\x05READY")) is None
    assert read_error(Frame(b"")) is None


@settings(deadline=None, max_examples=100)
@given(
    mechanism=st.sampled_from([b"NULL", b"PLAIN", b"CURVE", b"", b"20-octets-of-the-name"[:20]]),
    as_server=st.integers(0, 1),
    minor=st.integers(0, 1),
)
def test_a_greeting_of_3_is_read_back(mechanism: bytes, as_server: int, minor: int) -> None:
    raw = encode(Greeting(minor=minor, mechanism=mechanism, as_server=as_server))
    found = read_greeting(buffer_of(raw), b"", CAP)
    assert found is not None
    greeting, framing, properties = found
    assert (greeting.version, greeting.mechanism, greeting.raw) == (f"3.{minor}", mechanism, raw)
    assert greeting.as_server is bool(as_server)
    assert (framing, properties) == (Framing.V2, ())


@pytest.mark.parametrize(("major", "minor"), [(3, 2), (2, 0), (4, 1), (255, 255)])
def test_other_versions_are_3_x_as_libzmq_takes_them(major: int, minor: int) -> None:
    found = read_greeting(buffer_of(encode(Greeting(major, minor))), b"", CAP)
    assert found is not None
    assert found[0].version == "3.x"


@settings(deadline=None, max_examples=100)
@given(octet=st.sampled_from(SocketTypeByte), identity=BODIES, revision=st.integers(0, 1))
def test_a_greeting_with_a_socket_type_octet_is_read_back(
    octet: SocketTypeByte, identity: bytes, revision: int
) -> None:
    raw = encode(Greeting2(octet, identity, revision))
    found = read_greeting(buffer_of(raw), b"", CAP)
    assert found is not None
    greeting, framing, properties = found
    assert (greeting.version, greeting.raw) == (("1.0", "2.0")[revision], raw)
    assert framing is (Framing.V1, Framing.V2)[revision]
    assert properties == (Property(b"Socket-Type", octet.name.encode()), Property(b"Identity", identity))


@settings(deadline=None, max_examples=100)
@given(identity=BODIES, long=st.booleans())
def test_a_greeting_of_1_0_is_read_back(identity: bytes, long: bool) -> None:
    raw = encode(Greeting1(identity, long))
    found = read_greeting(buffer_of(raw), b"", CAP)
    assert found is not None
    assert found[0].raw == raw
    assert found[2] == (Property(b"Identity", identity),)


def test_what_we_sent_decides_how_libzmq_is_read() -> None:
    libzmq = SIGNATURE[:8] + b"\x03\x7f"
    older = {
        encode(Greeting1(b"us")): (libzmq + b"me", "1.0"),
        encode(Greeting2(revision=0)): (libzmq + b"\x03\x07\x03\x00me", "1.0"),
        encode(Greeting2()): (libzmq + b"\x03\x07\x00\x02me", "2.0"),
    }
    for ours, (theirs, version) in older.items():
        found = read_greeting(buffer_of(theirs), ours, CAP)
        assert found is not None
        assert (found[0].version, found[0].raw) == (version, theirs)
        assert property_value(found[2], b"Identity") == b"me"
