"""One connection through the proxy: two directions, and what ends or suspends both."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from zmqfuzz.fault import BOTH, TO_CLIENT, TO_SERVER
from zmqfuzz.proxy.flow import Flow, Setting
from zmqfuzz.proxy.outlet import Outlet
from zmqfuzz.proxy.record import Recorder
from zmqfuzz.writer import acknowledged, reappear, reset, vanish

__all__ = ["Link", "shut"]

_FAREWELL = 2.0
"""Seconds that a peer has to close after our FIN, before the rest of what it sends is answered with RST."""
_DELIVERED = 5.0
"""Seconds that a peer's kernel has to acknowledge what was sent before a reset or a vanishing."""


@dataclass(eq=False)
class Link:
    """``client`` is who connected to the proxy, ``server`` whom the proxy connected to."""

    number: int
    client: trio.socket.SocketType
    server: trio.socket.SocketType
    record: Recorder
    _reached: dict[int, set[str]] = field(default_factory=dict)
    _gone: dict[int, list[trio.socket.SocketType]] = field(default_factory=dict)
    _ending: Setting | None = None
    _broken: Flow | None = None
    _nursery: trio.Nursery | None = None

    def __post_init__(self) -> None:
        to_server, to_client = Outlet(self.server), Outlet(self.client)
        more = (self.record, self._act)
        self.up = Flow(self.number, TO_SERVER, self.client, to_server, lambda: to_client.first, *more)
        self.down = Flow(self.number, TO_CLIENT, self.server, to_client, lambda: to_server.first, *more)

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """Both directions."""
        return self.up, self.down

    async def run(self) -> None:
        """Until it is over. The sockets are closed then."""
        how = "closed by the proxy"
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for flow in self.flows:
                    nursery.start_soon(flow.outlet.run)
                    nursery.start_soon(self._carry, flow)
            self._nursery = None
            how = await self._leave()
        finally:
            self._nursery = None
            gone = [sock for socks in self._gone.values() for sock in socks]
            for sock in (self.client, self.server):
                if sock not in gone:
                    shut(sock)
                sock.close()
            self.record.ended(self.number, how)

    async def _carry(self, flow: Flow) -> None:
        try:
            await flow.run()
        except OSError:
            self._broken = self._broken or flow
            self._cancel()
        if all(one.ended for one in self.flows):
            self._cancel()

    def _cancel(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _leave(self) -> str:
        """Close as it must be closed; how, in words."""
        if self._broken is not None:
            by, other = ("client", self.server) if self._broken is self.up else ("server", self.client)
            self.record.note(self.number, "rst", "RST", self._broken.direction)
            await acknowledged(other, _DELIVERED)
            reset(other)
            return f"reset by the {by}"
        if self._ending is None:
            return "closed by both" if all(flow.ended for flow in self.flows) else "closed by the proxy"
        fault = self._ending.fault
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for name, sock in (("client", self.client), ("server", self.server)):
                    hard = fault.kind == "reset" and fault.side in (name, BOTH)
                    nursery.start_soon(_reset if hard else _close, sock)
        return f"closed by fault: {fault}"

    # faults

    def set(self, setting: Setting) -> None:
        """A fault is set."""
        for flow in self.flows:
            if setting.fault.covers(flow.direction, self.number):
                flow.set(setting)
                if self._nursery is not None:
                    self._nursery.start_soon(flow.settle)

    def heal(self, setting: Setting) -> None:
        """A fault is over: what was held flows on, what vanished is there again."""
        for sock in self._gone.pop(id(setting), []):
            reappear(sock)
        self._reached.pop(id(setting), None)
        for flow in self.flows:
            held = flow.heal(setting)
            if self._nursery is not None:
                self._nursery.start_soon(flow.settle, held)

    async def _act(self, setting: Setting, flow: Flow) -> None:
        fault = setting.fault
        if fault.kind == "half_close":
            self._note(setting, flow)
            await flow.finish()
            flow.discarding = True
            return
        flow.hold(setting)
        if fault.kind == "hang":
            self._note(setting, flow)
            return
        reached = self._reached.setdefault(id(setting), set())
        reached.add(flow.direction)
        every = fault.direction == BOTH or (fault.early and not fault.direction)
        if (every and len(reached) < 2) or self._ending is not None or id(setting) in self._gone:
            return
        self._note(setting, flow)
        if fault.kind == "vanish":
            await self._vanish(setting)
        else:
            self._ending = setting
            self._cancel()

    async def _vanish(self, setting: Setting) -> None:
        for flow in self.flows:
            flow.hold(setting)
        gone = self._gone.setdefault(id(setting), [])
        for name, sock in (("client", self.client), ("server", self.server)):
            if setting.fault.side in (name, BOTH):
                await acknowledged(sock, _DELIVERED)
                obstacle = vanish(sock)
                if obstacle:
                    self.record.note(self.number, "fault", f"could not vanish from the {name}: {obstacle}")
                gone.append(sock)

    def _note(self, setting: Setting, flow: Flow) -> None:
        setting.acted += 1
        self.record.note(self.number, "fault", f"fault: {setting.fault}", flow.direction)


def shut(sock: trio.socket.SocketType) -> None:
    """End it for all who hold it: a process that was forked meanwhile has a copy, which would keep it open."""
    try:
        sock.shutdown(trio.socket.SHUT_RDWR)
    except OSError:
        pass  # closed, or not connected any more


async def _reset(sock: trio.socket.SocketType) -> None:
    await acknowledged(sock, _DELIVERED)
    reset(sock)


async def _close(sock: trio.socket.SocketType) -> None:
    """FIN behind all that was sent: a plain close would be RST where something waits to be read."""
    try:
        sock.shutdown(trio.socket.SHUT_WR)
        with trio.move_on_after(_FAREWELL):
            while await sock.recv(1 << 16):
                pass
    except OSError:
        pass
    sock.close()
