"""Against a real libzmq, through pyzmq: every socket type, both sides, every version; what came is read again."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator

from zmqfuzz.zmtp import (
    SOCKET_TYPES,
    Breach,
    Closed,
    Command,
    CommandReceived,
    Connection,
    ErrorReceived,
    Event,
    Frame,
    FrameReceived,
    Greeting,
    Greeting1,
    Greeting2,
    GreetingReceived,
    HandshakeComplete,
    Null,
    PlainClient,
    PlainServer,
    Role,
    SocketTypeByte,
    Unit,
    peer_type,
    property_value,
)

PATIENCE = 10.0
"""Seconds after which something that must happen has not happened; never waited for when it does."""

Zmq = zmq.Socket[bytes]


class Talk:
    """A Connection on a real TCP connection, remembering every octet and event so that they can be compared."""

    def __init__(
        self, target: Zmq, sock: socket.socket, make: Callable[[], Connection], opening: Unit | None = None
    ) -> None:
        self._target = target
        self._make = make
        self._opening = opening
        self._sock = sock
        self.connection = make()
        self.octets = b""
        self.events: list[Event] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(self._open(self.connection))

    def _open(self, connection: Connection) -> bytes:
        return connection.start() if self._opening is None else connection.send(self._opening)

    def say(self, *units: Unit) -> None:
        self._sock.sendall(b"".join([self.connection.send(unit) for unit in units]))

    def until(self, seen: Callable[[], bool]) -> None:
        """Read, and answer what the connection answers, until ``seen``."""
        deadline = time.monotonic() + PATIENCE
        while not seen():
            left = deadline - time.monotonic()
            assert left > 0, f"nothing more came; so far: {self.events}"
            self._target.poll(0)  # an idle program does not attach pipes: a bound SUB would not subscribe
            if select.select([self._sock], [], [], min(left, 0.02))[0]:
                try:
                    data = self._sock.recv(65536)
                except ConnectionResetError:
                    data = b""
                self.octets += data
                self.connection.receive_data(data)
                while (event := self.connection.next_event()) is not None:
                    self.events.append(event)
            if answer := self.connection.data_to_send():
                self._sock.sendall(answer)

    def shake(self) -> Talk:
        self.until(lambda: self.connection.complete)
        return self

    def frames(self, count: int) -> list[object]:
        """The bodies of the first ``count`` frames that came."""

        def bodies() -> list[object]:
            return [event.frame.body for event in self.events if isinstance(event, FrameReceived)]

        self.until(lambda: len(bodies()) >= count)
        return bodies()

    def commands(self, name: bytes) -> list[Command]:
        return [
            event.command for event in self.events if isinstance(event, CommandReceived) and event.command.name == name
        ]

    def check_again(self) -> None:
        """Read all that came once more, whole and octet by octet: the events must be the same."""
        ended = Closed() in self.events
        for size in (len(self.octets) or 1, 1):
            connection = self._make()
            self._open(connection)
            again: list[Event] = []
            pieces = [self.octets[at : at + size] for at in range(0, len(self.octets), size)]
            for piece in [*pieces, b""] if ended else pieces:
                connection.receive_data(piece)
                while (event := connection.next_event()) is not None:
                    again.append(event)
            assert again == self.events

    def close(self) -> None:
        self._sock.close()

    def breaches(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Breach)]


class Bench:
    """Targets and the talks with them; all of it is closed at the end."""

    def __init__(self) -> None:
        self.context: zmq.Context[Zmq] = zmq.Context()
        self._talks: list[Talk] = []

    def target(self, socket_type: str, **options: object) -> Zmq:
        made = self.context.socket(getattr(zmq, socket_type))
        made.rcvtimeo = made.sndtimeo = int(PATIENCE * 1000)
        for name, value in options.items():
            setattr(made, name, value)
        return made

    def dial(self, target: Zmq, make: Callable[[], Connection], opening: Unit | None = None) -> Talk:
        """Bind ``target`` and connect to it."""
        port = target.bind_to_random_port("tcp://127.0.0.1")
        return self._talk(Talk(target, socket.create_connection(("127.0.0.1", port), PATIENCE), make, opening))

    def accept(self, target: Zmq, make: Callable[[], Connection]) -> Talk:
        """Let ``target`` connect to us."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(PATIENCE)
            target.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
            accepted, _ = listener.accept()
        accepted.settimeout(PATIENCE)
        return self._talk(Talk(target, accepted, make))

    def _talk(self, talk: Talk) -> Talk:
        self._talks.append(talk)
        return talk

    def close(self) -> None:
        for talk in self._talks:
            talk.close()
        self.context.destroy(linger=0)

    def check_again(self) -> None:
        for talk in self._talks:
            talk.check_again()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    try:
        yield bench
        bench.check_again()
    finally:
        bench.close()


