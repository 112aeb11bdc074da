"""Writes to a socket that may stop taking, and counts what it took; leaves a connection by RST, or without a sign."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

__all__ = ["STALL", "Meter", "Stalled", "Writer", "reset", "vanish"]

BLOCK = 256 * 1024
"""Octets handed to the kernel at once when something is repeated: larger blocks did not send faster on loopback."""

STREAM_BLOCK = 64 * 1024
"""The same for what must be made while it is sent."""

STALL = 1.0
"""Seconds without one octet of progress after which the target has stopped reading."""

MOST_PIECES = 256
"""Small writes of one send; what is left goes out whole, so that a large body does not take for ever."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_SO_ATTACH_FILTER = 26
"""Linux, include/uapi/asm-generic/socket.h; socket(7)."""

_DROP = struct.pack("HBBI", 0x06, 0, 0, 0)
"""``struct sock_filter`` (linux/filter.h): BPF_RET with 0, "keep no octet of the packet"."""


class Stalled(Exception):
    """The target took nothing for STALL seconds."""


@dataclass(slots=True)
class Meter:
    """Octets that all peers of a trial have sent so far; the observer reads it beside every sample."""

    started: float = field(default_factory=trio.current_time)
    sent: int = 0

    def now(self) -> float:
        """Seconds since the attack began."""
        return trio.current_time() - self.started


def reset(sock: trio.socket.SocketType) -> None:
    """Close with RST (``SO_LINGER`` 0 seconds); a plain close on a unix socket."""
    if sock.family != socket.AF_UNIX:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            pass  # already dead
    sock.close()


def vanish(sock: trio.socket.SocketType) -> str:
    """Take no segment from the other side any more, so that none is acknowledged; empty, or why that cannot be done.

    The filter stands in front of TCP, so the other side meets the silence of a cut cable. Whatever closes the socket
    later, the end of this process too, resets it: the kernel does not go on trying to finish the connection.
    """
    if sock.family == socket.AF_UNIX:
        return "an ipc connection has no segments to leave unanswered"
    octets = ctypes.create_string_buffer(_DROP, len(_DROP))
    program = struct.pack("HL", 1, ctypes.addressof(octets))  # struct sock_fprog: instructions, where they are
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except PermissionError:
        return "a filter on our own socket is not permitted here (CAP_NET_ADMIN)"
    except OSError as error:
        return f"a filter on our own socket is not possible here ({error.strerror})"
    return ""


class Writer:
    """One send. ``sent`` counts also when it ends in Stalled, OSError or trio.ClosedResourceError."""

    def __init__(self, sock: trio.socket.SocketType, meter: Meter) -> None:
        self._sock = sock
        self._meter = meter
        self.sent = 0

    async def all(self, octets: bytes) -> None:
        """Send everything. Raises Stalled, OSError, trio.ClosedResourceError."""
        rest = memoryview(octets)
        while rest:
            count = 0
            with trio.move_on_after(STALL):
                count = await self._sock.send(rest)
            if count == 0:
                raise Stalled
            rest = rest[count:]
            self.sent += count
            self._meter.sent += count

    async def repeated(self, octets: bytes, times: int) -> None:
        """Send ``octets`` ``times`` over, in blocks, without building them all. Raises as ``all``."""
        if not octets:
            return
        per_block = min(max(1, BLOCK // len(octets)), max(times, 1))
        block = octets * per_block
        for _ in range(times // per_block):
            await self.all(block)
        await self.all(octets * (times % per_block))

    async def stream(self, rounds: Iterable[bytes]) -> None:
        """Send what ``rounds`` gives, several in one block where they are small. Raises as ``all``."""
        block, size = [], 0
        for octets in rounds:
            block.append(octets)
            size += len(octets)
            if size >= STREAM_BLOCK:
                await self.all(b"".join(block))
                block, size = [], 0
        await self.all(b"".join(block))

    async def pieces(self, octets: bytes, size: int, every: float) -> None:
        """Send ``size`` octets a write, ``every`` seconds apart. Raises as ``all``."""
        for number, start in enumerate(range(0, len(octets), size)):
            if number == MOST_PIECES:
                await self.all(octets[start:])
                return
            await self.all(octets[start : start + size])
            await trio.sleep(every)
