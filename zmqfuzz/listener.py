"""zmqfuzz as the server: sockets that targets connect to, and an honest server that asks whether they still do."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from zmqfuzz.answering import Answering
from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import listen
from zmqfuzz.peer import Dial
from zmqfuzz.probe import UNASKED
from zmqfuzz.script import Shake
from zmqfuzz.seeds import Heard, Message
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import ProbeResult, Surface
from zmqfuzz.zmtp.connection import (
    Breach,
    Connection,
    Event,
    FrameReceived,
    GreetingReceived,
    HandshakeComplete,
    Role,
    State,
)
from zmqfuzz.zmtp.reader import OLD_GREETING_SIZE, property_value
from zmqfuzz.zmtp.wire import Frame, Greeting, Unit, body_bytes, peer_type

__all__ = ["Listeners"]

_CLOSE, _CLOSE_WAIT = 7, 8

_PATIENCE = 0.5
"""Seconds that what connects has to say its whole greeting first; some wait for all of ours."""

ACCEPT, SOON, TIMES = 3.0, 0.6, 6
"""Seconds an attack waits for the target to connect, at most (libzmq reconnects after 100 ms by default): TIMES as long
as it ever took, and at least SOON, as a peer for whom there is no connection waits in vain."""


class Listeners:
    """The listening sockets of a run; they stay open while targets come and go."""

    def __init__(
        self,
        endpoints: tuple[str, ...],
        socket_type: str = "",
        allowed: tuple[str, ...] = (),
        credentials: Credentials | None = None,
        asks: Sequence[Message] = (),
    ) -> None:
        """``asks``: recorded messages, which an honest server says to what may answer."""
        self._endpoints = endpoints
        self._credentials = credentials or Credentials()
        self._allowed = allowed
        self._socket_type = socket_type
        self._sockets: dict[str, trio.socket.SocketType] = {}
        self._turns = {endpoint: trio.Lock() for endpoint in endpoints}
        self._talks: dict[str, bool] = {}
        self._answering = Answering(asks, self._conversation)
        self._slowest = 0.0
        self.surfaces: tuple[Surface, ...] = ()

    async def open(self) -> None:
        """Listen everywhere. Raises UsageError when an endpoint is taken or not allowed."""
        for endpoint in self._endpoints:
            self._sockets[endpoint] = await listen(endpoint, self._allowed)

    def close(self) -> None:
        """Stop listening."""
        for sock in self._sockets.values():
            sock.close()
        for endpoint in self._sockets:
            if endpoint.startswith("ipc:///"):
                with contextlib.suppress(OSError):
                    os.unlink(endpoint.removeprefix("ipc://"))

    def dial(self, surface: Surface) -> Dial:
        """How a peer gets its connection: it waits until the target opens one."""

        async def accept(buffer: int | None = None, /) -> trio.socket.SocketType:
            with trio.fail_after(min(ACCEPT, max(SOON, TIMES * self._slowest))):
                accepted = await self._accept(surface.address)
            if buffer is not None:
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            return accepted

        return accept

    async def _accept(self, endpoint: str, *, first: bool = False) -> trio.socket.SocketType:
        """The next connection; several peers of one attack wait in turn. ``first``: of a program that just starts."""
        async with self._turns[endpoint]:
            began = trio.current_time()
            while True:
                accepted, _ = await self._sockets[endpoint].accept()
                if not _stale(accepted):
                    self._slowest = max(self._slowest, 0.0 if first else trio.current_time() - began)
                    return accepted
                accepted.close()

    async def drop_pending(self) -> None:
        """Close connections that wait to be accepted, so that the next one is of the process that runs now."""
        for sock in self._sockets.values():
            pending = True
            while pending:
                pending = False
                with trio.move_on_after(0.005):
                    accepted, _ = await sock.accept()
                    accepted.close()
                    pending = True

    async def learn(self, within: float) -> None:
        """Wait for the target to connect everywhere; learn socket type and mechanism from what it says."""
        found: list[Surface | None] = [None] * len(self._endpoints)

        async def one(number: int, endpoint: str) -> None:
            found[number] = await self._meet(endpoint, within)

        with trio.move_on_after(within):
            async with trio.open_nursery() as nursery:
                for number, endpoint in enumerate(self._endpoints):
                    nursery.start_soon(one, number, endpoint)
        seen: dict[str, int] = {}
        surfaces = []
        for surface in found:
            if surface is None:
                continue
            kind = f"{surface.socket_type} {surface.mechanism} {surface.address.split(':')[0]}"
            number = seen[kind] = seen.get(kind, -1) + 1
            surfaces.append(replace(surface, index=number))
        self.surfaces = tuple(surfaces)

    async def _meet(self, endpoint: str, within: float) -> Surface | None:
        """What connects: mechanism and version from its greeting, the socket type from an honest handshake."""
        deadline = trio.current_time() + within
        while trio.current_time() < deadline:
            surface: Surface | None = None
            accepted = await self._accept(endpoint, first=True)
            with accepted, trio.move_on_after(3.0):
                surface = await self._listen(accepted, endpoint)
            if surface is not None and surface.mechanism in ("PLAIN", "CURVE") and _unnamed(surface):
                connection = await self._served(surface, "", 3.0)
                kind = property_value(connection.peer_properties, b"Socket-Type") or b""
                surface = replace(surface, socket_type=kind.decode("ascii", "replace"))
            if surface is not None:
                return surface
        return None

    async def _listen(self, accepted: trio.socket.SocketType, endpoint: str) -> Surface | None:
        """Let it say its greeting, and where that is NULL its READY.

        libzmq drops a peer of another mechanism before it has said its own, so ours is kept back (4.3.5
        ``src/zmtp_engine.cpp:receive_greeting_versioned``) until it has said it, or waits for ours.
        """
        connection = Connection(role=Role.SERVER)
        greeting = connection.send(Greeting())
        await accepted.send(greeting[:OLD_GREETING_SIZE])
        rest = greeting[OLD_GREETING_SIZE:]
        version = mechanism = ""
        kind = self._socket_type
        while connection.state is not State.CLOSED:
            data: bytes | None = None
            with trio.move_on_after(_PATIENCE if rest else 3.0):
                data = await _receive(accepted)
            if data is not None:
                connection.receive_data(data)
            while (event := connection.next_event()) is not None:
                if isinstance(event, GreetingReceived):
                    version, mechanism = event.version, event.mechanism.rstrip(b"\0").decode("ascii", "replace")
                properties = getattr(getattr(event, "command", None), "properties", ())
                said = property_value(properties, b"Socket-Type")
                kind = kind or (said or b"").decode("ascii", "replace")
            if version and (kind or mechanism != "NULL"):
                known = self._credentials.fit(mechanism, "connect")
                return Surface(endpoint, kind, mechanism, version, side="connect", known=known)
            if rest and (version or data is None):
                await accepted.send(rest)
                rest = b""
        return None

    async def ask(self, surface: Surface, within: float) -> ProbeResult:
        """Be an honest server: does the target come back and shake hands, and (where it did so before) talk?"""
        if not surface.known:
            return self._unasked(surface)
        started = trio.current_time()
        if self._answering.knows(surface):
            return await self._answering.ask(surface, within)
        level = "application" if self._talks.get(surface.key) else "handshake"
        while (left := within - (trio.current_time() - started)) > 0:
            shaken, talked = await self._serve(surface, left, talk=level == "application")
            if shaken and (talked or level == "handshake"):
                return ProbeResult(level, True, trio.current_time() - started, "came back")
        return ProbeResult(level, False, trio.current_time() - started, f"did not come back within {within:.1f} s")

    async def calibrate(self, surface: Surface, heard: Heard | None = None) -> ProbeResult:
        """Find out whether it answers what was recorded, talks first (as REQ and PUSH do), or only shakes hands.

        ``heard`` keeps what it says.
        """
        if not surface.known:
            return self._unasked(surface)
        shaken = talked = False
        deadline = trio.current_time() + 6.0
        while not shaken and trio.current_time() < deadline:
            shaken, talked = await self._serve(surface, 2.0, talk=True, heard=heard)
        self._talks[surface.key] = talked
        if shaken and (usual := await self._answering.learn(surface)) is not None:
            return ProbeResult("application", True, usual)
        said = "" if shaken else "it did not complete a handshake with an honest server"
        return ProbeResult("application" if talked else "handshake", shaken, 0.0, said)

    async def _conversation(
        self,
        surface: Surface,
        within: float,
        message: Message = (),
        enough: Callable[[Message], bool] = lambda message: False,
    ) -> tuple[list[Message], float] | None:
        """Accept once, say ``message``, and listen until what comes is ``enough``; None without a handshake."""
        parts: list[bytes] = []
        said: list[Message] = []
        began = ended = trio.current_time()

        def take(connection: Connection, event: Event) -> bool:
            nonlocal began, ended
            if isinstance(event, HandshakeComplete):
                began = ended = trio.current_time()
            if not isinstance(event, FrameReceived):
                return False
            parts.append(body_bytes(event.frame.body))
            if event.frame.more:
                return False
            said.append(tuple(parts))
            parts.clear()
            ended = trio.current_time()
            return enough(said[-1])

        opening = tuple(Frame(part, more=place < len(message)) for place, part in enumerate(message, 1))
        connection = await self._served(surface, peer_type(surface.socket_type)[0], within, take, opening=opening)
        return (said, ended - began) if connection.complete else None

    def _unasked(self, surface: Surface) -> ProbeResult:
        return ProbeResult(UNASKED, True, 0.0, f"a {surface.mechanism} client wants a server with a key")

    async def _serve(
        self, surface: Surface, within: float, *, talk: bool, heard: Heard | None = None
    ) -> tuple[bool, bool]:
        """Accept once and serve honestly: (handshake complete, a message came)."""
        talked = False
        parts: list[bytes] = []

        def enough(connection: Connection, event: Event) -> bool:
            nonlocal talked
            if isinstance(event, FrameReceived):
                parts.append(body_bytes(event.frame.body))
                talked = not event.frame.more
            return connection.complete and (talked or not talk)

        def answer() -> tuple[Unit, ...]:
            """An echo: a REQ that is owed an answer sends nothing any more (RFC 28), and that would be our doing."""
            owed = talked and surface.socket_type.upper() == "REQ"
            return tuple(Frame(part, more=place < len(parts) - 1) for place, part in enumerate(parts)) if owed else ()

        connection = await self._served(surface, peer_type(surface.socket_type)[0], within, enough, answer)
        if talked and heard is not None:
            heard.add(parts)
        return connection.complete, talked

    async def _served(
        self,
        surface: Surface,
        kind: str,
        within: float,
        enough: Callable[[Connection, Event], bool] = lambda connection, event: connection.complete,
        answer: Callable[[], tuple[Unit, ...]] = tuple,
        opening: tuple[Unit, ...] = (),
    ) -> Connection:
        """Accept once and be an honest ``kind`` until it is ``enough``, the connection ends, or the time is over.

        ``opening`` is sent when the handshake is complete, ``answer`` at the end.
        """
        mechanism = Keyring(self._credentials).mechanism(Shake(kind, mechanism=surface.mechanism), Role.SERVER)
        connection = Connection(mechanism, role=Role.SERVER)
        with trio.move_on_after(within):
            accepted = await self._accept(surface.address)
            with accepted:
                await accepted.send(connection.start())
                satisfied = False
                while not satisfied and connection.state is not State.CLOSED:
                    connection.receive_data(await _receive(accepted))
                    while (event := connection.next_event()) is not None:
                        satisfied = satisfied or enough(connection, event)
                        if isinstance(event, Breach):
                            break
                    if connection.has_data_to_send:
                        await accepted.send(connection.data_to_send())
                    if connection.complete and opening:
                        await accepted.send(b"".join(map(connection.send, opening)))
                        opening = ()
                for unit in answer() if satisfied else ():
                    await accepted.send(connection.send(unit))
        return connection


def _unnamed(surface: Surface) -> bool:
    """Whether an honest handshake would tell more."""
    return surface.known and not surface.socket_type


def _stale(sock: trio.socket.SocketType) -> bool:
    """Whether the other side has closed while the connection waited to be accepted (tcp_states.h: TCP_CLOSE_WAIT)."""
    if sock.family == socket.AF_UNIX:
        return False
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in (_CLOSE, _CLOSE_WAIT)


async def _receive(sock: trio.socket.SocketType) -> bytes:
    try:
        return await sock.recv(65536)
    except OSError:
        return b""
