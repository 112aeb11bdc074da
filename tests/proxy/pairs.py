"""Two real libzmq peers, one of which connects through the proxy; a test plays both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from zmqfuzz.proxy import Proxy

PATIENCE = 20_000
"""Milliseconds for what must come; a machine that is busy takes its time."""

QUIET = 40
"""Milliseconds in which nothing comes where nothing can."""

Message = list[bytes]


class Pair:
    """``near`` connects through ``proxy`` and does not come back unless ``again``; ``far`` is bound behind it."""

    def __init__(self, mechanism: str = "NULL", *, again: bool = False) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.mechanism, self.again = mechanism, again
        self.server, self.client = zmq.curve_keypair(), zmq.curve_keypair()
        self.near, self.far = self._client(), self.context.socket(zmq.DEALER)
        self.far.setsockopt(zmq.LINGER, 0)
        self.door: ThreadAuthenticator | None = None
        if mechanism == "CURVE":
            self.far.curve_server, self.far.curve_secretkey = True, self.server[1]
        elif mechanism == "PLAIN":
            self.door = ThreadAuthenticator(self.context)
            self.door.start()
            self.door.configure_plain(domain="*", passwords={"ada": "lovelace"})
            self.far.plain_server = True
        self.gone = self.far.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.far.bind("tcp://127.0.0.1:*")
        self.endpoint = self.far.getsockopt_string(zmq.LAST_ENDPOINT)

    def _client(self) -> zmq.Socket[bytes]:
        sock = self.context.socket(zmq.DEALER)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RECONNECT_IVL, 10 if self.again else -1)
        if self.mechanism == "CURVE":
            sock.curve_serverkey = self.server[0]
            sock.curve_publickey, sock.curve_secretkey = self.client
        elif self.mechanism == "PLAIN":
            sock.plain_username, sock.plain_password = b"ada", b"lovelace"
        return sock

    def through(self, proxy: Proxy) -> None:
        """Connect ``near``."""
        self.near.connect(proxy.endpoint)

    def another(self, proxy: Proxy) -> None:
        """A new socket in the place of ``near``, of the same key."""
        self.near.close()
        self.near = self._client()
        self.through(proxy)

    def say(self, *messages: Message) -> None:
        """``near`` sends."""
        for message in messages:
            self.near.send_multipart(message)

    def offer(self, message: bytes) -> None:
        """``near`` sends, unless it has no connection and makes none any more."""
        with suppress(zmq.Again):
            self.near.send(message, zmq.NOBLOCK)

    def heard(self, many: int) -> list[Message]:
        """So many messages that ``far`` receives."""
        found: list[Message] = []
        for _ in range(many):
            assert self.far.poll(PATIENCE), f"only {found} came"
            found.append(self.far.recv_multipart())
        return found

    def silent(self) -> bool:
        """Whether ``far`` hears nothing more."""
        return not self.far.poll(QUIET)

    def ended(self) -> bool:
        """Whether the connection of ``far`` ends, and nothing more is received of it.

        libzmq tells of the end before it hands on what it read last (4.3.5 ``src/stream_engine_base.cpp:error``), so
        what must have come is to be taken first.
        """
        assert self.gone.poll(PATIENCE), "the connection did not end"
        recv_monitor_message(self.gone)
        return self.silent()

    def close(self) -> None:
        """Both sockets."""
        self.far.disable_monitor()
        if self.door is not None:
            self.door.stop()
        self.context.destroy(linger=0)


@contextmanager
def paired(mechanism: str = "NULL", *, again: bool = False) -> Iterator[Pair]:
    """A pair that is closed in the end."""
    pair = Pair(mechanism, again=again)
    try:
        yield pair
    finally:
        pair.close()