def null(socket_type: str, identity: bytes = b"", role: Role = Role.CLIENT) -> Callable[[], Connection]:
    return lambda: Connection(Null(socket_type, identity), role=role)


@pytest.mark.parametrize("socket_type", SOCKET_TYPES)
def test_null_handshake_with_every_socket_type(bench: Bench, socket_type: str) -> None:
    talk = bench.dial(bench.target(socket_type), null(peer_type(socket_type)[0])).shake()
    greeting = talk.events[0]
    assert isinstance(greeting, GreetingReceived)
    assert (greeting.version, greeting.mechanism, greeting.as_server) == ("3.1", b"NULL", False)
    assert property_value(talk.connection.peer_properties, b"Socket-Type") == socket_type.encode()
    assert talk.breaches() == []


@pytest.mark.parametrize("socket_type", SOCKET_TYPES)
def test_null_handshake_with_every_connecting_socket_type(bench: Bench, socket_type: str) -> None:
    talk = bench.accept(bench.target(socket_type), null(peer_type(socket_type)[0], role=Role.SERVER)).shake()
    assert property_value(talk.connection.peer_properties, b"Socket-Type") == socket_type.encode()
    assert talk.breaches() == []


def test_an_observer_learns_the_socket_type_without_answering(bench: Bench) -> None:
    talk = bench.dial(bench.target("XPUB"), Connection, Greeting()).shake()
    assert isinstance(talk.events[-1], HandshakeComplete)
    assert property_value(talk.connection.peer_properties, b"Socket-Type") == b"XPUB"


def test_messages_both_ways(bench: Bench) -> None:
    target = bench.target("ROUTER")
    talk = bench.dial(target, null("DEALER", identity=b"me")).shake()
    talk.say(Frame(b"one", more=True), Frame(b"x" * 300, more=True), Frame(b""))
    assert target.recv_multipart() == [b"me", b"one", b"x" * 300, b""]
    target.send_multipart([b"me", b"y" * 70_000, b"", b"last"])
    assert talk.frames(3) == [b"y" * 70_000, b"", b"last"]
    assert talk.breaches() == []


def test_a_rep_answers_a_request(bench: Bench) -> None:
    target = bench.target("REP")
    talk = bench.dial(target, null("REQ")).shake()
    talk.say(Frame(b"", more=True), Frame(b"question"))
    assert target.recv() == b"question"
    target.send(b"answer")
    assert talk.frames(2) == [b"", b"answer"]


def test_a_connecting_push_sends_to_us(bench: Bench) -> None:
    target = bench.target("PUSH")
    talk = bench.accept(target, null("PULL", role=Role.SERVER)).shake()
    target.send(b"work")
    assert talk.frames(1) == [b"work"]


@pytest.mark.parametrize("minor", [0, 1])
def test_a_subscription_is_a_message_for_3_0_and_a_command_for_3_1(bench: Bench, minor: int) -> None:
    target = bench.target("SUB")
    target.subscribe(b"topic")
    talk = bench.dial(target, Connection, Greeting(minor=minor))
    talk.say(Null("PUB").start()[0])
    if minor:
        talk.until(lambda: bool(talk.commands(b"SUBSCRIBE")))
        assert talk.commands(b"SUBSCRIBE") == [Command(b"SUBSCRIBE", b"topic")]
    else:
        assert talk.frames(1) == [b"\x01topic"]
    talk.say(Frame(b"topic and more"))
    assert target.recv() == b"topic and more"
    assert talk.breaches() == []


def test_heartbeats_are_answered(bench: Bench) -> None:
    target = bench.target("PULL", heartbeat_ivl=30, heartbeat_timeout=5000)
    talk = bench.dial(target, null("PUSH")).shake()
    talk.until(lambda: len(talk.commands(b"PING")) >= 3)
    talk.say(Frame(b"alive"))
    assert target.recv() == b"alive"
    assert talk.breaches() == []


