"""The contract of a Connection: it never raises for what arrives, and how that was cut does not matter."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from zmqfuzz.zmtp import (
    Closed,
    Command,
    Connection,
    Event,
    Frame,
    Greeting,
    Greeting1,
    Greeting2,
    Null,
    PlainClient,
    PlainServer,
    Property,
    Raw,
    Role,
    State,
    Unit,
    encode,
)

PULL = (Property(b"Socket-Type", b"PULL"),)
READY = Command(b"READY", properties=PULL)

CONNECTIONS: dict[str, Callable[[], Connection]] = {
    "observer": Connection,
    "null": lambda: Connection(Null("DEALER")),
    "plain client": lambda: Connection(PlainClient("DEALER", b"u", b"p")),
    "plain server": lambda: Connection(PlainServer("DEALER"), role=Role.SERVER),
}

SENT: list[Unit | None] = [None, Greeting(), Greeting2(), Greeting2(revision=0), Greeting1(), Raw(b"GET /")]

PIECES: list[Unit] = [
    Greeting(),
    Greeting(mechanism=b"PLAIN"),
    Greeting(3, 0),
    Greeting1(b"me"),
    Greeting2(5, b"me"),
    READY,
    Command(b"READY", b"\x01"),
    Command(b"INITIATE", properties=PULL),
    Command(b"HELLO", b"\x01u\x01p"),
    Command(b"WELCOME"),
    Command(b"ERROR", b"\x03400"),
    Frame(b"^RROR\x03400", command=True),
    Command(b"PING", b"\0\0context"),
    Command(b"SUBSCRIBE", b"topic"),
    Frame(b"message"),
    Frame(b"more" * 100, more=True),
    Frame(b"", declared_size=2**63, long=True),
]

STREAMS = st.lists(st.one_of(st.sampled_from(PIECES).map(encode), st.binary(max_size=12)), max_size=8).map(b"".join)


def outcome(kind: str, sent: Unit | None, pieces: list[bytes]) -> tuple[object, ...]:
    """Everything that can be seen of a connection that reads these pieces and then the end of the stream."""
    connection = CONNECTIONS[kind]()
    if sent is not None:
        connection.send(sent)
    elif connection.mechanism is not None:
        connection.start()
    events: list[Event] = []
    for piece in [*[piece for piece in pieces if piece], b""]:
        connection.receive_data(piece)
        while (event := connection.next_event()) is not None:
            events.append(event)
    return events, connection.data_to_send(), connection.state, connection.complete, connection.peer_version


@settings(deadline=None, max_examples=400)
@given(
    kind=st.sampled_from(sorted(CONNECTIONS)),
    sent=st.sampled_from(SENT),
    octets=st.one_of(st.binary(max_size=100), STREAMS, STREAMS.map(encode(Greeting()).__add__)),
    cuts=st.lists(st.integers(0, 400), max_size=6).map(sorted),
)
def test_any_octets_are_read_without_raising_and_cutting_does_not_matter(
    kind: str, sent: Unit | None, octets: bytes, cuts: list[int]
) -> None:
    whole = outcome(kind, sent, [octets])
    ends = [*cuts, len(octets)]
    assert outcome(kind, sent, [octets[a:b] for a, b in zip([0, *cuts], ends, strict=True)]) == whole
    assert outcome(kind, sent, [octets[at : at + 1] for at in range(len(octets))]) == whole
    assert whole[2] is State.CLOSED
    events = whole[0]
    assert isinstance(events, list)
    assert events[-1] == Closed()
