"""Two plain sockets with the proxy between them: what arrives, to the octet."""

from __future__ import annotations

import socket
import struct

from tests.proxy.pairs import PATIENCE
from zmqfuzz.proxy import Proxy

__all__ = ["Ends", "received", "segments"]

DATA_SEGMENTS_IN = 152
"""Where struct tcp_info has them (Linux include/uapi/linux/tcp.h)."""


def received(sock: socket.socket, many: int) -> bytes:
    """So many octets."""
    sock.settimeout(PATIENCE / 1000)
    octets = b""
    while len(octets) < many:
        piece = sock.recv(many - len(octets))
        assert piece, f"ended after {octets!r}"
        octets += piece
    return octets


def segments(sock: socket.socket) -> int:
    """How many segments with octets have come."""
    count: int = struct.unpack_from("=I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), DATA_SEGMENTS_IN)[
        0
    ]
    return count


class Ends:
    """Two plain sockets with the proxy between them."""

    def __init__(self, **options: int) -> None:
        self.door = socket.create_server(("127.0.0.1", 0))
        self.proxy = Proxy(f"tcp://127.0.0.1:{self.door.getsockname()[1]}", **options)  # type: ignore[arg-type]

    def joined(self) -> tuple[socket.socket, socket.socket]:
        """The near and the far end of a new connection."""
        near = socket.create_connection(("127.0.0.1", int(self.proxy.endpoint.rpartition(":")[2])))
        self.door.settimeout(PATIENCE / 1000)
        return near, self.door.accept()[0]
