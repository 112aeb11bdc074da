"""Text of /proc turned into numbers: no I/O, standard library only.

Contract: every reader takes what the kernel wrote and returns plain values. A line it cannot read is skipped where
a table is read, and raises ValueError where one record is read. Linux only in meaning; runs anywhere.

Sources: proc(5); Linux ``fs/proc/array.c:do_task_stat``, ``net/ipv4/tcp_ipv4.c:get_tcp4_sock``,
``net/ipv6/tcp_ipv6.c:get_tcp6_sock``, ``net/unix/af_unix.c:unix_seq_show``.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "Stat",
    "Statm",
    "TcpSocket",
    "TcpState",
    "UnixListener",
    "parse_high_water",
    "parse_open_files",
    "parse_stat",
    "parse_statm",
    "parse_switches",
    "parse_tcp",
    "parse_unix_listeners",
    "socket_inode",
]


class TcpState(IntEnum):
    """Socket states as the kernel numbers them (``include/net/tcp_states.h``)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12
    BOUND_INACTIVE = 13


@dataclass(frozen=True, slots=True)
class Stat:
    """What is used of /proc/PID/stat. Times in clock ticks; ``starttime`` since boot."""

    pid: int
    state: str
    ppid: int
    pgrp: int
    session: int
    utime: int
    stime: int
    threads: int
    starttime: int

    @property
    def alive(self) -> bool:
        """False for a zombie or a dying process: it has ended, only its parent has not looked."""
        return self.state not in "ZXx"


@dataclass(frozen=True, slots=True)
class Statm:
    """What is used of /proc/PID/statm, in pages."""

    virtual: int
    resident: int


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One line of /proc/net/tcp or tcp6. ``inode`` is 0 while no process has accepted the connection."""

    host: str
    port: int
    state: int
    inode: int


@dataclass(frozen=True, slots=True)
class UnixListener:
    """A listening line of /proc/net/unix; an abstract name begins with ``@``, a path may be relative."""

    path: str
    inode: int


def parse_stat(record: bytes) -> Stat:
    """Read /proc/PID/stat. Raises ValueError.

    The command name stands in parentheses and may hold spaces and parentheses itself: the last one ends it.
    """
    head, _, rest = record.rpartition(b")")
    fields = rest.split()
    if len(fields) < 20:
        raise ValueError("not a /proc/PID/stat record")
    return Stat(
        pid=int(head.split(b" ", 1)[0]),
        state=fields[0].decode("ascii"),
        ppid=int(fields[1]),
        pgrp=int(fields[2]),
        session=int(fields[3]),
        utime=int(fields[11]),
        stime=int(fields[12]),
        threads=int(fields[17]),
        starttime=int(fields[19]),
    )


def parse_statm(record: bytes) -> Statm:
    """Read /proc/PID/statm. Raises ValueError."""
    fields = record.split(None, 2)
    if len(fields) < 2:
        raise ValueError("not a /proc/PID/statm record")
    return Statm(int(fields[0]), int(fields[1]))


def parse_switches(status: bytes) -> int:
    """Context switches of a thread, voluntary and not, in /proc/PID/task/TID/status; 0 where there are none."""
    lines = (line.split() for line in status.splitlines() if b"ctxt_switches:" in line)
    return sum(int(fields[1]) for fields in lines if len(fields) == 2 and fields[1].isdigit())


def parse_high_water(status: bytes) -> int:
    """The largest resident set that a process ever had, in octets, of /proc/PID/status (VmHWM); 0 where it has none."""
    for line in status.splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def parse_open_files(limits: bytes) -> int | None:
    """The soft limit of open files in /proc/PID/limits; None where there is none, or nothing to read."""
    for line in limits.splitlines():
        if line.startswith(b"Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else None
    return None


def parse_tcp(lines: Iterable[bytes]) -> Iterator[TcpSocket]:
    """Read the lines of /proc/net/tcp or /proc/net/tcp6; an IPv4 address mapped into IPv6 is given as IPv4."""
    for line in lines:
        fields = line.split(None, 10)
        if len(fields) < 10 or b":" not in fields[1]:
            continue
        try:
            host, port = fields[1].split(b":")
            yield TcpSocket(_address(host), int(port, 16), int(fields[3], 16), int(fields[9]))
        except ValueError:
            continue


def _address(text: bytes) -> str:
    """The kernel prints an address as 32-bit words of this machine's byte order, each in hexadecimal."""
    packed = b"".join(int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if packed[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


_ACCEPTS = 0x10000  # include/uapi/linux/net.h: __SO_ACCEPTCON, set by listen(2)


def parse_unix_listeners(lines: Iterable[bytes]) -> Iterator[UnixListener]:
    """Read the listening, named sockets of /proc/net/unix."""
    for line in lines:
        fields = line.rstrip(b"\n").split(None, 7)
        if len(fields) < 8:
            continue
        try:
            if int(fields[3], 16) & _ACCEPTS:
                yield UnixListener(fields[7].decode("utf-8", "surrogateescape"), int(fields[6]))
        except ValueError:
            continue


def socket_inode(link: str) -> int | None:
    """The inode in ``socket:[123]``, the target of a /proc/PID/fd link; None for any other descriptor."""
    if link.startswith("socket:[") and link.endswith("]"):
        number = link[8:-1]
        return int(number) if number.isdecimal() else None
    return None
