"""The proxy under trio: listens, connects each client to the other side, and keeps the faults that are set."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from dataclasses import replace

import trio

from zmqfuzz.endpoints import Endpoint, address_of, check_allowed, connect_soon, listen, parse
from zmqfuzz.errors import Inconclusive, UsageError
from zmqfuzz.fault import BOTH, Fault
from zmqfuzz.notes import why
from zmqfuzz.proxy.flow import Setting
from zmqfuzz.proxy.link import Link, shut
from zmqfuzz.proxy.record import Recorder
from zmqfuzz.writer import reset, vanish

__all__ = ["Engine", "place"]

ANYWHERE = "tcp://127.0.0.1:0"
"""A free port of the loopback."""

_NEAR = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def place(endpoint: str, allowed: tuple[str, ...] = ()) -> Endpoint:
    """Where the server is; a wildcard, which sockets that are bound to all say of themselves, is on this machine.

    Raises UsageError.
    """
    where = parse(endpoint)
    return check_allowed(replace(where, host=_NEAR.get(where.host, where.host)), allowed)


class Engine:
    """``to``: the server. Call ``open``, then ``serve`` until it is cancelled, then ``close``."""

    def __init__(
        self, to: str, at: str = ANYWHERE, record: Recorder | None = None, allowed: Iterable[str] = ()
    ) -> None:
        self._allowed = tuple(allowed)
        self._to, self._at = place(to, self._allowed), at
        self.record = record or Recorder()
        self.endpoint = ""
        self.settings: list[Setting] = []
        self._links: list[Link] = []
        self._count = 0
        self._sock: trio.socket.SocketType | None = None

    async def open(self) -> None:
        """Listen. Raises UsageError: the place is taken or not allowed."""
        self._sock = await listen(self._at, self._allowed)
        self.endpoint = address_of(self._sock)

    async def serve(self) -> None:
        """Take connections until this is cancelled."""
        assert self._sock is not None
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    client, _ = await self._sock.accept()
                except OSError as error:
                    self.record.note(0, "refused", f"cannot take a connection: {why(error)}")
                    await trio.sleep(0.05)
                    continue
                self._count += 1
                nursery.start_soon(self._link, self._count, client)

    def close(self) -> None:
        """Stop listening."""
        if self._sock is not None:
            shut(self._sock)
            self._sock.close()
        if self.endpoint.startswith("ipc:///"):
            with contextlib.suppress(OSError):
                os.unlink(self.endpoint.removeprefix("ipc://"))

    async def _link(self, number: int, client: trio.socket.SocketType) -> None:
        self.record.opened(number)
        self.record.note(number, "connect", f"a client has connected; on to {self._to}")
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            server = await connect_soon(str(self._to))
        except (OSError, trio.TooSlowError, UsageError) as error:
            self.record.note(number, "refused", f"no connection to {self._to}: {why(error)}")
            reset(client)
            self.record.ended(number, "refused")
            return
        except BaseException:
            client.close()
            raise
        link = Link(number, client, server, self.record)
        for setting in self.settings:
            link.set(setting)
        self._links.append(link)
        try:
            await link.run()
        finally:
            self._links.remove(link)

    # faults

    def set(self, fault: Fault) -> Setting:
        """From now on, on all connections that are and will be. Raises Inconclusive: it cannot be done here."""
        if fault.kind == "vanish":
            self._can_vanish(fault)
        setting = Setting(fault)
        self.settings.append(setting)
        for link in self._links:
            link.set(setting)
        return setting

    def heal(self, setting: Setting) -> None:
        """It is over; once is enough."""
        setting.healed = True
        if setting in self.settings:
            self.settings.remove(setting)
            for link in self._links:
                link.heal(setting)

    def _can_vanish(self, fault: Fault) -> None:
        sides = {"client": parse(self.endpoint), "server": self._to}
        for name, where in sides.items():
            if fault.side not in (name, BOTH):
                continue
            six = ":" in where.host
            family = socket.AF_UNIX if where.transport == "ipc" else socket.AF_INET6 if six else socket.AF_INET
            with trio.socket.socket(family, socket.SOCK_STREAM) as tried:
                obstacle = vanish(tried)
            if obstacle:
                raise Inconclusive(f"The proxy cannot vanish from the {name}: {obstacle}; hang is possible.")
