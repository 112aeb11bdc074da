"""The other side of a TCP connection of ours, as the kernel of this machine shows it: is it held, and by a process?

Contract: one question to sock_diag(7) for one connection, some 30 microseconds whatever else is open, by anyone. Where
it cannot be answered (the other side is on another machine or in another network namespace, or the kernel has no
inet_diag) the answer is None, as for a connection that is not there. Linux only.

Sources: sock_diag(7); Linux ``include/uapi/linux/inet_diag.h``, ``net/ipv4/inet_diag.c:inet_diag_dump_one_icsk``.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

import trio

__all__ = ["FarSide", "Held"]

_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1
"""``NETLINK_SOCK_DIAG``, ``SOCK_DIAG_BY_FAMILY``, ``NLM_F_REQUEST``."""

_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI")
_PORTS = struct.Struct("!HH")
_ANSWER = struct.Struct("=4x4s44x8xIII")
"""struct nlmsghdr; inet_diag_req_v2 in front of its id; the ports of that; of inet_diag_msg the ports, the octets that
are not acknowledged, the user and the inode."""

_ANYWHERE, _NO_COOKIE, _ALL = bytes(4), b"\xff" * 8, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that a process holds: the socket's ``inode``, and octets that its peer has not acknowledged."""

    inode: int
    unacknowledged: int


class FarSide:
    """The other side of ``ours``, which is connected over TCP. Raises OSError: it is not (any more)."""

    def __init__(self, ours: trio.socket.SocketType) -> None:
        family, theirs, here = ours.family, ours.getpeername(), ours.getsockname()
        addresses = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host in (theirs[0], here[0]))
        question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL)
        self._ports = _PORTS.pack(theirs[1], here[1])
        question += self._ports + addresses + _ANYWHERE + _NO_COOKIE
        self._question = _HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 0, 0) + question

    def look(self) -> Held | None:
        """The connection, while a process holds it; None: nobody does, or it cannot be seen. Never raises."""
        try:
            with socket.socket(getattr(socket, "AF_NETLINK", -1), socket.SOCK_RAW, _SOCK_DIAG) as asked:
                asked.settimeout(1.0)
                asked.sendto(self._question, (0, 0))
                answer = asked.recv(os.sysconf("SC_PAGE_SIZE"))
            kind = _HEADER.unpack_from(answer)[1]
            ports, unacknowledged, _, inode = _ANSWER.unpack_from(answer, _HEADER.size)
        except (OSError, struct.error):
            return None
        # Where the connection is not there any more the kernel tells of the listener, whose other port is 0.
        return Held(inode, unacknowledged) if kind == _BY_FAMILY and ports == self._ports and inode else None
