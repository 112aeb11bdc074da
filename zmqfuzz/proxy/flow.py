"""One direction of one connection: reads from one peer, does what the faults say at their points, writes to the other.

Contract: octets leave in the order in which they came, exactly as they came where no fault concerns them. A fault at a
point acts when all octets before the point have left, and before any behind it does.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from zmqfuzz.fault import ENDINGS, PACES, UNITS, Fault
from zmqfuzz.proxy.acts import Act, Chooser, act_of
from zmqfuzz.proxy.outlet import Outlet, Pace
from zmqfuzz.proxy.points import Point
from zmqfuzz.proxy.record import Recorder, event_of, words_of
from zmqfuzz.zmtp.spans import Cutter, Piece, Span, SpanKind

__all__ = ["Flow", "Setting"]

_READ = 1 << 16
_SHOWN = 16
_REMEMBERED = 10_000
"""Spans whose places are kept, for faults that are set later."""


@dataclass(eq=False)
class Setting:
    """A fault that is set, until it is healed. ``acted``: how often, on all connections."""

    fault: Fault
    acted: int = 0
    healed: bool = False


@dataclass(eq=False)
class _Stop:
    """Where a fault acts that acts at a point."""

    setting: Setting
    point: Point
    count: int = 0
    done: bool = False


@dataclass(eq=False)
class _Kept:
    """A fault that changes what passes, or when; ``noted``: for how many units that was said."""

    setting: Setting
    chooser: Chooser
    noted: int = 0


@dataclass(eq=False)
class Flow:
    """``act`` is asked for what concerns the connection; it returns when the fault has acted, or will."""

    connection: int
    direction: str
    source: trio.socket.SocketType
    outlet: Outlet
    answered: Callable[[], bytes]
    record: Recorder
    act: Callable[[Setting, Flow], Awaitable[None]]
    passed: int = 0
    ended: bool = False
    discarding: bool = False
    _arrived: int = 0
    _stops: list[_Stop] = field(default_factory=list)
    _kept: list[_Kept] = field(default_factory=list)
    _held_by: set[int] = field(default_factory=set)
    _opened: trio.Event = field(default_factory=trio.Event)
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _current: Span | None = None
    _past: list[tuple[Span, int]] = field(default_factory=list)
    _told: int = 0
    _owed: bytes = b""
    _boundary: int = 0
    _within: bool = False

    def __post_init__(self) -> None:
        self.cutter = Cutter(self.answered)

    # faults come and go

    def set(self, setting: Setting) -> None:
        """A fault that covers this direction; it acts at the next turn where its point has passed."""
        fault = setting.fault
        if fault.kind in UNITS or fault.kind in PACES:
            chooser = act_of(fault) if fault.kind in UNITS else Chooser(fault)
            self._kept.append(_Kept(setting, chooser))
            point = chooser.point
        else:
            point = Point(fault)
            self._stops.append(_Stop(setting, point))
        if fault.on and fault.n is None:
            return  # what begins from now on
        for span, end in self._past:
            point.begins(span)
            point.ends(span, end)
        if self._current is not None:
            point.begins(self._current)

    def heal(self, setting: Setting) -> bytes:
        """It is over; octets that it held back, which are for :meth:`settle`."""
        self._stops = [stop for stop in self._stops if stop.setting is not setting]
        held = b"".join(
            kept.chooser.release() for kept in self._kept if kept.setting is setting and isinstance(kept.chooser, Act)
        )
        self._kept = [kept for kept in self._kept if kept.setting is not setting]
        self.open(setting)
        self.outlet.hurry()
        return held

    def hold(self, setting: Setting) -> None:
        """Nothing passes any more until it is healed."""
        self._held_by.add(id(setting))

    def open(self, setting: Setting) -> None:
        """As far as this fault goes, it may pass."""
        self._held_by.discard(id(setting))
        if not self._held_by:
            self._opened.set()
            self._opened = trio.Event()

    async def settle(self, held: bytes = b"") -> None:
        """Act where a point has passed already, and send what was ``held`` back, without waiting for more octets."""
        async with self._lock:
            await self._fire()
            if not self._busy:
                await self._eager(self._backlog(self._arrived))
            self._owed += held
            await self._repay()

    # octets

    async def run(self) -> None:
        """Until the peer ends its stream. Raises OSError: it has reset the connection."""
        async with self._lock:
            await self._fire()
        while data := await self.source.recv(_READ):
            async with self._lock:
                self._arrived += len(data)
                self.record.arrived(self.connection, self.direction, data)
                await self._fire()
                backlog = None if self._busy else self._backlog(self._arrived - len(data))
                pieces = self.cutter.feed(data)
                if backlog is not None:
                    for piece in pieces:
                        self._tell(piece)
                    await self._eager(backlog + data)
                for piece in pieces:
                    await self._take(piece)
                await self._fire()
        async with self._lock:
            for piece in self.cutter.end():
                await self._take(piece)
            for kept in self._kept:
                if isinstance(kept.chooser, Act):
                    await self._send(kept.chooser.release(), Pace())
            await self._fire()
            await self.finish()
            self.record.note(self.connection, "fin", "FIN", self.direction)
            self.ended = True

    async def _repay(self) -> None:
        """Send what was held back, but never within a message or a frame."""
        if self._owed and self.passed == self._boundary:
            owed, self._owed = self._owed, b""
            await self._send(owed, Pace())

    async def finish(self) -> None:
        """Say that this is all."""
        await self.outlet.drained()
        try:
            self.outlet.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # gone already

    @property
    def _busy(self) -> bool:
        return bool(self._kept) or any(not stop.done for stop in self._stops)

    def _backlog(self, arrived: int) -> bytes:
        """Of the head of a frame that is not complete, the octets that have not passed yet."""
        held = self.cutter.held
        return held[max(0, len(held) - (arrived - self.passed)) :]

    async def _eager(self, octets: bytes) -> None:
        """Let pass what came, without waiting for the end of a frame's head."""
        await self._send(octets, Pace())
        self.passed += len(octets)

    async def _take(self, piece: Piece) -> None:
        span = piece.span
        begun = self.passed > piece.start
        if piece.start == span.start:
            self._current = span
            for point in self._points():
                point.begins(span)
        for kept in self._kept:
            whole = kept.setting.fault.on or kept.setting.fault.kind in UNITS
            if whole and kept.chooser.concerns(piece, begun=begun) and kept.noted < kept.chooser.count:
                kept.noted += 1
                self._note_act(kept.setting)
        while self.passed < piece.end:
            await self._fire()
            places = [point.position for point in self._points() if point.position is not None]
            cut = min((place for place in places if self.passed < place < piece.end), default=piece.end)
            start, self.passed = self.passed, cut
            octets = piece.octets[start - piece.start : cut - piece.start]
            part = Piece(span, start, octets, piece.last and cut == piece.end)
            for kept in self._kept:
                if isinstance(kept.chooser, Act):
                    octets = kept.chooser.change(part, octets, begun=begun)
            pace = self._pace(part, begun)
            self._tell(part)
            await self._send(octets, pace)
        self._tell(piece)
        if piece.last:
            await self._ended(span, piece.end)

    async def _ended(self, span: Span, end: int) -> None:
        self._current = None
        for point in self._points():
            point.ends(span, end)
        if len(self._past) < _REMEMBERED:
            self._past.append((span, end))
        self._within = span.more if span.kind is SpanKind.FRAME else self._within
        if not self._within:
            self._boundary = end
            await self._repay()

    def _tell(self, piece: Piece) -> None:
        """Into the log, before the last octets leave: what a peer has received is there."""
        span = piece.span
        if span.start < self._told or not (piece.last or span.kind is SpanKind.UNREADABLE):
            return
        self._told = piece.end if piece.last else 1 << 63
        event = event_of(span)
        if event == "message":
            self.record.message(self.connection, self.direction)
        if span.greeting is not None:
            self.record.greeted(self.connection, self.direction, span.greeting)
        text, size = words_of(span, self.cutter.mechanism), span.size or 0
        octets = span.greeting.raw if span.greeting is not None else span.body
        self.record.note(self.connection, event, text, self.direction, octets[:_SHOWN], size - span.header)

    def _points(self) -> list[Point]:
        return [stop.point for stop in self._stops] + [kept.chooser.point for kept in self._kept]

    def _pace(self, piece: Piece, begun: bool) -> Pace:
        delay, rate, size, by = 0.0, 0, 0, list[Setting]()
        for kept in self._kept:
            fault, place = kept.setting.fault, kept.chooser.point.position
            if fault.kind not in PACES:
                continue
            behind = place is not None and place <= piece.start
            if kept.chooser.concerns(piece, begun=begun) if fault.on else behind:
                if not kept.noted:
                    kept.noted = 1
                    self._note_act(kept.setting)
                delay += fault.seconds
                rate = min(filter(None, (rate, fault.rate)), default=0)
                size = fault.size if fault.kind == "split" else size
                by.append(kept.setting)
        return Pace(delay, rate, size, lambda: any(setting.healed for setting in by)) if by else Pace()

    async def _send(self, octets: bytes, pace: Pace) -> None:
        if not self.discarding:
            await self.outlet.send(octets, pace)

    async def _fire(self) -> None:
        """Whatever acts at a point that has been reached; then wait while something holds us."""
        while True:
            due = [stop for stop in self._stops if not stop.done and self._due(stop)]
            for stop in due:
                await self._fire_one(stop)
            if self._held_by:
                await self._opened.wait()
            elif not due:
                return

    def _due(self, stop: _Stop) -> bool:
        return stop.point.position is not None and stop.point.position <= self.passed

    async def _fire_one(self, stop: _Stop) -> None:
        setting, fault = stop.setting, stop.setting.fault
        await self.outlet.drained()
        if setting.healed:
            return
        if fault.kind in ENDINGS:
            stop.done = True
            if fault.times is None or setting.acted < fault.times:
                await self.act(setting, self)
            return
        stop.count += 1
        stop.point.again()
        stop.done = stop.count == (fault.times or (0 if fault.on and fault.n is None else 1))
        self._note_act(setting)
        await self._send(fault.data, Pace())

    def _note_act(self, setting: Setting) -> None:
        setting.acted += 1
        self.record.note(self.connection, "fault", f"fault: {setting.fault}", self.direction)
