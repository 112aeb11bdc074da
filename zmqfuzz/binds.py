"""Where a program may listen: the list that is declared, and what of its listeners the list does not hold.

Contract: pure. An entry is an endpoint in which the port or the path may be left open: ``tcp://127.0.0.1:*``,
``tcp://10.0.0.0/8:5555-5560``, ``tcp://[::1]:5555``, ``tcp://localhost:*`` (any loopback address), ``tcp://*:5555``
(every address), ``ipc://*``, ``ipc:///run/app/*``, ``ipc://@app*`` (an abstract name; ``ipc://*`` holds none, as they
have no permissions, unix(7)). Nothing is looked up.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from zmqfuzz.errors import UsageError

__all__ = ["Bind", "allows", "every_address", "parse_expose"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_EXAMPLE = "write, for example, tcp://127.0.0.1:* or ipc:///run/app/*."
_LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_ANY: tuple[Network, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Bind:
    """One entry: the networks and ports of tcp, or the pattern of an ipc path."""

    networks: tuple[Network, ...] = ()
    ports: range = range(0)
    path: str = ""

    def holds(self, bound: str) -> bool:
        """Whether a listener at ``bound``, an endpoint as the kernel shows it, is meant by this entry.

        A listener at the wildcard is at every address, and only an entry for every address of its kind holds it.
        """
        if bound.startswith("ipc://"):
            name = bound.removeprefix("ipc://")
            return name.startswith("@") == self.path.startswith("@") and fnmatch.fnmatchcase(name, self.path)
        address, port = _place(bound)
        if port not in self.ports:
            return False
        if address.is_unspecified:
            wanted = _ANY if address.version == 6 else _ANY[:1]  # a socket at [::] takes IPv4, too (ipv6(7))
            return all(network in self.networks for network in wanted)
        return any(address.version == network.version and address in network for network in self.networks)


def parse_expose(value: object) -> tuple[str, ...]:
    """Read a list of entries, or one text with commas between them; each is checked. Raises UsageError."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{value!r} is no list of endpoints; {_EXAMPLE}")
    entries = tuple(word.strip() for word in words)
    for entry in entries:
        _read(entry)
    return entries


def allows(entries: Iterable[str], bound: str) -> bool:
    """Whether one of the ``entries`` holds a listener at ``bound``. Raises UsageError: an entry cannot be read."""
    return any(_read(entry).holds(bound) for entry in entries)


def every_address(bound: str) -> bool:
    """Whether a listener at ``bound`` is at a wildcard."""
    return bound.startswith("tcp://") and _place(bound)[0].is_unspecified


def _place(bound: str) -> tuple[Address, int]:
    host, _, port = bound.removeprefix("tcp://").rpartition(":")
    address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, int(port)


def _read(entry: str) -> Bind:
    transport, mark, rest = entry.partition("://")
    if transport not in ("tcp", "ipc") or not mark or not rest:
        raise UsageError(f"{entry!r} is no endpoint of tcp or ipc; {_EXAMPLE}")
    if transport == "ipc":
        return Bind(path=rest)
    host, colon, ports = rest.rpartition(":")
    if not colon or not host:
        raise UsageError(f"{entry!r} has no host or no port; {_EXAMPLE}")
    return Bind(_networks(entry, host), _ports(entry, ports))


def _networks(entry: str, host: str) -> tuple[Network, ...]:
    if host == "localhost":
        return _LOOPBACK
    if host in ("*", "[::]"):
        return _ANY
    if host == "0.0.0.0":
        return _ANY[:1]
    try:
        return (ipaddress.ip_network(host.replace("[", "").replace("]", ""), strict=False),)
    except ValueError:
        raise UsageError(
            f"{host!r} in {entry!r} is no address or network; give the address, localhost, or * for every address."
        ) from None


def _ports(entry: str, text: str) -> range:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    first, last = (1, 65535) if text == "*" else (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise UsageError(f"The port {text!r} in {entry!r} is no number from 1 to 65535, range or *; {_EXAMPLE}")
    return range(first, last + 1)
