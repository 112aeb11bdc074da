"""Asks a listening socket who it is: as much of a ZMTP handshake as shows the peer's greeting and socket type.

Contract: nothing of ours reaches the application. We send a greeting and never a READY, so that the handshake is
not completed: the peer's socket sees a connection that went away.

A local reader of two frames at most; the full one is :mod:`zmqfuzz.zmtp.connection`.
"""

from __future__ import annotations

import struct

import trio

from zmqfuzz.endpoints import connect
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import MECHANISM_SIZE, SIGNATURE, Flag, Greeting, SocketTypeByte, encode

__all__ = ["identify"]

_GREETING_SIZE = 64  # RFC 37: signature (10), version (2), mechanism (20), as-server (1), filler (31)
_VERSION_END = 12
_PATIENCE = 0.15  # seconds a peer has to show more first; some wait for all of ours
_PATIENCE_MORE = 0.5  # the same, when it has begun: it is busy rather than waiting
_READ_MAX = 4096  # a READY is far shorter; libzmq's has Socket-Type and Identity


async def identify(address: str, within: float) -> Surface | None:
    """The ZMTP door at ``address``; None when what answers does not speak ZMTP (silence, other octets, a close).

    ``within`` bounds the whole exchange, in seconds. The socket type stays empty when the peer does not tell it:
    with PLAIN and CURVE it comes later in the handshake. Raises OSError when nothing can be connected to.
    """
    reader = _Reader()
    with trio.move_on_after(within):
        reader.sock = await connect(address)
    if reader.sock is None:
        raise TimeoutError(f"no connection to {address} within {within:g} s")
    try:
        with trio.move_on_after(within):
            await reader.converse()
    except OSError:
        pass  # it closed or reset: what was read until then speaks for itself
    finally:
        reader.sock.close()
    return reader.surface(address)


class _Reader:
    """One exchange; ``received`` grows, and is read when all is over."""

    def __init__(self) -> None:
        self.sock: trio.socket.SocketType | None = None
        self.received = bytearray()

    async def converse(self) -> None:
        """Send our greeting in three parts, and read until the peer's READY or something else is there.

        libzmq drops a peer of another mechanism as soon as it has read its greeting, without sending the rest of its
        own; so ours stops before the mechanism until we have seen the peer's (4.3.5
        ``src/zmtp_engine.cpp:receive_greeting_versioned``).
        """
        greeting = encode(Greeting())
        await self._send(greeting[: len(SIGNATURE)])
        with trio.move_on_after(_PATIENCE):
            await self._fill(len(SIGNATURE))
        if not self._promising():
            return
        await self._send(greeting[len(SIGNATURE) : _VERSION_END])
        with trio.move_on_after(_PATIENCE_MORE if self.received else _PATIENCE):
            await self._fill(_GREETING_SIZE)
        if not self._promising() or (len(self.received) >= _VERSION_END and self._major() < 3):
            return
        if len(self.received) < _GREETING_SIZE or self._mechanism() == "NULL":
            await self._send(greeting[_VERSION_END:])
        await self._fill(_GREETING_SIZE)
        if self._mechanism() == "NULL":
            await self._fill(_GREETING_SIZE + 2)
            await self._fill(_frame_end(self.received, _GREETING_SIZE))

    async def _send(self, octets: bytes) -> None:
        assert self.sock is not None
        while octets:
            octets = octets[await self.sock.send(octets) :]

    async def _fill(self, size: int) -> None:
        """Read until ``size`` octets are there. Raises OSError at the peer's close."""
        assert self.sock is not None
        while len(self.received) < min(size, _READ_MAX):
            chunk = await self.sock.recv(_READ_MAX)
            if not chunk:
                raise ConnectionResetError("closed")
            self.received += chunk
            if not self._promising():
                return

    def _promising(self) -> bool:
        """Whether it may still be ZMTP: the padding is free (libzmq puts a length there), the ends are not."""
        return b"\xff".startswith(self.received[:1]) and b"\x7f".startswith(self.received[9:10])

    def _major(self) -> int:
        return self.received[10]

    def _mechanism(self) -> str:
        return bytes(self.received[12 : 12 + MECHANISM_SIZE]).rstrip(b"\0").decode("ascii", "backslashreplace")

    def surface(self, address: str) -> Surface | None:
        """What was learnt; None unless a whole ZMTP 3 greeting, or the start of a ZMTP 2 one, was read."""
        if not self._promising() or len(self.received) < _VERSION_END:
            return None
        if self._major() < 3:
            # RFC 15: "revision = %x01", then the socket type; no mechanism.
            number = self.received[11]
            known = SocketTypeByte(number).name if number in SocketTypeByte.__members__.values() else ""
            return Surface(address, known, version="2.0")
        if len(self.received) < _GREETING_SIZE:
            return None
        version = f"{self._major()}.{self.received[11]}"
        return Surface(address, _socket_type(bytes(self.received)), self._mechanism(), version)


def _frame_end(octets: bytearray, start: int) -> int:
    """Where the frame at ``start`` ends; its head must be there, a long size counts as far as it is there."""
    if octets[start] & Flag.LONG:
        size = int.from_bytes(octets[start + 1 : start + 9].ljust(8, b"\0"), "big")
        return start + 9 + size
    return start + 2 + octets[start + 1]


def _socket_type(octets: bytes) -> str:
    """The Socket-Type property of the READY behind the greeting; empty when there is none."""
    if len(octets) < _GREETING_SIZE + 2 or not octets[_GREETING_SIZE] & Flag.COMMAND:
        return ""
    head = 9 if octets[_GREETING_SIZE] & Flag.LONG else 2
    body = octets[_GREETING_SIZE + head : _frame_end(bytearray(octets), _GREETING_SIZE)]
    name, rest = _short(body)
    if name != b"READY":
        return ""
    while rest:
        name, rest = _short(rest)
        if len(rest) < 4:
            return ""
        (size,) = struct.unpack_from(">I", rest)
        value, rest = rest[4 : 4 + size], rest[4 + size :]
        if name.lower() == b"socket-type":
            return value.decode("ascii", "backslashreplace")
    return ""


def _short(octets: bytes) -> tuple[bytes, bytes]:
    """A string behind its one-octet length, and what follows."""
    size = octets[0] if octets else 0
    return octets[1 : 1 + size], octets[1 + size :]
