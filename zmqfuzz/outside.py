"""What the kernel and the wire show of a program's listeners, in any language: nothing of it needs the program's help.

Contract: only loopback and ipc are asked. Nothing reaches the application: a size is asked by announcing a frame of it
and sending none of it. What cannot be told is said so. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from zmqfuzz.audit.outer import Outer
from zmqfuzz.endpoints import connect, is_loopback
from zmqfuzz.permits import permissions
from zmqfuzz.procfs import TcpState, parse_tcp, socket_inode
from zmqfuzz.sockets import Listener
from zmqfuzz.targets.identify import identify
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Greeting, encode, peer_type

__all__ = ["MOST", "Measured", "look_at", "size_limit"]

MOST = 64 << 20
"""The largest frame that is announced: libzmq asks the allocator for as much, and touches none of it."""

_ANSWER = 1.0
_REFUSED = 0.7
"""Seconds for a greeting, and for a connection to end after a frame that is too large (it takes microseconds)."""

_SILENT = 3.0

_PIDFD_OPEN, _PIDFD_GETFD = 434, 438  # the same on every architecture (pidfd_open(2), pidfd_getfd(2))

_KERNEL = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    ("SO_SNDBUF", socket.SOL_SOCKET, socket.SO_SNDBUF),
    ("SO_RCVBUF", socket.SOL_SOCKET, socket.SO_RCVBUF),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one listener: what was seen, in sentences, and as plain data."""

    said: tuple[str, ...]
    seen: Outer

    @property
    def limit(self) -> int | None:
        """The largest frame that it takes, in octets; None: not known, or there is none below MOST."""
        return self.seen.limit


async def look_at(listeners: Iterable[Listener], pids: Iterable[int], seconds: float = _SILENT) -> list[Measured]:
    """Measure each listener; peers that say nothing are watched for ``seconds``."""
    found: list[Measured] = []
    members = tuple(pids)
    for listener in listeners:
        seen = Outer(listener.bound, _name(listener.pid), files=_soft_limit(listener.pid))
        if not is_loopback(listener.reach):
            found.append(Measured(("not asked, it is no endpoint of this machine alone.",), seen))
            continue
        try:
            surface = await identify(listener.reach, _ANSWER)
        except OSError:
            surface = None
        if surface is None:
            found.append(Measured(("it does not speak ZMTP.",), seen))
            continue
        seen = replace(seen, type=surface.socket_type, mechanism=surface.mechanism or "NULL")
        if listener.reach.startswith("ipc:///"):
            anyone, _, why = permissions(listener.reach.removeprefix("ipc://"), f"/proc/{listener.pid}/root")
            seen = replace(seen, anyone=anyone is True, why=why)
        try:
            found.append(await _of_door(seen, surface, members, seconds))
        except OSError:
            found.append(Measured(("it went away while it was looked at.",), seen))
    return found


def _name(pid: int) -> str:
    """The process, as ps(1) shows it; it may be gone."""
    lines = _lines(f"/proc/{pid}/comm")
    return lines[0].decode(errors="replace") if lines else f"process {pid}"


def _soft_limit(pid: int) -> int | None:
    """RLIMIT_NOFILE of another process (proc(5)); None: it cannot be read, or there is none."""
    for line in _lines(f"/proc/{pid}/limits"):
        if line.startswith(b"Max open files") and line.split()[3].isdigit():
            return int(line.split()[3])
    return None


async def _of_door(seen: Outer, surface: Surface, pids: tuple[int, ...], seconds: float) -> Measured:
    kind = surface.socket_type or "a socket that does not tell its type"
    said = [f"{kind}, ZMTP {surface.version}, mechanism {surface.mechanism or 'none'}."]
    known = surface.mechanism == "NULL" and bool(surface.socket_type)
    if known:
        limit, sentence = await _limit_said(surface)
        seen = replace(seen, limit=limit if limit != MOST else None, unlimited=limit == MOST)
        said.append(sentence)
    pings: list[bool | None] = [None]
    cut: list[float | None] = [None]

    async def listen() -> None:
        pings[0] = await _pinged(surface, seconds) if known else None

    async def be_silent() -> None:
        cut[0] = await _silence(surface.address, seconds)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        nursery.start_soon(be_silent)
    seen = replace(seen, cut=cut[0], waited=seconds, pings=pings[0])
    if cut[0] is None:
        said.append(f"a peer that says nothing is still connected after {seconds:g} s.")
    else:
        said.append(f"a peer that says nothing is cut after {cut[0]:.1f} s (HANDSHAKE_IVL).")
    if seen.pings:
        said.append("a peer that has shaken hands is asked whether it lives (HEARTBEAT_IVL).")
    options = await _kernel(surface.address, pids)
    if options:
        said.append(f"the kernel's options of its connections: {options}.")
        match = re.search(r"SO_KEEPALIVE=(\d+)", options)
        seen = replace(seen, keepalive=int(match[1]) if match else None)
    return Measured(tuple(said), seen)


