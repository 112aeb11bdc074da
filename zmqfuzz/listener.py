"""zmqfuzz as the server: sockets that targets connect to, and an honest server that asks whether they still do."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import replace

import trio

from zmqfuzz.endpoints import listen
from zmqfuzz.peer import Dial
from zmqfuzz.trial import ProbeResult, Surface
from zmqfuzz.zmtp.connection import Breach, Connection, FrameReceived, GreetingReceived, Role, State, property_value
from zmqfuzz.zmtp.mechanism import Null
from zmqfuzz.zmtp.wire import Greeting, peer_type

__all__ = ["Listeners"]

_CLOSE, _CLOSE_WAIT = 7, 8

ACCEPT = 3.0
"""Seconds an attack waits for the target to connect (libzmq reconnects after 100 ms by default)."""


class Listeners:
    """The listening sockets of a run; they stay open while targets come and go."""

    def __init__(self, endpoints: tuple[str, ...], socket_type: str = "", allowed: tuple[str, ...] = ()) -> None:
        self._endpoints = endpoints
        self._allowed = allowed
        self._socket_type = socket_type
        self._sockets: dict[str, trio.socket.SocketType] = {}
        self._turns = {endpoint: trio.Lock() for endpoint in endpoints}
        self._talks: dict[str, bool] = {}
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

        async def accept() -> trio.socket.SocketType:
            with trio.fail_after(ACCEPT):
                return await self._accept(surface.address)

        return accept

    async def _accept(self, endpoint: str) -> trio.socket.SocketType:
        """The next connection; several peers of one attack wait in turn."""
        async with self._turns[endpoint]:
            while True:
                accepted, _ = await self._sockets[endpoint].accept()
                if not _stale(accepted):
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
        deadline = trio.current_time() + within
        while trio.current_time() < deadline:
            accepted = await self._accept(endpoint)
            connection = Connection(role=Role.SERVER)
            kind = self._socket_type
            with accepted, trio.move_on_after(3.0):
                await accepted.send(connection.send(Greeting()))
                version = mechanism = ""
                while True:
                    connection.receive_data(await _receive(accepted))
                    while (event := connection.next_event()) is not None:
                        if isinstance(event, GreetingReceived):
                            version, mechanism = event.version, event.mechanism.rstrip(b"\0").decode("ascii", "replace")
                        properties = getattr(getattr(event, "command", None), "properties", ())
                        said = property_value(properties, b"Socket-Type")
                        kind = kind or (said or b"").decode("ascii", "replace")
                    if version and (kind or mechanism != "NULL"):
                        return Surface(endpoint, kind, mechanism, version, side="connect")
                    if connection.state is State.CLOSED:
                        break
        return None

    async def ask(self, surface: Surface, within: float) -> ProbeResult:
        """Be an honest server: does the target come back and shake hands, and (where it did so before) talk?"""
        started = trio.current_time()
        level = "application" if self._talks.get(surface.key) else "handshake"
        while (left := within - (trio.current_time() - started)) > 0:
            shaken, talked = await self._serve(surface, left, talk=level == "application")
            if shaken and (talked or level == "handshake"):
                return ProbeResult(level, True, trio.current_time() - started, "came back")
        return ProbeResult(level, False, trio.current_time() - started, f"did not come back within {within:.1f} s")

    async def calibrate(self, surface: Surface) -> ProbeResult:
        """Find out whether the target talks first (a REQ or PUSH client does) or only shakes hands."""
        shaken = talked = False
        deadline = trio.current_time() + 6.0
        while not shaken and trio.current_time() < deadline:
            shaken, talked = await self._serve(surface, 2.0, talk=True)
        self._talks[surface.key] = talked
        said = "" if shaken else "it did not complete a handshake with an honest server"
        return ProbeResult("application" if talked else "handshake", shaken, 0.0, said)

    async def _serve(self, surface: Surface, within: float, *, talk: bool) -> tuple[bool, bool]:
        """Accept once and serve honestly: (handshake complete, a message came)."""
        if surface.mechanism not in ("", "NULL"):
            return True, True
        connection = Connection(Null(peer_type(surface.socket_type)[0]), role=Role.SERVER)
        talked = False
        with trio.move_on_after(within):
            accepted = await self._accept(surface.address)
            with accepted:
                await accepted.send(connection.start())
                while not (connection.complete and (talked or not talk)) and connection.state is not State.CLOSED:
                    connection.receive_data(await _receive(accepted))
                    while (event := connection.next_event()) is not None:
                        talked = talked or isinstance(event, FrameReceived)
                        if isinstance(event, Breach):
                            break
                    if connection.has_data_to_send:
                        await accepted.send(connection.data_to_send())
        return connection.complete, talked


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
