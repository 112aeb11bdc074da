"""Connection: two of them wired together, and breaches as events."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from zmqfuzz.zmtp import (
    Breach,
    Closed,
    Command,
    CommandReceived,
    Connection,
    ErrorReceived,
    Event,
    Frame,
    FrameReceived,
    Framing,
    Greeting,
    Greeting1,
    Greeting2,
    GreetingReceived,
    HandshakeComplete,
    MechanismError,
    Null,
    PlainClient,
    PlainServer,
    Property,
    Raw,
    Role,
    State,
    Unit,
    encode,
    property_value,
)

PULL = (Property(b"Socket-Type", b"PULL"),)
READY = Command(b"READY", properties=PULL)


def drain(connection: Connection) -> list[Event]:
    events: list[Event] = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


def feed(connection: Connection, pieces: Iterable[bytes]) -> list[Event]:
    events: list[Event] = []
    for piece in pieces:
        connection.receive_data(piece)
        events += drain(connection)
    return events


def hear(*units: Unit, to: Connection | None = None) -> list[Event]:
    connection = to or Connection()
    return feed(connection, [b"".join([encode(unit) for unit in units])])


def shaken(*units: Unit, end: bool = False) -> list[Event]:
    """What an observer says about units that come after an honest NULL handshake."""
    connection = Connection()
    hear(Greeting(), READY, to=connection)
    return hear(*units, to=connection) + (feed(connection, [b""]) if end else [])


def wire(ours: Connection, theirs: Connection) -> tuple[list[Event], list[Event]]:
    """Start both, carry octets to and fro until neither has more to say."""
    to_theirs, to_ours = ours.start(), theirs.start()
    seen: tuple[list[Event], list[Event]] = ([], [])
    while to_theirs or to_ours:
        seen[0].extend(feed(ours, [to_ours] if to_ours else []))
        seen[1].extend(feed(theirs, [to_theirs] if to_theirs else []))
        to_theirs, to_ours = ours.data_to_send(), theirs.data_to_send()
    return seen


def test_two_null_peers_complete() -> None:
    ours, theirs = Connection(Null("PUSH")), Connection(Null("PULL"), role=Role.SERVER)
    seen, _ = wire(ours, theirs)
    assert [type(event) for event in seen] == [GreetingReceived, CommandReceived, HandshakeComplete]
    assert seen[1:] == [CommandReceived(READY), HandshakeComplete(PULL)]
    assert ours.complete
    assert theirs.complete
    assert (ours.state, ours.peer_version, ours.peer_properties) == (State.TRAFFIC, "3.1", PULL)
    assert hear(Frame(b"hi"), to=theirs) == [FrameReceived(Frame(b"hi"))]


def test_two_plain_peers_complete() -> None:
    server = PlainServer("PULL", lambda username, password: (username, password) == (b"me", b"key"))
    ours, theirs = Connection(PlainClient("PUSH", b"me", b"key")), Connection(server, role=Role.SERVER)
    seen, heard = wire(ours, theirs)
    assert isinstance(heard[0], GreetingReceived)
    assert isinstance(seen[0], GreetingReceived)
    assert (heard[0].as_server, seen[0].as_server) == (False, True)
    assert seen[1:] == [CommandReceived(Command(b"WELCOME")), CommandReceived(READY), HandshakeComplete(PULL)]
    assert ours.complete
    assert theirs.complete


def test_a_refused_plain_client_learns_the_reason() -> None:
    ours = Connection(PlainClient("PUSH", b"me", b"key"))
    seen, _ = wire(ours, Connection(PlainServer("PULL", lambda username, password: False)))
    assert seen[1:] == [ErrorReceived(b"400")]
    assert not ours.complete


def test_a_mechanism_starts_only_against_its_own_kind() -> None:
    ours = Connection(Null("PUSH"))
    ours.start()
    events = hear(Greeting(mechanism=b"PLAIN"), to=ours)
    assert [type(event) for event in events] == [GreetingReceived]
    assert not ours.has_data_to_send


def test_a_late_start_answers_the_greeting_that_came_before() -> None:
    ours = Connection(Null("PUSH"))
    hear(Greeting(), to=ours)
    assert ours.data_to_send() == b""
    ours.start()
    assert ours.data_to_send() == encode(Command(b"READY", properties=(Property(b"Socket-Type", b"PUSH"),)))


def test_start_can_announce_another_version_but_not_another_mechanism() -> None:
    octets = Connection(PlainServer("PULL")).start(Greeting(3, 0, mechanism=b"NULL"))
    assert octets == encode(Greeting(3, 0, mechanism=b"PLAIN", as_server=1))


def test_ping_is_answered_once_started() -> None:
    ours = Connection(Null("PUSH"))
    ours.start()
    ping = Command(b"PING", b"\x00\x0acontext")
    assert hear(Greeting(), READY, ping, to=ours)[-1] == CommandReceived(ping)
    assert ours.data_to_send().endswith(encode(Command(b"PONG", b"context")))
    assert not ours.has_data_to_send


def test_an_observer_learns_everything_and_says_nothing() -> None:
    connection = Connection()
    events = hear(Greeting(), READY, Command(b"PING", b"\0\1"), Command(b"SUBSCRIBE", b"a"), Frame(b"m"), to=connection)
    assert events[1:3] == [CommandReceived(READY), HandshakeComplete(PULL)]
    assert events[3:] == [
        CommandReceived(Command(b"PING", b"\0\1")),
        CommandReceived(Command(b"SUBSCRIBE", b"a")),
        FrameReceived(Frame(b"m")),
    ]
    assert connection.complete
    assert not connection.has_data_to_send


def test_boxed_metadata_is_left_in_a_box() -> None:
    boxed = Command(b"READY", b"12345678" + b"box" * 8)
    assert hear(Greeting(mechanism=b"CURVE"), boxed)[1:] == [CommandReceived(boxed), HandshakeComplete(())]


def test_property_names_in_any_case_are_socket_types() -> None:
    ready = Command(b"READY", properties=(Property(b"SOCKET-type", b"PULL"),))
    events = hear(Greeting(), ready)
    assert events[-1] == HandshakeComplete(ready.properties)
    assert property_value(ready.properties, b"Socket-Type") == b"PULL"


def test_framing_follows_the_greeting_we_send_and_sending_never_refuses() -> None:
    connection = Connection()

    def framing_after(greeting: Unit) -> Framing:
        connection.send(greeting)
        return connection.framing

    assert connection.framing is Framing.V2
    assert framing_after(Greeting1(b"me")) is Framing.V1
    assert connection.send(Frame(b"a")) == b"\x02\x00a"
    assert framing_after(Greeting2()) is Framing.V2
    assert framing_after(Greeting2(revision=0)) is Framing.V1
    assert framing_after(Greeting()) is Framing.V2
    assert connection.send(Frame(b"a")) == b"\x00\x01a"
    assert connection.send(Raw(b"?")) == b"?"
    feed(connection, [b""])
    assert connection.state is State.CLOSED
    assert connection.send(Frame(b"a")) == b"\x00\x01a"


class Marking(Null):
    """Puts every frame of traffic behind a mark; the shape CURVE will have."""

    def wrap(self, frame: Frame) -> Frame:
        return Frame(b"!" + encode(frame))

    def unwrap(self, frame: Frame) -> Frame:
        body = frame.body
        if not isinstance(body, bytes) or not body.startswith(b"!"):
            raise MechanismError("not marked")
        return Frame(body[3:], command=bool(body[1] & 4))


def test_a_complete_mechanism_wraps_traffic_both_ways() -> None:
    ours = Connection(Marking("PUSH"))
    ours.start()
    assert ours.send(Frame(b"a")) == b"\x00\x01a"
    hear(Greeting(), READY, to=ours)
    ours.data_to_send()
    assert ours.send(Frame(b"a")) == b"\x00\x04!\x00\x01a"
    ping = Command(b"PING", b"\0\0")
    assert hear(Frame(b"!" + encode(ping)), to=ours) == [CommandReceived(ping)]
    assert ours.data_to_send() == encode(Frame(b"!" + encode(Command(b"PONG"))))
    assert hear(Frame(b"a"), to=ours) == [Breach("not marked"), FrameReceived(Frame(b"a"))]


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (Frame(b"a", reserved=0x80), "reserved flag bits 0x80"),
        (Command(b"PING", b"\0\0", more=True), "MORE"),
        (Command(b""), "without a name"),
        (Frame(b"", command=True), "without a body"),
        (Command(b"PING", name_size=200), "command name of 200 octets"),
        (Command(b"PING", b"\0"), "PING with 1 octets"),
        (Command(b"PING", bytes(19)), "PING with 19 octets"),
        (READY, "READY after the handshake"),
        (Command(b"HELLO"), "HELLO after the handshake"),
    ],
)
def test_a_breach_in_traffic_is_told_and_reading_goes_on(unit: Unit, reason: str) -> None:
    events = shaken(unit, Frame(b"next"))
    breaches = [event.reason for event in events if isinstance(event, Breach)]
    assert len(breaches) == 1
    assert reason in breaches[0]
    assert events[-1] == FrameReceived(Frame(b"next"))
    assert len(events) == 3


def test_a_command_inside_a_message_is_a_breach() -> None:
    pong = Command(b"PONG")
    events = shaken(Frame(b"1", more=True), pong, Frame(b"2"), pong)
    assert [type(event) for event in events] == [FrameReceived, Breach, CommandReceived, FrameReceived, CommandReceived]
    assert events[1] == Breach("command between the frames of one message (libzmq src/zmtp_engine.cpp)")


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ([Frame(b"a")], "before the handshake"),
        ([Command(b"READY")], "without Socket-Type"),
        ([Command(b"READY", b"\x01")], "middle of a property"),
        ([Command(b"HELLO")], "HELLO where NULL wants READY"),
        ([Command(b"READY", name_size=9)], "command name of 9"),
        ([Command(b"PING", b"\0\0")], "PING where NULL wants READY"),
        ([Command(b"ERROR", b"\x09no")], "not as long as announced"),
        ([Frame(b"^RROR\x03400", command=True)], "^RROR"),
    ],
)
@pytest.mark.parametrize("started", [True, False])
def test_a_breach_in_the_handshake_is_told(units: list[Unit], reason: str, started: bool) -> None:
    connection = Connection(Null("PUSH"))
    if started:
        connection.start()
    breaches = [event.reason for event in hear(Greeting(), *units, to=connection) if isinstance(event, Breach)]
    if "NULL wants" in reason and not started:
        assert breaches == []
    else:
        assert len(breaches) == 1
        assert reason in breaches[0]
    assert connection.state is not State.CLOSED


def test_as_server_above_one_is_a_breach() -> None:
    assert isinstance(hear(Greeting(as_server=2))[-1], Breach)


def test_a_size_over_the_cap_closes_and_the_rest_is_ignored() -> None:
    connection = Connection(max_body=100)
    hear(Greeting(), READY, Frame(b"x" * 100), to=connection)
    events = hear(Frame(b"", declared_size=101), Frame(b"next"), to=connection)
    assert [type(event) for event in events] == [Breach]
    assert connection.state is State.CLOSED
    assert feed(connection, [b"more", b"", b"", b"even more"]) == [Closed()]


def test_a_huge_size_is_refused_before_its_body_comes() -> None:
    events = shaken(Frame(b"", declared_size=2**63, long=True))
    assert [type(event) for event in events] == [Breach]


def test_the_end_of_the_stream() -> None:
    assert shaken(end=True) == [Closed()]
    assert shaken(Frame(b"a"), end=True) == [FrameReceived(Frame(b"a")), Closed()]
    middle = shaken(Frame(b"a", declared_size=2), end=True)
    assert middle == [Breach("stream ended 3 octets into a frame"), Closed()]
    assert feed(Connection(), [b"\xff" + bytes(8) + b"\x7f", b""]) == [Closed()]
    assert feed(Connection(), [b""]) == [Closed()]


def test_a_2_0_peer_has_no_commands() -> None:
    connection = Connection()
    events = hear(Greeting2(7, b"me"), Command(b"PING", b"\0\0"), to=connection)
    assert [type(event) for event in events] == [GreetingReceived, HandshakeComplete, Breach, FrameReceived]
    assert connection.peer_version == "2.0"
    assert property_value(connection.peer_properties, b"Socket-Type") == b"PULL"
