"""The sockets of a process tree, as the system sees them: where it listens, and which of its connections are dead.

Contract: processes of others whose descriptors may not be read count as having none. Linux only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zmqfuzz.processes import entries
from zmqfuzz.procfs import TcpSocket, TcpState, parse_tcp, parse_unix_listeners, socket_inode

__all__ = ["Listener", "abandoned", "listening"]


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A listening stream socket. ``bound`` is where it listens, ``reach`` how to connect to it from this machine.

    They differ for wildcards (``0.0.0.0`` is reached at ``127.0.0.1``, ``::`` at ``::1``) and for relative paths.
    Inodes grow: they tell in which order sockets were made.
    """

    reach: str
    bound: str
    pid: int
    inode: int = field(default=0, compare=False)


def _sockets(pids: Iterable[int]) -> dict[int, int]:
    """Socket inode to the first of the processes that holds it."""
    found: dict[int, int] = {}
    for pid in pids:
        for number in entries(f"/proc/{pid}/fd"):
            try:
                inode = socket_inode(os.readlink(f"/proc/{pid}/fd/{number}"))
            except OSError:
                continue
            if inode is not None:
                found.setdefault(inode, pid)
    return found


def _one_per_network(pids: Iterable[int]) -> list[int]:
    """One process for each network namespace: /proc/PID/net shows the sockets of its own."""
    found: dict[str, int] = {}
    for pid in pids:
        try:
            found.setdefault(os.readlink(f"/proc/{pid}/ns/net"), pid)
        except OSError:
            continue
    return list(found.values())


def _lines(path: str) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file
    except OSError:
        return


def _tcp(pid: int) -> Iterator[Iterator[TcpSocket]]:
    for table in ("tcp", "tcp6"):
        yield parse_tcp(_lines(f"/proc/{pid}/net/{table}"))


def listening(pids: Iterable[int]) -> tuple[Listener, ...]:
    """Where these processes listen: TCP over IPv4 and IPv6, and Unix stream sockets, abstract ones as ``ipc://@name``.

    Sorted by how they are reached. A process of another user is not seen.
    """
    members = tuple(pids)
    inodes = _sockets(members)
    found: dict[str, Listener] = {}

    def keep(reach: str, bound: str, inode: int) -> None:
        if inode in inodes:
            found.setdefault(reach, Listener(reach, bound, inodes[inode], inode))

    for pid in _one_per_network(members) if inodes else ():
        for sockets in _tcp(pid):
            for entry in sockets:
                # net/ipv4/tcp_ipv4.c:tcp_get_idx: listeners come first; behind them may stand thousands of others.
                if entry.state != TcpState.LISTEN:
                    break
                near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(entry.host, entry.host)
                keep(_tcp_address(near, entry.port), _tcp_address(entry.host, entry.port), entry.inode)
        for door in parse_unix_listeners(_lines(f"/proc/{pid}/net/unix")):
            if door.inode in inodes:
                keep("ipc://" + _absolute(door.path, inodes[door.inode]), f"ipc://{door.path}", door.inode)
    return tuple(sorted(found.values()))


def _tcp_address(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _absolute(path: str, pid: int) -> str:
    if path.startswith(("@", "/")):
        return path
    try:
        return os.path.normpath(os.path.join(os.readlink(f"/proc/{pid}/cwd"), path))
    except OSError:
        return path


_STATES = re.compile(rb"^ *\d+: \S+ \S+ ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ ([1-9]\d*) ", re.MULTILINE)
"""State and inode of each socket that somebody owns (TIME_WAIT has none) in net/ipv4/tcp_ipv4.c:get_tcp4_sock; one
expression, as these tables are long where many connections were made."""

_OTHERS = ("unix", "udp", "udp6", "netlink", "packet", "raw", "raw6", "icmp", "icmp6")


def abandoned(pids: Iterable[int]) -> int:
    """How many connections these processes hold although their peers are gone.

    TCP sockets in CLOSE_WAIT (the peer has closed, the program has not) and closed ones, which are in no table of the
    kernel (the peer has reset). Connections that the program has not accepted are owned by nobody and are not
    counted. Costs a pass over all connections of the machine: ask once a round.
    """
    members = tuple(pids)
    inodes = set(_sockets(members))
    if not inodes:
        return 0
    waiting, elsewhere = 0, set[int]()
    for pid in _one_per_network(members):
        for table in ("tcp", "tcp6"):
            for state, inode in _STATES.findall(b"".join(_lines(f"/proc/{pid}/net/{table}"))):
                elsewhere.add(int(inode))
                waiting += int(state, 16) == TcpState.CLOSE_WAIT and int(inode) in inodes
        for table in _OTHERS:
            elsewhere |= _inodes(f"/proc/{pid}/net/{table}")
    return waiting + len(inodes - elsewhere)


def _inodes(path: str) -> set[int]:
    """What stands under the heading Inode in a table of /proc/net."""
    lines = _lines(path)
    heading = next(lines, b"").lower().split()
    # The heading of udp, raw and icmp has "tx_queue rx_queue" and "tr tm->when" where a line has one field each.
    known = {b"num": 6, b"sk": -1}
    column = 9 if b"tr" in heading else known.get(heading[0].rstrip(b":"), -1) if heading else -1
    found = set()
    for line in lines:
        fields = line.split()
        try:
            found.add(int(fields[column]))
        except (ValueError, IndexError):
            continue
    return found
