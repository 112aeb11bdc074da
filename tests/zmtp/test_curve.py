"""CURVE against a real libzmq: both sides, honest, and what libzmq does about each lie (4.3.5, curve_server.cpp)."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.utils import z85

from zmqfuzz.zmtp import (
    Breach,
    Closed,
    Command,
    Connection,
    CurveClient,
    CurveCommand,
    CurveServer,
    Event,
    Fill,
    Frame,
    FrameReceived,
    Mechanism,
    Property,
    Raw,
    Role,
    Unit,
    encode,
    property_value,
)
from zmqfuzz.zmtp.keys import Jar, keypair

PATIENCE, WAIT = 10.0, 10_000
"""Seconds (and milliseconds) after which what must happen has not happened; never waited for when it does."""

Zmq = zmq.Socket[bytes]
Pair = tuple[bytes, bytes]

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")


class Talk:
    """A connection of ours on a real socket."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self._sock = sock
        self.connection = connection
        self.events: list[Event] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(connection.start())

    def say(self, *units: Unit) -> Talk:
        for unit in units:
            self._sock.sendall(self.connection.send(unit))
        return self

    def until(self, seen: Callable[[], bool]) -> Talk:
        deadline = time.monotonic() + PATIENCE
        while not seen():
            left = deadline - time.monotonic()
            assert left > 0, f"nothing more came; so far: {self.events}"
            if select.select([self._sock], [], [], min(left, 0.05))[0]:
                try:
                    data = self._sock.recv(65536)
                except ConnectionResetError:
                    data = b""
                self.connection.receive_data(data)
                while (event := self.connection.next_event()) is not None:
                    self.events.append(event)
            if answer := self.connection.data_to_send():
                try:
                    self._sock.sendall(answer)
                except OSError:
                    pass  # closed already; it will be read
        return self

    def shaken(self) -> Talk:
        return self.until(lambda: self.connection.complete)

    def closed(self) -> bool:
        """Wait until libzmq has closed the connection, or answers a PING: whichever comes first."""
        self.until(lambda: Closed() in self.events or self.ponged())
        return Closed() in self.events

    def ponged(self) -> bool:
        return any(getattr(getattr(event, "command", None), "name", b"") == b"PONG" for event in self.events)

    def bodies(self) -> list[object]:
        return [event.frame.body for event in self.events if isinstance(event, FrameReceived)]


class Server:
    """A libzmq CURVE server that lets any client in (no ZAP handler)."""

    def __init__(self, kind: int) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        public, secret = zmq.curve_keypair()
        self.socket.curve_server, self.socket.curve_secretkey = True, secret
        self.key = z85.decode(public)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self._open: list[socket.socket] = []

    def talk(self, client: Mechanism, *instead: Unit) -> Talk:
        connection = Connection(client)
        connection.instead.extend(instead)
        sock = socket.create_connection(("127.0.0.1", self.port))
        self._open.append(sock)
        return Talk(sock, connection)

    def close(self) -> None:
        for sock in self._open:
            sock.close()
        self.context.destroy(linger=0)


@pytest.fixture
def router() -> Iterator[Server]:
    server = Server(zmq.ROUTER)
    yield server
    server.close()


METADATA = (Property(b"Socket-Type", b"DEALER"), Property(b"Identity", b""))
HELLO, INITIATE = CurveCommand(b"HELLO"), CurveCommand(b"INITIATE", properties=METADATA)
PING = Command(b"PING", b"\0\0zmqfuzz")


def test_an_honest_client_and_a_libzmq_server_talk(router: Server) -> None:
    talk = router.talk(CurveClient("DEALER", router.key, identity=b"me")).shaken()
    assert property_value(talk.connection.peer_properties, b"Socket-Type") == b"ROUTER"
    talk.say(Frame(b"one", more=True), Frame(Fill(70_000)))
    assert router.socket.poll(WAIT)
    assert router.socket.recv_multipart() == [b"me", b"one", b"y" * 70_000]
    router.socket.send_multipart([b"me", b"", b"two" * 1000])
    talk.until(lambda: len(talk.bodies()) == 2)
    assert talk.bodies() == [b"", b"two" * 1000]
    assert not talk.say(PING).closed()
    assert not [event for event in talk.events if isinstance(event, Breach)]


