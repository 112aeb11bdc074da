"""What ``zmq_msg_gets`` gives of a peer, where the peer itself has said the same in its metadata."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import trio
import zmq
from zmq.utils import z85

from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import connect
from zmqfuzz.injector import inject
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp import Frame, Property

__all__ = ["TOLD", "Told", "given"]

USER = "ada"
"""What the ZAP handler says; where ``handler`` is empty there is one that says nothing."""

PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Told:
    """A peer says ``said`` of itself, behind Socket-Type and Identity; a message of it is asked for ``name``.

    ``gives`` None: there is no such property. ``domain``: ZMQ_ZAP_DOMAIN is set. ``handler``: the user id that a ZAP
    handler says (RFC 27); None: none is bound.
    """

    said: tuple[tuple[str, str], ...]
    name: str
    gives: str | None
    mechanism: str = "NULL"
    domain: bool = False
    handler: str | None = None

    @property
    def door(self) -> str:
        """The door in words."""
        zap = "no ZAP handler" if self.handler is None else f"a ZAP handler that says {self.handler!r}"
        return f"{self.mechanism}{', ZAP_DOMAIN' if self.domain else ''}, {zap}"


_ADMIN = (("User-Id", "admin"),)
_BOTH = (("User-Id", "admin"), ("User-Id", "guest"))
_ADDRESS = (("Peer-Address", "192.0.2.1"),)

TOLD: tuple[Told, ...] = (
    Told(_ADMIN, "User-Id", "admin"),
    Told(_ADMIN, "User-Id", "admin", domain=True),
    Told(_ADMIN, "User-Id", "admin", handler=USER),  # without a domain it is not asked
    Told(_ADMIN, "User-Id", USER, domain=True, handler=USER),
    Told(_ADMIN, "User-Id", "", domain=True, handler=""),
    Told(_ADMIN, "User-Id", USER, "PLAIN", domain=True, handler=USER),
    Told(_ADMIN, "User-Id", "", "PLAIN", handler=""),
    Told(_ADMIN, "User-Id", "admin", "CURVE"),
    Told(_ADMIN, "User-Id", USER, "CURVE", handler=USER),
    Told(_ADMIN, "user-id", None),
    Told(_BOTH, "User-Id", "admin"),
    Told((), "User-Id", None),
    Told(_ADDRESS, "Peer-Address", "127.0.0.1"),
    Told((("__fd", "-7"), *_ADDRESS), "Peer-Address", "127.0.0.1"),
    Told((("Socket-Type", "REQ"),), "Socket-Type", "DEALER"),
    Told((("Routing-Id", "boss"),), "Routing-Id", "boss"),
    Told((("Identity", "boss"),), "Identity", ""),
    Told((("X-Role", "admin"),), "X-Role", "admin", domain=True, handler=USER),
)


def given(rows: Sequence[Told]) -> list[str | None]:
    """What the installed libzmq gives for each row."""
    return [_asked(row) for row in rows]


@contextmanager
def _handler(context: zmq.Context[zmq.Socket[bytes]], user: str | None) -> Iterator[None]:
    """A ZAP handler that lets everyone in as ``user``; None: none."""
    if user is None:
        yield
        return
    over = threading.Event()
    with context.socket(zmq.REP) as gate:
        gate.linger = 0
        gate.bind("inproc://zeromq.zap.01")

        def let_in() -> None:
            while not over.is_set():
                if gate.poll(20):
                    version, number, *_ = gate.recv_multipart()
                    gate.send_multipart([version, number, b"200", b"OK", user.encode(), b""])

        thread = threading.Thread(target=let_in)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _asked(row: Told) -> str | None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with _handler(context, row.handler), context.socket(zmq.ROUTER) as sock:
            sock.linger = 0
            if row.domain:
                sock.zap_domain = b"conformance"
            known = Credentials("user", "password")
            if row.mechanism == "PLAIN":
                sock.plain_server = True
            elif row.mechanism == "CURVE":
                public, sock.curve_secretkey = zmq.curve_keypair()
                sock.curve_server = True
                known = Credentials(server_key=z85.decode(public))
            sock.bind("tcp://127.0.0.1:*")
            _say(row, sock.get_string(zmq.LAST_ENDPOINT), known)
            assert sock.poll(1000 * PATIENCE), "no message came"
            sock.recv()
            frame = sock.recv(copy=False)
            try:
                return str(frame.get(row.name))
            except zmq.ZMQError:
                return None
    finally:
        context.destroy(linger=0)


def _say(row: Told, address: str, known: Credentials) -> None:
    """Shake hands as a peer that says this of itself, and send a message."""
    said = tuple(Property(name.encode(), value.encode()) for name, value in row.said)
    shake = Shake("DEALER", mechanism=row.mechanism, within=PATIENCE, properties=said)
    attack = Attack((Script((Connect(), shake, Send((Frame(b"here"),)), Expect("message", within=0.05))),))

    async def dial(buffer: int | None = None) -> trio.socket.SocketType:
        return await connect(address)

    async def play() -> None:
        await inject(attack, dial, Meter(), credentials=known, seconds=2 * PATIENCE)

    trio.run(play)
