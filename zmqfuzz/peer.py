"""Plays one Script over its connections, and records every octet with its time.

A peer never raises for what the target does: a refused, closed or stalled connection is recorded and the script
goes on with the next step that still makes sense. Only one task writes to a connection; honest replies (handshake,
PONG) wait for the moments between two sends.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat
from typing import Protocol

import trio

from zmqfuzz.answers import Answers
from zmqfuzz.farside import FarSide
from zmqfuzz.fresh import said
from zmqfuzz.notes import why
from zmqfuzz.reading import Reading, Record
from zmqfuzz.script import (
    Await,
    Close,
    Connect,
    Expect,
    ReadOn,
    Reset,
    Script,
    Send,
    Shake,
    ShutdownWrite,
    Signal,
    Step,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.shaking import Keyring
from zmqfuzz.signals import Bell, Signals
from zmqfuzz.trial import ClosedBy, Reached, Transcript
from zmqfuzz.writer import STALL, Meter, Stalled, Writer, acknowledged, reset, vanish
from zmqfuzz.zmtp.connection import Connection, Role
from zmqfuzz.zmtp.measure import unfinished

__all__ = ["Dial", "Peer"]


FOLLOWED = 0.05
"""Seconds between two looks at a connection that has vanished."""


class Dial(Protocol):
    """Opens (or, where we listen, accepts) one connection with a receive buffer of ``buffer`` octets (None: usual).

    Raises OSError or trio.TooSlowError.
    """

    async def __call__(self, buffer: int | None = None, /) -> trio.socket.SocketType:
        """The connected socket."""
        ...


class Peer:
    """One misbehaving peer. ``signals`` and ``keyring`` are those of its attack; without them it is alone."""

    def __init__(
        self,
        script: Script,
        dial: Dial,
        meter: Meter,
        *,
        role: Role = Role.CLIENT,
        signals: Signals | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._script = script
        self._dial = dial
        self._meter = meter
        self._role = role
        self._keyring = keyring or Keyring()
        self._signals = signals or Signals((script,))
        self._bell = Bell()
        self._signals.wakes(self._bell)
        self._record = Record(meter, Answers(script))
        self._reading: Reading | None = None
        self._connection = Connection(role=role)
        self._replies = b""  # honest ones that wait to be sent, or the rest of one
        self._vanished: list[trio.socket.SocketType] = []
        self._steps = trio.CancelScope()

    def interrupt(self) -> None:
        """Stop in the middle of the script; what was recorded so far is kept."""
        self._steps.cancel()

    def note(self, text: str) -> None:
        """Write something into the transcript that this peer neither sent nor received."""
        self._record.note(text)

    async def play(self, release: trio.Event, done: Callable[[], None]) -> Transcript:
        """Run the script; hold what it leaves open until ``release``, calling ``done`` when the steps have ended."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                with self._steps:
                    for step in self._script.steps:
                        await self._do(step)
                if self._steps.cancelled_caught:
                    self._record.note("out of time: the rest of the script was not played")
                self._signals.leave(self._script)
                done()
                await self._hold(release)
                nursery.cancel_scope.cancel()
        finally:
            for sock in self._vanished:
                reset(sock)
            if self._sock is not None:
                reset(self._sock)
        return self._record.transcript(self._script.label)

    async def _do(self, step: Step) -> None:
        match step:
            case Connect():
                await self._connect(step)
            case Shake():
                await self._shake(step)
            case Send():
                await self._send(step)
            case Expect():
                await self._expect(step.event, step.within)
            case Wait():
                await self._until(lambda: False, step.seconds)
            case StopReading():
                self._pace(stopped=True)
            case ReadOn():
                self._pace(rate=step.rate)
            case Signal():
                self._signals.give(step.name)
            case Await():
                await self._await(step)
            case Vanish():
                await self._vanish()
            case ShutdownWrite():
                self._record.half_close(self._sock)
            case Reset():
                self._close(rst=True)
            case Close():
                self._close(rst=False)

    @property
    def _sock(self) -> trio.socket.SocketType | None:
        """The connection that is open, if one is."""
        return self._reading.sock if self._reading is not None and self._reading.open else None

    # opening and closing

    async def _connect(self, step: Connect) -> None:
        self._close(rst=True)
        self._connection = Connection(role=self._role)
        self._replies = b""
        try:
            sock = await self._dial(step.buffer)
        except (OSError, trio.TooSlowError) as error:
            self._reading = None
            self._record.closed_by = ClosedBy.REFUSED
            ours = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
            (self._record.missed if ours else self._record.note)(f"not connected: {why(error)}")
            return
        self._reading = Reading(sock, self._connection, self._record, self._bell)
        self._record.closed_by = ClosedBy.OPEN
        self._record.reach(Reached.CONNECTED)
        self._nursery.start_soon(self._reading.run)

    def _close(self, *, rst: bool) -> None:
        sock = self._let_go()
        if sock is None:
            return
        self._record.left(rst=rst)
        if rst:
            reset(sock)
        else:
            sock.close()

    async def _vanish(self) -> None:
        left = await acknowledged(self._sock) if self._sock is not None else 0
        if self._sock is None:
            return
        obstacle = vanish(self._sock)
        if obstacle:
            self._record.missed(f"could not vanish: {obstacle}")
        elif (sock := self._let_go()) is not None:
            self._nursery.start_soon(self._follow, self._record.vanished(), sock)
            self._vanished.append(sock)
            if left:
                self._record.note(f"{left:,} octets were not acknowledged: the kernel goes on sending them")

    async def _follow(self, number: int, sock: trio.socket.SocketType) -> None:
        """See from outside for how long the target holds a connection that has vanished."""
        try:
            far = FarSide(sock)
        except OSError:
            return  # the target had closed it
        while (held := far.look()) is not None:
            self._record.still_held(number, held.unacknowledged)
            await trio.sleep(FOLLOWED)

    def _let_go(self) -> trio.socket.SocketType | None:
        """Take the open socket out of use; None when there is none."""
        sock = self._sock
        if self._reading is not None:
            self._reading.let_go()
        return sock

    def _pace(self, *, stopped: bool = False, rate: int | None = None) -> None:
        if self._reading is not None:
            self._reading.pace(stopped=stopped, rate=rate)

    # writing

    async def _shake(self, step: Shake) -> None:
        if self._sock is None:
            return
        connection = self._connection
        greeting, note = self._keyring.begin(connection, step, self._role)
        writer, at = Writer(self._sock, self._meter), self._record.now()
        try:
            await self._written(writer.all(greeting))
        finally:
            self._record.sent(at, greeting[: writer.sent], writer.sent, note=note)
        await self._until(lambda: self._sock is None or (connection.complete and self._flushed()), step.within)
        await self._flush()
        self._record.shaken(connection, step, self._role)

    def _flushed(self) -> bool:
        return not (self._connection.has_data_to_send or self._replies)

    async def _flush(self) -> None:
        """Send the honest replies that reading has produced; what cannot be sent now goes first the next time."""
        self._replies += self._connection.data_to_send()
        if not self._replies or self._sock is None:
            return
        writer, at = Writer(self._sock, self._meter), self._record.now()
        try:
            await self._written(writer.all(self._replies))
        finally:
            if writer.sent:
                self._record.sent(at, self._replies[: writer.sent], writer.sent, note="honest reply")
                self._replies = self._replies[writer.sent :]

    async def _send(self, step: Send) -> None:
        if self._sock is None:
            return
        await self._flush()
        if self._sock is None:
            return
        seals, stage = self._connection.seals, self._record.stage
        octets = self._octets(step)
        differs = seals or bool(step.fresh)
        rounds = self._rounds(step, octets) if differs else repeat(octets, step.times)
        writer, at = Writer(self._sock, self._meter), self._record.now()
        try:
            if step.chunk is not None:
                await self._written(writer.pieces(b"".join(rounds), step.chunk, step.every))
            elif step.every:
                await self._written(self._spaced(writer, rounds, step.every))
            elif differs:
                await self._written(writer.stream(rounds))
            else:
                await self._written(writer.repeated(octets, step.times))
        finally:
            if writer.sent:
                self._record.act(stage)
                self._record.within_message = unfinished(step.units, self._record.within_message)
            self._record.send(at, octets, writer.sent, step.times, sealed=seals)

    def _octets(self, step: Send) -> bytes:
        return b"".join([self._connection.send(unit) for unit in said(step)])

    def _rounds(self, step: Send, first: bytes) -> Iterator[bytes]:
        """What is sent, sealed or renewed each time; made only as it is sent."""
        for number in range(step.times):
            yield self._octets(step) if number else first

    async def _spaced(self, writer: Writer, rounds: Iterator[bytes], every: float) -> None:
        for octets in rounds:
            await writer.all(octets)
            await self._until(lambda: False, every)

    async def _written(self, writing: Awaitable[None]) -> None:
        """Await a write; why the target took no more is noted."""
        try:
            await writing
        except Stalled:
            self._record.note(f"target took nothing for {STALL:g} s")
        except trio.ClosedResourceError:
            pass  # the reader saw the close and let go of the socket
        except OSError as error:
            # The reader usually sees the close first; a write may be the one to learn of it.
            self._record.note(f"write failed: {why(error)}")
            await self._expect("close", 0.05)

    # waiting

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        """Answer honestly, where the script shook hands, until ``condition`` holds or ``within`` seconds are over."""
        with trio.move_on_after(within):
            while not condition():
                rung = self._bell.rung
                await self._flush()
                if not condition():
                    await rung.wait()

    async def _expect(self, event: str, within: float) -> None:
        reading = self._reading
        if reading is None:
            return
        seen = reading.seen
        taken = seen["message:taken"] if event == "message" else 0
        await self._until(lambda: not reading.open or seen[event] > taken, within)
        if event == "message" and seen["message"] > taken:
            seen["message:taken"] += 1

    async def _await(self, step: Await) -> None:
        name, signals = step.name, self._signals
        signals.waits(name)
        await self._until(lambda: signals.given(name) or signals.hopeless(name), step.within)
        if not signals.given(name):
            why = "no peer is left that would" if signals.hopeless(name) else f"waited {step.within:g} s"
            self._record.note(f"nobody signalled {name!r}: {why}")

    async def _hold(self, release: trio.Event) -> None:
        """Stay connected, answer honestly where the script shook hands, until the injector lets go."""
        if self._sock is not None:
            self._record.act(self._record.stage)
        while not release.is_set():
            await self._flush()
            with trio.move_on_after(0.05):
                await release.wait()