def test_a_libzmq_client_and_our_server_talk() -> None:
    public, secret = keypair()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        zmq.Context() as context,
        context.socket(zmq.REQ) as client,
    ):
        client.linger = 0
        client_public, client.curve_secretkey = zmq.curve_keypair()
        client.curve_publickey, client.curve_serverkey = client_public, z85.encode(public)
        client.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        client.send(b"question")
        server = CurveServer("ROUTER", secret)
        talk = Talk(listener.accept()[0], Connection(server, role=Role.SERVER)).shaken()
        assert server.client_key == z85.decode(client_public)
        assert property_value(talk.connection.peer_properties, b"Socket-Type") == b"REQ"
        talk.until(lambda: len(talk.bodies()) == 2)
        assert talk.bodies() == [b"", b"question"]
        talk.say(Frame(b"", more=True), Frame(b"answer"))
        assert client.poll(WAIT)
        assert client.recv() == b"answer"
        talk.say(CurveCommand(b"MESSAGE", nonce="repeat"))
        talk.until(lambda: Closed() in talk.events)


REFUSED_HELLOS = {
    "short": CurveCommand(b"HELLO", size=199),
    "long": CurveCommand(b"HELLO", size=201),
    "version": CurveCommand(b"HELLO", version=(2, 0)),
    "key of zeros": CurveCommand(b"HELLO", key="zero"),
    "key that is not its own": CurveCommand(b"HELLO", key="random"),
    "bit of the box": CurveCommand(b"HELLO", flip=8 * 150),
    "box of random octets": CurveCommand(b"HELLO", box="random"),
    "box of another key": CurveCommand(b"HELLO", box="foreign"),
    "no box": CurveCommand(b"HELLO", box="open"),
    "name": CurveCommand(b"HELLO", spelling=b"HELLo"),
    "another command": INITIATE,
    "MESSAGE": CurveCommand(b"MESSAGE", body=b"early"),
    "in clear": Command(b"READY", properties=METADATA),
}
REFUSED_INITIATES = {
    "short": CurveCommand(b"INITIATE", properties=METADATA, size=256),
    "cookie of zeros": CurveCommand(b"INITIATE", properties=METADATA, cookie="zero"),
    "cookie of random octets": CurveCommand(b"INITIATE", properties=METADATA, cookie="random"),
    "vouch of zeros": CurveCommand(b"INITIATE", properties=METADATA, vouch="zero"),
    "vouch of another key": CurveCommand(b"INITIATE", properties=METADATA, vouch="foreign"),
    "key of zeros": CurveCommand(b"INITIATE", properties=METADATA, key="zero"),
    "metadata cut short": CurveCommand(b"INITIATE", properties=(Property(b"Socket-Type", b"DEALER", None, 99),)),
    "a wrong type": CurveCommand(b"INITIATE", properties=(Property(b"Socket-Type", b"PUB"),)),
    "bit of the box": CurveCommand(b"INITIATE", properties=METADATA, flip=8 * 130),
    "no box": CurveCommand(b"INITIATE", properties=METADATA, box="open"),
    "HELLO again": HELLO,
    "HELLO replayed": CurveCommand(b"HELLO", replay="own"),
}


@pytest.mark.parametrize("hello", [pytest.param(unit, id=name) for name, unit in REFUSED_HELLOS.items()])
def test_libzmq_closes_at_a_dishonest_hello(router: Server, hello: Unit) -> None:
    assert router.talk(CurveClient("DEALER", router.key), hello).closed()


@pytest.mark.parametrize("initiate", [pytest.param(unit, id=name) for name, unit in REFUSED_INITIATES.items()])
def test_libzmq_closes_at_a_dishonest_initiate(router: Server, initiate: Unit) -> None:
    talk = router.talk(CurveClient("DEALER", router.key), HELLO, initiate)
    assert talk.closed()
    assert not talk.connection.complete


@pytest.mark.parametrize(
    "instead",
    [
        (CurveCommand(b"HELLO", padding=0xFF),),
        (CurveCommand(b"HELLO", flip_inside=5),),
        (HELLO, CurveCommand(b"INITIATE")),
        (HELLO, CurveCommand(b"INITIATE", properties=(*METADATA, Property(b"X-Large", b"x" * (1 << 20))))),
        (CurveCommand(b"HELLO", nonce="gap"), INITIATE),
    ],
    ids=["padding", "signature", "no metadata", "a MiB of metadata", "nonce"],
)
def test_libzmq_accepts(router: Server, instead: tuple[Unit, ...]) -> None:
    """Padding and signature, which RFC 26 wants validated; a Socket-Type RFC 37 wants given."""
    talk = router.talk(CurveClient("DEALER", router.key), *instead).shaken()
    assert not talk.say(PING).closed()


def test_libzmq_says_nothing_to_who_does_not_know_its_key(router: Server) -> None:
    talk = router.talk(CurveClient("DEALER", b""))
    assert talk.closed()
    assert not talk.connection.complete


