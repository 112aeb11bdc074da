"""Plays one Script over its connections, and records every octet with its time.

A peer never raises for what the target does: a refused, closed or stalled connection is recorded and the script
goes on with the next step that still makes sense. Only one task writes to a connection; honest replies (handshake,
PONG) wait for the moments between two sends.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable

import trio

from zmqfuzz.notes import words
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, Wait
from zmqfuzz.trial import ClosedBy, Direction, Entry, Reached, Transcript
from zmqfuzz.writer import STALL, Meter, Stalled, Writer, reset
from zmqfuzz.zmtp.connection import (
    Breach,
    Closed,
    CommandReceived,
    Connection,
    ErrorReceived,
    Event,
    FrameReceived,
    GreetingReceived,
    HandshakeComplete,
    Role,
)
from zmqfuzz.zmtp.mechanism import Mechanism, Null, PlainClient, PlainServer
from zmqfuzz.zmtp.wire import Greeting

__all__ = ["Dial", "Peer"]

KEPT = 256 * 1024
"""Octets of received data that a transcript keeps; the rest is counted."""

MOST_ENTRIES = 4000
"""Entries of a transcript after which what arrives is only counted."""

Dial = Callable[[], Awaitable[trio.socket.SocketType]]
"""Opens (or, where we listen, accepts) one connection; raises OSError or trio.TooSlowError."""


class Peer:
    """One misbehaving peer."""

    def __init__(self, script: Script, dial: Dial, meter: Meter, *, role: Role = Role.CLIENT) -> None:
        self._script = script
        self._dial = dial
        self._meter = meter
        self._role = role
        self._entries: list[Entry] = []
        self._breaches: list[str] = []
        self._seen: Counter[str] = Counter()
        self._changed = trio.Event()
        self._sock: trio.socket.SocketType | None = None
        self._connection = Connection(role=role)
        self._closed_by = ClosedBy.OPEN
        self._reached = Reached.NOTHING
        self._sent = 0
        self._received = 0
        self._steps = trio.CancelScope()

    def interrupt(self) -> None:
        """Stop in the middle of the script; what was recorded so far is kept."""
        self._steps.cancel()

    async def play(self, release: trio.Event, done: Callable[[], None]) -> Transcript:
        """Run the script; hold what it leaves open until ``release``, calling ``done`` when the steps have ended."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                with self._steps:
                    for step in self._script.steps:
                        await self._do(step)
                if self._steps.cancelled_caught:
                    self._note("out of time: the rest of the script was not played")
                done()
                await self._hold(release)
                nursery.cancel_scope.cancel()
        finally:
            if self._sock is not None:
                reset(self._sock)
        return Transcript(
            self._script.label,
            tuple(self._entries),
            self._closed_by,
            self._sent,
            self._received,
            self._reached,
            tuple(dict.fromkeys(self._breaches)),
        )

    async def _do(self, step: Step) -> None:
        match step:
            case Connect():
                await self._connect()
            case Shake():
                await self._shake(step)
            case Send():
                await self._send(step)
            case Expect():
                await self._expect(step.event, step.within)
            case Wait():
                await self._pause(step.seconds)
            case ShutdownWrite():
                self._shutdown_write()
            case Reset():
                self._close(rst=True)
            case Close():
                self._close(rst=False)

    # opening and closing

    async def _connect(self) -> None:
        if self._sock is not None:
            self._close(rst=True)
        self._connection = Connection(role=self._role)
        self._seen.clear()
        try:
            sock = await self._dial()
        except (OSError, trio.TooSlowError) as error:
            self._closed_by = ClosedBy.REFUSED
            self._note(f"not connected: {_reason(error)}")
            return
        self._sock = sock
        self._closed_by = ClosedBy.OPEN
        self._reach(Reached.CONNECTED)
        self._nursery.start_soon(self._read, sock, self._connection)

    def _shutdown_write(self) -> None:
        if self._sock is None:
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self._note("half-closed: FIN sent, still reading")

    def _close(self, *, rst: bool) -> None:
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._closed_by = ClosedBy.US
        self._note("closed by us with RST" if rst else "closed by us")
        if rst:
            reset(sock)
        else:
            sock.close()

    # reading

    async def _read(self, sock: trio.socket.SocketType, connection: Connection) -> None:
        closed_by = ClosedBy.FIN
        while True:
            try:
                data = await sock.recv(65536)
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno == errno.EBADF:
                    return
                closed_by, data = ClosedBy.RST, b""
            if sock is not self._sock:
                return
            connection.receive_data(data)
            notes = []
            while (event := connection.next_event()) is not None:
                note = self._take(event)
                if note:
                    notes.append(note)
            if data:
                self._seen["bytes"] += 1
                self._received += len(data)
                if self._received <= KEPT and len(self._entries) < MOST_ENTRIES:
                    self._entries.append(Entry(self._meter.now(), Direction.RECEIVED, data, note="; ".join(notes[:8])))
            else:
                self._seen["close"] += 1
                self._closed_by = closed_by
                self._note(closed_by.value)
                self._sock = None
                sock.close()
            self._changed.set()
            self._changed = trio.Event()
            if not data:
                return

    def _take(self, event: Event) -> str:
        """Count an event and note how far it shows the connection to be; its words for the transcript."""
        match event:
            case GreetingReceived():
                self._seen["greeting"] += 1
                self._reach(Reached.GREETING)
            case CommandReceived() if "complete" in self._seen:
                self._seen["message"] += 1
            case CommandReceived():
                self._seen["ready"] += 1
                self._reach(Reached.HANDSHAKE)
            case HandshakeComplete():
                self._seen["complete"] += 1
            case FrameReceived():
                self._seen["message"] += 1
                self._reach(Reached.TRAFFIC)
            case ErrorReceived():
                self._seen["ready"] += 1
            case Breach(reason):
                self._breaches.append(reason)
            case Closed():
                pass
        return words(event)

    # writing

    async def _shake(self, step: Shake) -> None:
        if self._sock is None:
            return
        connection = self._connection
        connection.mechanism = _mechanism(step, self._role)
        note = (
            f"greeting {step.version[0]}.{step.version[1]} {step.mechanism}, then READY Socket-Type={step.socket_type}"
        )
        greeting = connection.start(Greeting(major=step.version[0], minor=step.version[1]))
        self._entries.append(Entry(self._meter.now(), Direction.SENT, greeting, note=note))
        await self._write(greeting)
        with trio.move_on_after(step.within):
            while self._sock is not None and not (connection.complete and self._flushed()):
                changed = self._changed
                await self._flush()
                if not connection.complete:
                    await changed.wait()
        await self._flush()
        if connection.complete and self._closed_by is ClosedBy.OPEN:
            self._reach(Reached.TRAFFIC)

    def _flushed(self) -> bool:
        return not self._connection.has_data_to_send

    async def _flush(self) -> None:
        """Send the honest replies that reading has produced."""
        data = self._connection.data_to_send()
        if data and self._sock is not None:
            self._entries.append(Entry(self._meter.now(), Direction.SENT, data, note="honest reply"))
            await self._write(data)

    async def _send(self, step: Send) -> None:
        if self._sock is None:
            return
        await self._flush()
        octets = b"".join([self._connection.send(unit) for unit in step.units])
        at = self._meter.now()
        before = self._sent
        try:
            await self._write(octets, step.times, chunk=step.chunk, every=step.every)
        finally:
            sent = self._sent - before
            whole, rest = divmod(sent, max(len(octets), 1))
            note = "" if whole == step.times else f"target took {sent:,} of {len(octets) * step.times:,} octets"
            times = min(step.times, whole + bool(rest))
            self._entries.append(Entry(at, Direction.SENT, octets, times=times, note=note))

    async def _write(self, octets: bytes, times: int = 1, *, chunk: int | None = None, every: float = 0.0) -> int:
        """Send ``octets`` ``times`` over; how many the target took. Why it took no more is noted."""
        if self._sock is None:
            return 0
        writer = Writer(self._sock, self._meter)
        try:
            if chunk is not None:
                await writer.pieces(octets * times, chunk, every)
            elif every:
                for _ in range(times):
                    await writer.all(octets)
                    await self._pause(every)
            else:
                await writer.repeated(octets, times)
        except Stalled:
            self._note(f"target took nothing for {STALL:g} s")
        except trio.ClosedResourceError:
            pass  # the reader saw the close and let go of the socket
        except OSError as error:
            # The reader usually sees the close first; a write may be the one to learn of it.
            self._note(f"write failed: {_reason(error)}")
            await self._expect("close", 0.05)
        finally:
            self._sent += writer.sent
        return writer.sent

    # waiting

    async def _expect(self, event: str, within: float) -> None:
        taken = self._seen["message:taken"]
        with trio.move_on_after(within):
            while self._sock is not None:
                if event == "message":
                    if self._seen["message"] > taken:
                        self._seen["message:taken"] += 1
                        return
                elif self._seen[event]:
                    return
                changed = self._changed
                await self._flush()
                await changed.wait()

    async def _pause(self, seconds: float) -> None:
        await self._flush()
        await trio.sleep(seconds)
        await self._flush()

    async def _hold(self, release: trio.Event) -> None:
        """Stay connected, answer honestly where the script shook hands, until the injector lets go."""
        while not release.is_set():
            await self._flush()
            with trio.move_on_after(0.05):
                await release.wait()

    def _reach(self, state: Reached) -> None:
        self._reached = max(self._reached, state)

    def _note(self, text: str) -> None:
        self._entries.append(Entry(self._meter.now(), Direction.NOTE, b"", note=text))


def _mechanism(step: Shake, role: Role) -> Mechanism:
    if step.mechanism == "PLAIN":
        if role is Role.SERVER:
            return PlainServer(step.socket_type, identity=step.identity, properties=step.properties)
        return PlainClient(step.socket_type, step.username, step.password, step.identity, step.properties)
    return Null(step.socket_type, step.identity, step.properties)


def _reason(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