async def _pinged(surface: Surface, seconds: float) -> bool | None:
    """Whether a peer that has shaken hands and then says nothing gets a PING (RFC 37); None: no handshake."""
    sock = await connect(surface.address)
    got = b""
    try:
        await _send(sock, _shaken_hands(surface))
        with trio.move_on_after(seconds):
            while chunk := await sock.recv(4096):
                got += chunk
    except OSError:
        pass
    finally:
        sock.close()
    return b"\x04PING" in got if b"READY" in got else None


def _shaken_hands(surface: Surface) -> bytes:
    kind = peer_type(surface.socket_type)[0].encode()
    body = b"\x05READY" + b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return encode(Greeting()) + bytes((4, len(body))) + body


async def _limit_said(surface: Surface) -> tuple[int | None, str]:
    try:
        limit = await size_limit(surface)
    except OSError:
        return None, "its limit on frames is not known: it did not take our handshake."
    if limit is None:
        return None, "its limit on frames is not known: the answers did not agree."
    if limit >= MOST:
        return limit, f"a frame of {MOST >> 20} MiB may be announced: no MAXMSGSIZE below it."
    return limit, f"the largest frame that it takes is {limit:,} octets (MAXMSGSIZE)."


async def size_limit(surface: Surface) -> int | None:
    """The largest frame that may be announced, by bisection, MOST at most; None where it cannot be told.

    The answer is asked for twice: a machine that is busy may cut late. Raises OSError: no handshake.
    """
    if await _takes(surface, MOST):
        return MOST
    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        if await _takes(surface, middle):
            low = middle
        else:
            high = middle
    sure = (low == 0 or await _takes(surface, low)) and not await _takes(surface, high)
    return low if sure else None


async def _takes(surface: Surface, size: int) -> bool:
    """Whether a peer may announce a frame of ``size`` octets and stay (RFC 37: long frame, flags 2, eight octets)."""
    sock = await connect(surface.address)
    try:
        await _send(sock, _shaken_hands(surface))
        with trio.fail_after(5 * _ANSWER):
            got = b""
            while b"READY" not in got:
                chunk = await sock.recv(4096)
                if not chunk:
                    raise ConnectionResetError("closed in the handshake")
                got += chunk
        head = b"\x02" + size.to_bytes(8, "big") if size > 255 else bytes((0, size))
        await _send(sock, head)
        with trio.move_on_after(_REFUSED):
            try:
                while await sock.recv(4096):
                    pass
            except OSError:
                pass
            return False
        return True
    except trio.TooSlowError:
        raise TimeoutError("no READY") from None
    finally:
        sock.close()


async def _send(sock: trio.socket.SocketType, octets: bytes) -> None:
    while octets:
        octets = octets[await sock.send(octets) :]


async def _silence(address: str, seconds: float) -> float | None:
    """Seconds until a peer that says nothing is cut; None: not within ``seconds``."""
    sock = await connect(address)
    began = trio.current_time()
    try:
        with trio.move_on_after(seconds):
            try:
                while await sock.recv(4096):
                    pass
            except OSError:
                pass
            return trio.current_time() - began
        return None
    finally:
        sock.close()


async def _kernel(address: str, pids: tuple[int, ...]) -> str:
    """Socket options of a connection of ours, on the program's side; empty where the kernel does not let us look."""
    if not address.startswith("tcp:"):
        return ""
    try:
        sock = await connect(address)
    except OSError:
        return ""
    try:
        await _send(sock, encode(Greeting()))
        with trio.move_on_after(_ANSWER):
            await sock.recv(4096)
        for _ in range(10):
            theirs = _accepted(pids, int(address.rpartition(":")[2]))
            for pid, number in theirs:
                options = _options(pid, number)
                if options:
                    return options
            await trio.sleep(0.05)
    except OSError:
        pass
    finally:
        sock.close()
    return ""


def _accepted(pids: tuple[int, ...], port: int) -> list[tuple[int, int]]:
    """Process and descriptor of the connections that were accepted at ``port``."""
    inodes = {
        entry.inode
        for pid in pids[:1]
        for table in ("tcp", "tcp6")
        for entry in parse_tcp(_lines(f"/proc/{pid}/net/{table}"))
        if entry.state == TcpState.ESTABLISHED and entry.port == port
    }
    found = []
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                inode = socket_inode(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                continue
            if inode in inodes:
                found.append((pid, int(name)))
    return found


def _lines(path: str) -> list[bytes]:
    try:
        return Path(path).read_bytes().splitlines()
    except OSError:
        return []


def _options(pid: int, number: int) -> str:
    """The options of another process's socket, through a copy of its descriptor (pidfd_getfd(2), ptrace's rights)."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    handle = syscall(_PIDFD_OPEN, pid, 0)
    if handle < 0:
        return ""
    try:
        copy = syscall(_PIDFD_GETFD, handle, number, 0)
    finally:
        os.close(handle)
    if copy < 0:
        return ""
    with socket.socket(fileno=copy) as theirs:
        return " ".join(f"{name}={theirs.getsockopt(level, option)}" for name, level, option in _KERNEL)