@pytest.mark.parametrize(
    "lie",
    [
        CurveCommand(b"MESSAGE", body=b"x", nonce="repeat"),
        CurveCommand(b"MESSAGE", body=b"x", nonce="lower"),
        CurveCommand(b"MESSAGE", body=b"x", nonce="zero"),
        CurveCommand(b"MESSAGE", replay="own"),
        CurveCommand(b"INITIATE", replay="own"),
        CurveCommand(b"MESSAGE", body=b"x", size=32),
        CurveCommand(b"MESSAGE", body=b"x", flip=8 * 20),
        CurveCommand(b"MESSAGE", body=b"x", box="open"),
        CurveCommand(b"MESSAGE", body=b"x", box="foreign"),
        CurveCommand(b"MESSAGE", spelling=b"MESSAGf", body=b"x"),
        Raw(encode(Frame(b"in clear"))),
        Raw(encode(PING)),
    ],
    ids=lambda lie: str(lie)[:90],
)
def test_libzmq_closes_at_a_dishonest_message(router: Server, lie: Unit) -> None:
    talk = router.talk(CurveClient("DEALER", router.key)).shaken()
    talk.say(Frame(b"honest"), lie, PING)
    assert talk.closed()
    assert router.socket.poll(WAIT)
    assert router.socket.recv_multipart()[1:] == [b"honest"]
    assert not router.socket.poll(50), "nothing of the lie is delivered"


@pytest.mark.parametrize(
    ("lie", "delivered"),
    [
        (CurveCommand(b"MESSAGE", body=b"x", nonce="gap"), True),
        (CurveCommand(b"MESSAGE", body=b"x", flags=0xF8), True),
        (CurveCommand(b"MESSAGE", body=b"\x04WHAT", flags=2), False),
        (CurveCommand(b"MESSAGE", flags=0), True),
    ],
    ids=["a gap", "flags that nobody knows", "a command", "empty"],
)
def test_libzmq_goes_on_after(router: Server, lie: Unit, delivered: bool) -> None:
    talk = router.talk(CurveClient("DEALER", router.key)).shaken()
    assert not talk.say(lie, Frame(b"honest"), PING).closed()
    got: list[bytes] = []
    while not got or got[-1] != b"honest":
        assert router.socket.poll(WAIT)
        got.append(router.socket.recv_multipart()[1])
    assert (len(got) == 2) is delivered


def test_after_the_last_nonce_there_is_none(router: Server) -> None:
    talk = router.talk(CurveClient("DEALER", router.key)).shaken()
    talk.say(CurveCommand(b"MESSAGE", body=b"last", nonce="last"))
    assert router.socket.poll(WAIT)
    assert router.socket.recv_multipart()[1:] == [b"last"]
    assert talk.say(PING).closed()


@pytest.mark.parametrize("what", ["cookie", "INITIATE", "MESSAGE"])
def test_what_belongs_to_another_connection_opens_nothing(router: Server, what: str) -> None:
    jar = Jar()
    router.talk(CurveClient("DEALER", router.key, jar=jar)).shaken().say(Frame(b"first"))
    assert router.socket.poll(WAIT)
    if what == "cookie":
        instead: tuple[Unit, ...] = (HELLO, CurveCommand(b"INITIATE", properties=METADATA, cookie="another"))
    elif what == "INITIATE":
        instead = (HELLO, CurveCommand(b"INITIATE", replay="another"))
    else:
        instead = ()
    talk = router.talk(CurveClient("DEALER", router.key, jar=jar), *instead)
    if what == "MESSAGE":
        talk.shaken().say(CurveCommand(b"MESSAGE", replay="another"))
    assert talk.closed()


@pytest.mark.parametrize(
    "instead",
    [
        (CurveCommand(b"WELCOME", size=167),),
        (CurveCommand(b"WELCOME", flip=8 * 100),),
        (CurveCommand(b"WELCOME", box="foreign"),),
        (CurveCommand(b"READY", properties=METADATA),),
        (None, CurveCommand(b"READY", size=29)),
        (None, CurveCommand(b"READY", box="random")),
        (None, CurveCommand(b"READY", properties=(Property(b"Socket-Type", b"PUB"),))),
        (None, CurveCommand(b"MESSAGE", body=b"early")),
    ],
    ids=lambda instead: " ".join(str(unit)[:60] for unit in instead),
)
def test_a_libzmq_client_closes_at_a_dishonest_server(instead: tuple[Unit | None, ...]) -> None:
    public, secret = keypair()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        zmq.Context() as context,
        context.socket(zmq.REQ) as client,
    ):
        client.linger = 0
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.curve_serverkey = z85.encode(public)
        client.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        connection = Connection(CurveServer("ROUTER", secret), role=Role.SERVER)
        connection.instead.extend(instead)
        with listener.accept()[0] as sock:
            assert Talk(sock, connection).closed()
