"""Endpoints: what a user may write, what may be attacked, and the plain sockets behind them.

Contract: ``tcp://host:port`` and ``ipc://path`` (``ipc://@name`` is an abstract socket, Linux only). Whatever is
wrong with the text is a UsageError of one sentence. Sockets are trio's low-level ones: a stream object on top
halves the case rate (measured, see the design notes).
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import stat
import time
from dataclasses import dataclass

import trio

from zmqfuzz.errors import UsageError

__all__ = [
    "NARROW",
    "Endpoint",
    "Place",
    "address_of",
    "check_allowed",
    "connect",
    "connect_soon",
    "free_port",
    "is_loopback",
    "listen",
    "parse",
]

_TRANSPORTS = ("tcp", "ipc")
_PATH_MAX = 107  # sockaddr_un.sun_path holds 108 octets, the last one a zero (unix(7))
_BACKLOG = 1024
_MOST_SOURCES = 200
_MOST_WAITS = 50  # in a row, for a listener that does not accept

NARROW = 2048
_SEGMENT = 536
"""Octets of a receive buffer below which a connection is narrow, and of its segments (the least that every host takes,
RFC 9293 section 3.7.1). Linux gives the sender a buffer of some segments (``net/ipv4/tcp_input.c:tcp_sndbuf_expand``),
which are 64 KiB on loopback: 2.3 to 4.1 MiB wait there for a peer that does not read, 215 to 650 KiB in a narrow one
(it remembers earlier connections, tcp_metrics(8))."""

_IP_BIND_ADDRESS_NO_PORT = (
    24  # ip(7): the port is chosen at connect, so that each address has all ports for each target
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A parsed endpoint: ``host`` and ``port`` for tcp, ``path`` for ipc (abstract names begin with ``@``)."""

    transport: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.transport == "ipc":
            return f"ipc://{self.path}"
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"

    @property
    def unix_name(self) -> str:
        """The path as the socket calls want it: an abstract name begins with a zero octet."""
        return "\0" + self.path[1:] if self.path.startswith("@") else self.path


def parse(text: str, *, lowest_port: int = 1) -> Endpoint:
    """Read an endpoint; ``lowest_port=0`` lets a listener leave the port to the system. Raises UsageError."""
    transport, mark, rest = text.partition("://")
    if not mark:
        hint = f"tcp://{text}" if re.search(r":\d+$", text) else "tcp://127.0.0.1:5555"
        raise UsageError(f"The endpoint {text!r} names no transport; write it with one, for example {hint}.")
    if transport not in _TRANSPORTS:
        raise UsageError(
            f"The transport {transport!r} in {text!r} is not supported; use tcp://host:port or ipc://path."
        )
    return _parse_ipc(text, rest) if transport == "ipc" else _parse_tcp(text, rest, lowest_port)


def _parse_ipc(text: str, path: str) -> Endpoint:
    if path in ("", "@", "*") or "\0" in path:
        raise UsageError(f"The endpoint {text!r} names no socket; write a path, for example ipc:///tmp/app.sock.")
    if len(os.fsencode(path)) > _PATH_MAX:
        raise UsageError(f"The path in {text!r} is longer than {_PATH_MAX} octets, the system's limit; shorten it.")
    return Endpoint("ipc", path=path)


def _parse_tcp(text: str, rest: str, lowest_port: int) -> Endpoint:
    host, colon, port = rest.rpartition(":")
    if not colon or not host:
        raise UsageError(f"The endpoint {text!r} is not host and port; write, for example, tcp://127.0.0.1:5555.")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not lowest_port <= int(port) <= 65535:
        raise UsageError(f"The port {port!r} in {text!r} is not a number from {lowest_port} to 65535; correct it.")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise UsageError(f"{host!r} in {text!r} is not an IPv6 address; write, for example, [::1].") from None
    elif ":" in host:
        raise UsageError(f"The IPv6 address in {text!r} needs brackets; write tcp://[{host}]:{port}.")
    elif host != "*" and not re.fullmatch(r"[A-Za-z0-9_.-]+", host):
        raise UsageError(f"The host {host!r} in {text!r} is not a name or an address; correct it.")
    return Endpoint("tcp", host=host, port=int(port))


def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(endpoint: str | Endpoint) -> bool:
    """Whether it can only reach this machine: ipc, a loopback address, or a name with loopback addresses only.

    A name is looked up (this blocks). Raises UsageError when it has no address.
    """
    where = parse(endpoint) if isinstance(endpoint, str) else endpoint
    if where.transport == "ipc":
        return True
    if (address := _numeric(where.host)) is not None:
        return address.is_loopback
    try:
        answers = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UsageError(f"The host {where.host!r} in {where} has no address; check its spelling.") from None
    found = [_numeric(str(answer[4][0]).partition("%")[0]) for answer in answers]
    return bool(found) and all(address is not None and address.is_loopback for address in found)


def check_allowed(endpoint: str | Endpoint, allowed: tuple[str, ...] = ()) -> Endpoint:
    """The endpoint, if zmqfuzz may attack it or listen there: loopback, ipc, or a host in ``allowed``.

    Raises UsageError with the reason and the remedy.
    """
    where = parse(endpoint) if isinstance(endpoint, str) else endpoint
    if where.transport == "ipc":
        return where
    numeric = _numeric(where.host)
    if where.host == "*" or (numeric is not None and numeric.is_unspecified):
        raise UsageError(
            f"{where} is a wildcard, not a place; name one address, for example tcp://127.0.0.1:{where.port}."
        )
    if where.host in allowed or is_loopback(where):
        return where
    raise UsageError(
        f"{where} is not on this machine's loopback, and zmqfuzz only attacks what is yours; "
        f"if this host is, add --allow-remote {where.host}."
    )