def test_an_observer_lets_heartbeats_time_out(bench: Bench) -> None:
    target = bench.target("PULL", heartbeat_ivl=30, heartbeat_timeout=90)
    talk = bench.dial(target, Connection, Greeting())
    talk.say(Null("PUSH").start()[0])
    talk.until(lambda: Closed() in talk.events)
    assert talk.commands(b"PING")
    assert talk.breaches() == []


def test_another_mechanism_is_closed_and_no_breach(bench: Bench) -> None:
    target = bench.target("PULL", plain_server=True)
    talk = bench.dial(target, null("PUSH"))
    talk.until(lambda: Closed() in talk.events)
    assert talk.breaches() == []
    assert not talk.connection.complete


@pytest.fixture
def plain_target(bench: Bench) -> Iterator[Zmq]:
    authenticator = ThreadAuthenticator(bench.context)
    authenticator.start()
    try:
        authenticator.configure_plain("*", {"me": "key"})
        yield bench.target("PULL", plain_server=True)
    finally:
        authenticator.stop()


def test_plain_with_the_right_password(bench: Bench, plain_target: Zmq) -> None:
    talk = bench.dial(plain_target, lambda: Connection(PlainClient("PUSH", b"me", b"key"))).shake()
    names = [event.command.name for event in talk.events if isinstance(event, CommandReceived)]
    assert names == [b"WELCOME", b"READY"]
    talk.say(Frame(b"secret"))
    assert plain_target.recv() == b"secret"
    assert talk.breaches() == []


def test_plain_with_a_wrong_password_is_refused_in_libzmq_spelling(bench: Bench, plain_target: Zmq) -> None:
    talk = bench.dial(plain_target, lambda: Connection(PlainClient("PUSH", b"me", b"guess")))
    talk.until(lambda: ErrorReceived(b"400") in talk.events)
    assert not talk.connection.complete
    assert [reason for reason in talk.breaches() if "^RROR" not in reason] == []


def test_a_plain_client_is_served(bench: Bench) -> None:
    target = bench.target("PUSH", plain_username=b"me", plain_password=b"key")
    talk = bench.accept(target, lambda: Connection(PlainServer("PULL"), role=Role.SERVER)).shake()
    mechanism = talk.connection.mechanism
    assert isinstance(mechanism, PlainServer)
    assert mechanism.credentials == (b"me", b"key")
    target.send(b"secret")
    assert talk.frames(1) == [b"secret"]
    assert property_value(talk.connection.peer_properties, b"Socket-Type") == b"PUSH"


def test_a_plain_client_is_refused(bench: Bench) -> None:
    def refusing() -> Connection:
        return Connection(PlainServer("PULL", lambda username, password: False), role=Role.SERVER)

    talk = bench.accept(bench.target("PUSH", plain_username=b"me", plain_password=b"key"), refusing)
    talk.until(lambda: Closed() in talk.events)
    assert not talk.connection.complete
    assert [command.name for command in talk.commands(b"HELLO")] == [b"HELLO"]


OLDER: dict[str, tuple[Unit, str]] = {
    "1.0": (Greeting1(b"me"), "1.0"),
    "1.0 long": (Greeting1(b"me", long=True), "1.0"),
    "1.0 versioned": (Greeting2(SocketTypeByte.DEALER, b"me", revision=0), "1.0"),
    "2.0": (Greeting2(SocketTypeByte.DEALER, b"me"), "2.0"),
}


@pytest.mark.parametrize("routing_id", [b"", b"them", b"t" * 255])
@pytest.mark.parametrize("older", sorted(OLDER))
def test_older_peers_exchange_messages(bench: Bench, older: str, routing_id: bytes) -> None:
    greeting, version = OLDER[older]
    target = bench.target("ROUTER", **({"routing_id": routing_id} if routing_id else {}))
    talk = bench.dial(target, Connection, greeting)
    talk.say(Frame(b"hi", more=True), Frame(b"x" * 300))
    assert target.recv_multipart() == [b"me", b"hi", b"x" * 300]
    target.send_multipart([b"me", b"y" * 253, b"y" * 254, b"y" * 256])
    assert talk.frames(3) == [b"y" * 253, b"y" * 254, b"y" * 256]
    assert talk.connection.peer_version == version
    assert property_value(talk.connection.peer_properties, b"Identity") == routing_id
    if isinstance(greeting, Greeting2):
        assert property_value(talk.connection.peer_properties, b"Socket-Type") == b"ROUTER"
    assert talk.breaches() == []
