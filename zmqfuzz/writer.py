"""Writes to a socket that may stop taking, and counts what it took; leaves a connection by RST, or without a sign."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import trio

__all__ = ["MOST_PIECES", "STALL", "Meter", "Stalled", "Writer", "acknowledged", "reappear", "reset", "vanish"]

BLOCK = 256 * 1024
"""Octets handed to the kernel at once when something is repeated: larger blocks did not send faster on loopback."""

STREAM_BLOCK = 64 * 1024
"""The same for what must be made while it is sent."""

STALL = 1.0
"""Seconds without one octet of progress after which the target has stopped reading."""

MOST_PIECES = 256
"""Small writes of one send; what is left goes out whole, so that a large body does not take for ever."""

_RESET_ON_CLOSE, _NO_LINGER = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)

_IP_MINTTL, _IPV6_MINHOPCOUNT = 21, 73
"""Linux, include/uapi/linux/in.h and in6.h: a segment whose time to live is below the option's value is dropped."""

_FARTHEST = 255
"""No segment has a larger time to live; one that was sent with less is below it (RFC 5082)."""

_DEFAULTS = {
    socket.AF_INET: ("/proc/sys/net/ipv4/ip_default_ttl",),
    socket.AF_INET6: ("/proc/sys/net/ipv6/conf/all/hop_limit", "/proc/sys/net/ipv6/conf/lo/hop_limit"),
}
"""Where Linux keeps the time to live of what it sends; 64 unless somebody changed it (ip(7), ipv6(7))."""

ACKNOWLEDGED = 0.1
"""Seconds in which a living target's kernel has acknowledged all that came: it delays that by up to 40 ms."""


class Stalled(Exception):
    """The target took nothing for STALL seconds."""


@dataclass(slots=True)
class Meter:
    """Octets that all peers of a trial have sent so far, which the observer reads beside every sample; and complete
    messages that they have received. ``tap`` is given the frames of each, where somebody wants them."""

    started: float = field(default_factory=perf_counter)
    sent: int = 0
    messages: int = 0
    tap: Callable[[tuple[bytes, ...]], None] | None = None

    def now(self) -> float:
        """Seconds since the attack began."""
        return perf_counter() - self.started


def reset(sock: trio.socket.SocketType | socket.socket) -> None:
    """Close with RST (``SO_LINGER`` 0 seconds); a plain close on a unix socket."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError:
        pass  # already dead
    sock.close()


async def acknowledged(sock: trio.socket.SocketType, within: float = ACKNOWLEDGED) -> int:
    """Wait until the other side has acknowledged all that was sent; octets for which it has not ``within`` seconds."""
    left = array.array("i", [0])
    deadline = trio.current_time() + within
    while True:
        try:
            fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left)
        except (OSError, ValueError):
            return 0  # closed meanwhile
        if not left[0] or trio.current_time() >= deadline:
            return left[0]
        await trio.sleep(0.002)


def vanish(sock: trio.socket.SocketType) -> str:
    """Take no segment from the other side any more, so that none is acknowledged; empty, or why that cannot be done.

    The kernel drops what has a smaller time to live than we ask for, before TCP sees it (Linux
    ``net/ipv4/tcp_ipv4.c:tcp_v4_rcv``, ``net/ipv6/tcp_ipv6.c:tcp_v6_rcv``): the other side meets the silence of a cut
    cable, and its own retransmissions. Anyone may ask that for a socket of his own, so neither root nor a network
    namespace is needed. (A socket filter does the same, but not for everyone on every Linux.) What we know to have
    arrived is acknowledged first. What the other side had not acknowledged itself goes on being sent again, so wait for
    ``acknowledged``. Whatever closes the socket later, the end of this process too, resets it.
    """
    if sock.family == socket.AF_UNIX:
        return "an ipc connection has no segments to leave unanswered"
    if any(_setting(path) >= _FARTHEST for path in _DEFAULTS[socket.AddressFamily(sock.family)]):
        return "segments are sent with the largest time to live here, so that none can be dropped for it"
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, _FARTHEST)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, _FARTHEST)  # an IPv6 socket may speak IPv4 (ipv6(7))
    except OSError as error:
        return f"segments cannot be told to be dropped here ({error.strerror})"
    return ""


def reappear(sock: trio.socket.SocketType) -> None:
    """Undo :func:`vanish`: what the other side sends again is taken, and acknowledged."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 0)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, 0)
    except OSError:
        pass  # already dead, or closed


def _setting(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0


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