async def connect(endpoint: str | Endpoint, buffer: int | None = None) -> trio.socket.SocketType:
    """A connected low-level socket, TCP_NODELAY set. Raises OSError (refused, unreachable) and UsageError (text).

    A numeric address and a path need no look-up; a name's addresses are tried in turn. ``buffer`` is the size in
    octets of our receive buffer (None: the system's), set before connecting; below NARROW segments are small, too.
    """
    where = parse(endpoint) if isinstance(endpoint, str) else endpoint
    if where.transport == "ipc":
        return await _connect(trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), where.unix_name, buffer)
    numeric = _numeric(where.host)
    if isinstance(numeric, ipaddress.IPv4Address):
        return await _connect(_tcp_socket(socket.AF_INET), (str(numeric), where.port), buffer)
    if numeric is not None:
        return await _connect(_tcp_socket(socket.AF_INET6), (where.host, where.port), buffer)
    failure = OSError(f"{where.host} has no address")
    for family, _, _, _, address in await trio.socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM):
        try:
            return await _connect(_tcp_socket(family), address, buffer)
        except OSError as error:
            failure = error
    raise failure


async def connect_soon(endpoint: str, buffer: int | None = None, /) -> trio.socket.SocketType:
    """As :func:`connect`, within 3 seconds: for peers that attack. Raises OSError and trio.TooSlowError."""
    with trio.fail_after(3.0):
        return await connect(endpoint, buffer)


def _tcp_socket(family: int) -> trio.socket.SocketType:
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _narrow(sock: socket.socket | trio.socket.SocketType, buffer: int) -> None:
    if buffer < NARROW and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT)


async def _connect(sock: trio.socket.SocketType, address: object, buffer: int | None) -> trio.socket.SocketType:
    try:
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            _narrow(sock, buffer)
        await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


class Place:
    """Where many short connections are opened, one after another and without waiting: an address, or a path."""

    def __init__(self, family: int, address: tuple[str, int] | str) -> None:
        self._family = family
        self._address = address
        self._loopback = family != socket.AF_UNIX and ipaddress.ip_address(address[0]).is_loopback
        self._source = 1
        self._waited = 0

    @classmethod
    def at(cls, endpoint: str) -> Place | None:
        """The place behind ``endpoint``; None for a host name, which would have to be looked up."""
        where = parse(endpoint)
        if where.transport == "ipc":
            return cls(socket.AF_UNIX, where.unix_name)
        numeric = _numeric(where.host)
        if isinstance(numeric, ipaddress.IPv4Address):
            return cls(socket.AF_INET, (str(numeric), where.port))
        return None if numeric is None else cls(socket.AF_INET6, (where.host, where.port))

    def opened(self, buffer: int | None = None) -> tuple[socket.socket, bool]:
        """A non-blocking socket, and whether it is connected, not still connecting; ``buffer`` as for ``connect``.

        Over loopback it is, as a rule, before connect(2) returns. Raises OSError. When this machine's ports are used
        up, further ones come from another address of its loopback.
        """
        while True:
            sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            number = self._begin(sock, buffer)
            if number == errno.EINPROGRESS:
                number = sock.connect_ex(self._address)
            waits = number == errno.EALREADY and self._loopback and self._waited < _MOST_WAITS
            self._waited = 0 if not number else self._waited + waits
            if number in (0, errno.EALREADY) and not waits:
                return sock, not number
            sock.close()
            if waits or (number == errno.EAGAIN and self._family == socket.AF_UNIX):
                time.sleep(0.002)  # the target's backlog is full; over TCP the kernel would try again after a second
            elif number == errno.EADDRNOTAVAIL and self._family == socket.AF_INET and self._source < _MOST_SOURCES:
                self._source += 1
            else:
                raise OSError(number, os.strerror(number))

    def _begin(self, sock: socket.socket, buffer: int | None) -> int:
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            _narrow(sock, buffer)
        if self._family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._source > 1 and self._loopback:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.0.{self._source}", 0))
        return sock.connect_ex(self._address)


async def listen(endpoint: str | Endpoint, allowed: tuple[str, ...] = ()) -> trio.socket.SocketType:
    """A listening low-level socket; port 0 leaves the choice to the system (see :func:`address_of`).

    Raises UsageError when the place is not allowed, not ours, or taken. The path of an ipc socket stays until the
    caller removes it; one that a dead program left behind is replaced.
    """
    where = check_allowed(parse(endpoint, lowest_port=0) if isinstance(endpoint, str) else endpoint, allowed)
    if where.transport == "ipc":
        _remove_stale(where)
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address: object = where.unix_name
    else:
        (family, _, _, _, address), *_ = await trio.socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        await sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise UsageError(f"Cannot listen on {where} ({error.strerror}); choose another endpoint.") from error
    return sock


def _remove_stale(where: Endpoint) -> None:
    try:
        if where.path.startswith("@") or not stat.S_ISSOCK(os.stat(where.path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(where.path)
    except ConnectionRefusedError:
        os.unlink(where.path)
    except OSError:
        return


def address_of(sock: trio.socket.SocketType) -> str:
    """Where a listening socket listens, as an endpoint."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        text = os.fsdecode(name)
        return "ipc://" + ("@" + text[1:] if text.startswith("\0") else text)
    return str(Endpoint("tcp", host=name[0], port=name[1]))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
