"""A stream is cut where its frames end, however it arrives, and no octet of it is lost or changed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.zmtp import Command, Frame, Framing, Greeting, Greeting1, Greeting2, Property, Unit, encode
from zmqfuzz.zmtp.spans import Cutter, Piece, SpanKind

READY = Command(b"READY", properties=(Property(b"Socket-Type", b"PULL"),))
Cut = tuple[str, int, int | None, bytes, int, int, int, bool, bytes]


def cut(octets: bytes, sizes: list[int], answered: bytes = b"") -> tuple[list[Piece], Cutter]:
    cutter, pieces, at = Cutter(lambda: answered), [], 0
    for size in sizes:
        pieces += cutter.feed(octets[at : at + size])
        at += size
    pieces += cutter.feed(octets[at:])
    return pieces, cutter


def stream(units: list[Unit]) -> bytes:
    whole: list[Unit] = [Greeting(), READY, *units]
    return b"".join([encode(unit) for unit in whole])


def told(pieces: list[Piece]) -> list[Cut]:
    spans = [piece.span for piece in pieces if piece.last]
    return [
        (span.kind, span.start, span.size, span.name, span.ordinal, span.message, span.part, span.more, span.body)
        for span in spans
    ]


UNITS = st.sampled_from(
    [
        Frame(b""),
        Frame(b"x" * 255),
        Frame(b"y" * 300, more=True),
        Frame(b"z", more=True, long=True),
        Command(b"PING", bytes(6)),
        Command(b"X" * 255, b"rest"),
        Frame(b"", command=True),
    ]
)


@settings(max_examples=200)
@given(units=st.lists(UNITS, max_size=8), sizes=st.lists(st.integers(1, 90), max_size=40))
def test_how_it_arrives_does_not_matter(units: list[Unit], sizes: list[int]) -> None:
    octets = stream(units)
    pieces, cutter = cut(octets, sizes)
    assert b"".join(piece.octets for piece in pieces) == octets
    assert told(pieces) == told(cut(octets, [])[0])
    assert [piece.span.kind for piece in pieces if piece.last].count(SpanKind.GREETING) == 1
    assert len(told(pieces)) == 2 + len(units)
    assert cutter.held == b""


def test_messages_parts_and_commands_are_counted() -> None:
    units: list[Unit] = [
        Frame(b"a", more=True),
        Command(b"PING", b"\0\0"),
        Frame(b"b"),
        Frame(b"c"),
        Command(b"PING", b"\0\0"),
    ]
    _, _, *rest = told(cut(stream(units), [])[0])
    assert [(name, ordinal, message, part) for _, _, _, name, ordinal, message, part, _, _ in rest] == [
        (b"", 1, 1, 1),
        (b"PING", 1, 0, 0),
        (b"", 1, 1, 2),
        (b"", 2, 2, 1),
        (b"PING", 2, 0, 0),
    ]


@pytest.mark.parametrize(
    ("greeting", "version", "framing"),
    [
        (Greeting(3, 0), "3.0", Framing.V2),
        (Greeting2(5, b"me"), "2.0", Framing.V2),
        (Greeting2(5, b"me", revision=0), "1.0", Framing.V1),
        (Greeting1(b"me"), "1.0", Framing.V1),
        (Greeting1(b"long" * 80), "1.0", Framing.V1),
    ],
)
def test_every_version_is_read(greeting: Unit, version: str, framing: Framing) -> None:
    frames = [Frame(b"a" * 300, more=True), Frame(b"b")]
    octets = encode(greeting) + b"".join(encode(frame, framing) for frame in frames)
    for sizes in ([], [1] * len(octets)):
        pieces, cutter = cut(octets, sizes)
        assert b"".join(piece.octets for piece in pieces) == octets
        assert cutter.version == version
        first, *rest = [piece.span for piece in pieces if piece.last]
        assert first.ready is (version in ("1.0", "2.0"))
        assert [(span.message, span.part, span.more) for span in rest] == [(1, 1, True), (1, 2, False)]


def test_an_older_peer_decides_how_the_answer_is_read() -> None:
    answer = encode(Greeting2(6, b""))[:10] + b"\x03\x06\x00\x00" + encode(Frame(b"hello"))
    pieces, cutter = cut(answer, [10, 1], encode(Greeting2(5, b"")))
    assert cutter.version == "2.0"
    assert [piece.span.kind for piece in pieces if piece.last] == [SpanKind.GREETING, SpanKind.FRAME]


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode(Greeting()) + encode(READY) + b"\xf8\x01x" + bytes(100),
        encode(Greeting()) + encode(READY) + b"\x02" + b"\xff" * 8 + bytes(100),
        encode(Greeting1(b"")) + b"\x00" + bytes(100),
        encode(Greeting2(5, b"")) + encode(Command(b"PING", b"\0\0")),
    ],
)
def test_what_cannot_be_read_passes_as_it_is(octets: bytes) -> None:
    for sizes in ([], [1] * len(octets)):
        pieces, cutter = cut(octets, sizes)
        assert b"".join(piece.octets for piece in pieces) == octets
        assert pieces[-1].span.kind is SpanKind.UNREADABLE
        assert pieces[-1].span.reason
        assert cutter.raw


def test_a_head_that_never_becomes_complete_is_given_at_the_end() -> None:
    octets = encode(Greeting()) + b"\x04"
    pieces, cutter = cut(octets, [])
    assert cutter.held == b"\x04"
    assert b"".join(piece.octets for piece in [*pieces, *cutter.end()]) == octets
