"""What a peer reads and how fast, and the record that its transcript is made of.

A Reading is one connection's incoming half: it never raises for what the target does, and goes on reading (or not)
beside whatever its peer writes.
"""

from __future__ import annotations

import errno
import select
import socket
from collections import Counter
from operator import attrgetter
from time import perf_counter

import trio

from zmqfuzz.answers import Answers
from zmqfuzz.notes import frame_words, words
from zmqfuzz.script import Shake
from zmqfuzz.signals import Bell
from zmqfuzz.trial import ClosedBy, Direction, Entry, Gone, Reached, Stage, Transcript
from zmqfuzz.writer import Meter
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
from zmqfuzz.zmtp.wire import Frame, body_bytes

__all__ = ["AT_ONCE", "KEPT", "MOST_ENTRIES", "SEALED", "Reading", "Record", "counted"]

SEALED = "sealed anew"
"""The note of what CURVE made of a Send: other octets each time."""

KEPT = 256 * 1024
"""Octets of received data that a transcript keeps; the rest is counted."""

MOST_ENTRIES = 4000
"""Entries of a transcript after which what arrives is only counted."""

MOST_NOTES = 8
"""Events of one read that a transcript puts in words."""

AT_ONCE = 65536
"""Octets of one read, at most."""

READS = 20
"""Reads a second of a peer that reads at a rate."""

LOOK = 0.05
"""Seconds between two looks, by a peer that does not read, at whether the target has closed."""


_BEGAN = attrgetter("at")


class Record:
    """All that one peer saw and did, as it happens."""

    def __init__(self, meter: Meter, answers: Answers) -> None:
        self._meter = meter
        self._answers = answers
        self._entries: list[Entry] = []
        self._breaches: list[str] = []
        self._missed: list[str] = []
        self._received = 0
        self._sent = 0
        self._reached = Reached.NOTHING
        self._acted: set[Stage] = set()
        self._gone: list[Gone] = []
        self._here = Reached.NOTHING  # of the connection that is open
        self._messages = 0
        self._parts: list[bytes] = []
        self._last_at = 0.0
        self.within_message = False
        self.closed_by = ClosedBy.OPEN

    def now(self) -> float:
        """Seconds since the attack began."""
        return perf_counter() - self._meter.started

    def reach(self, state: Reached) -> None:
        """The target has confirmed ``state``; CONNECTED begins another connection."""
        if state is self._here is Reached.TRAFFIC:  # so is every frame
            return
        self._reached = max(self._reached, state)
        fresh = state is Reached.CONNECTED
        self._here = state if fresh else max(self._here, state)
        self.within_message = self.within_message and not fresh

    @property
    def stage(self) -> Stage:
        """Where the connection stands; it has been opened."""
        if self._here is Reached.TRAFFIC:
            return Stage.MESSAGE if self.within_message else Stage.TRAFFIC
        return (Stage.CONNECTED, Stage.GREETING, Stage.HANDSHAKE)[max(0, self._here - 1)]

    def act(self, stage: Stage) -> None:
        """The peer did something to a connection that stood at ``stage``."""
        self._acted.add(stage)

    def note(self, text: str) -> None:
        """Something that is neither sent nor received."""
        self._entries.append(Entry(self.now(), Direction.NOTE, b"", note=text))

    def missed(self, text: str) -> None:
        """A step that could not be done here."""
        self._missed.append(text)
        self.note(text)

    def breach(self, reason: str) -> None:
        """The target broke ZMTP."""
        self._breaches.append(reason)

    def sent(self, at: float, octets: bytes, count: int, *, times: int = 1, note: str = "") -> None:
        """``octets``, ``times`` over, began to be sent at ``at``; the target took ``count`` octets in all."""
        self._sent += count
        self._entries.append(Entry(at, Direction.SENT, octets, times=times, note=note))

    def send(self, at: float, octets: bytes, count: int, times: int, *, sealed: bool) -> None:
        """A Send of ``octets``, ``times`` over, of which the target took ``count`` octets."""
        whole, rest = divmod(count, max(len(octets), 1))
        notes = [SEALED] if sealed else []
        if whole != times:
            notes.append(f"target took {count:,} of {len(octets) * times:,} octets")
        self.sent(at, octets, count, times=min(times, whole + bool(rest)), note="; ".join(notes))

    def shaken(self, connection: Connection, step: Shake, role: Role) -> None:
        """``step`` has ended: how far it got, and where something else was sent."""
        if step.instead and not connection.instead:
            answers = step.honest or (role is Role.SERVER and step.mechanism in ("PLAIN", "CURVE"))
            self.act(Stage.HANDSHAKE if answers else Stage.GREETING)
        if connection.complete and self.closed_by is ClosedBy.OPEN:
            self.reach(Reached.TRAFFIC)

    def half_close(self, sock: socket.socket | trio.socket.SocketType | None) -> None:
        """Send FIN, where a connection is open; reading goes on."""
        if sock is None:
            return
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self.act(self.stage)
        self.note("half-closed: FIN sent, still reading")

    def left(self, *, rst: bool) -> None:
        """We have closed."""
        self.act(self.stage)
        self.closed_by = ClosedBy.US
        self.note("closed by us with RST" if rst else "closed by us")

    def vanished(self) -> int:
        """Nothing is answered on this connection any more; a number for what is then seen of it."""
        self.act(self.stage)
        self._gone.append(Gone(self.now()))
        return len(self._gone) - 1

    def still_held(self, number: int, unacknowledged: int) -> None:
        """A process still holds its side of a connection that vanished."""
        self._gone[number] = Gone(self._gone[number].at, self.now(), unacknowledged)

    @property
    def tapped(self) -> bool:
        """Whether somebody wants the frames of messages."""
        return self._meter.tap is not None or self._answers.open

    def frames(self, frames: list[tuple[bool, int]]) -> None:
        """Frames of messages have arrived, each with MORE or without; nobody wants their bodies."""
        self.reach(Reached.TRAFFIC)
        if complete := sum(not more for more, _ in frames):
            self._messages += complete
            self._meter.messages += complete
            self._last_at = self.now()

    def frame(self, frame: Frame) -> None:
        """A frame of a message has arrived; the last one completes it."""
        if self._meter.tap is not None:
            self._parts.append(body_bytes(frame.body))
        if self._answers.open:
            self._answers.take(frame)
        if frame.more:
            return
        self._messages += 1
        self._meter.messages += 1
        self._last_at = self.now()
        if self._meter.tap is not None:
            self._meter.tap(tuple(self._parts))
            self._parts.clear()

    def received(self, data: bytes, notes: list[str]) -> None:
        """``data`` arrived; kept while there is room."""
        self._received += len(data)
        if self._received <= KEPT and len(self._entries) < MOST_ENTRIES:
            self._entries.append(Entry(self.now(), Direction.RECEIVED, data, note="; ".join(notes)))

    def transcript(self, label: str) -> Transcript:
        """All of it, in the order in which it began."""
        entries = tuple(sorted(self._entries, key=_BEGAN))
        breaches, missed = tuple(dict.fromkeys(self._breaches)), tuple(dict.fromkeys(self._missed))
        seen = (self.closed_by, self._sent, self._received, self._reached)
        ends = frozenset(self._acted), tuple(self._gone), self._messages, self._last_at
        return Transcript(label, entries, *seen, breaches, missed, *ends, answers=tuple(self._answers.kept))


class Reading:
    """Reads ``sock`` into ``connection``. ``open`` until it is let go of; ``seen`` counts what arrived."""

    def __init__(self, sock: trio.socket.SocketType, connection: Connection, record: Record, bell: Bell) -> None:
        self.sock = sock
        self.connection = connection
        self.open = True
        self.seen: Counter[str] = Counter()
        self._record = record
        self._bell = bell
        self._stopped = False
        self._rate: int | None = None
        self._next = -1.0
        self._turn = trio.CancelScope()

    def pace(self, *, stopped: bool = False, rate: int | None = None) -> None:
        """Stop reading, or read at most ``rate`` octets a second (None: as they come), from now on."""
        self._stopped, self._rate, self._next = stopped, rate, -1.0
        self._turn.cancel()

    def let_go(self) -> None:
        """The socket is no longer ours to read; whoever calls this closes it."""
        self.open = False
        self._turn.cancel()

    async def run(self) -> None:
        """Read until the connection has ended, or is let go of."""
        while self.open:
            data: bytes | None = None
            closed_by = ClosedBy.FIN
            with trio.CancelScope() as self._turn:
                try:
                    data = await self._receive()
                except trio.ClosedResourceError:
                    return
                except OSError as error:
                    if error.errno == errno.EBADF:
                        return
                    closed_by, data = ClosedBy.RST, b""
            if data is not None and self.open:
                self._take(data, closed_by)
                self._bell.ring()

    async def _receive(self) -> bytes | None:
        """The next octets; None: not reading, and nothing to tell. Raises as a socket does."""
        if self._stopped:
            await trio.sleep(LOOK)
            if "close" not in self.seen and (closed_by := _closed(self.sock)) is not None:
                self._end(closed_by)
            return None
        rate = self._rate
        if rate is None:
            return await self.sock.recv(AT_ONCE)
        await trio.sleep_until(self._next)
        data = await self.sock.recv(min(AT_ONCE, max(1, rate // READS)))
        if rate == self._rate:  # the pace may have changed while nothing came
            self._next = trio.current_time() + len(data) / max(1, rate)
        return data

    def _take(self, data: bytes, closed_by: ClosedBy) -> None:
        notes = counted(self.connection, data, self.seen, self._record)
        if data:
            self.seen["bytes"] += 1
            self._record.received(data, notes)
            return
        if "close" not in self.seen:
            self._end(closed_by)
        self.open = False
        self.sock.close()

    def _end(self, closed_by: ClosedBy) -> None:
        self.seen["close"] += 1
        self._record.closed_by = closed_by
        self._record.note(closed_by.value)
        self._bell.ring()


def counted(connection: Connection, data: bytes, seen: Counter[str], record: Record) -> list[str]:
    """Read ``data`` (empty: the end) and count the events, by how far they show the connection to be; their words."""
    connection.receive_data(data)
    notes: list[str] = []
    while True:
        if not record.tapped and (frames := connection.skim()):
            seen["message"] += len(frames)
            record.frames(frames)
            notes += [frame_words(more, size) for more, size in frames[: MOST_NOTES - len(notes)]]
        if (event := connection.next_event()) is None:
            return notes
        _count(event, seen, record)
        if isinstance(event, HandshakeComplete) and connection.older:
            record.reach(Reached.TRAFFIC)
        if len(notes) < MOST_NOTES and (note := words(event)):
            notes.append(note)


def _count(event: Event, seen: Counter[str], record: Record) -> None:
    match event:
        case FrameReceived(frame):
            seen["message"] += 1
            record.reach(Reached.TRAFFIC)
            record.frame(frame)
        case GreetingReceived():
            seen["greeting"] += 1
            record.reach(Reached.GREETING)
        case CommandReceived() if "complete" in seen:
            seen["message"] += 1
        case CommandReceived():
            seen["ready"] += 1
            record.reach(Reached.HANDSHAKE)
        case HandshakeComplete():
            seen["complete"] += 1
        case ErrorReceived():
            seen["ready"] += 1
            record.act(Stage.REFUSED)
        case Breach(reason):
            record.breach(reason)
        case Closed():
            pass


def _closed(sock: trio.socket.SocketType) -> ClosedBy | None:
    """How the other side has closed a connection that is not read; None: it has not (poll(2))."""
    poller = select.poll()
    poller.register(sock.fileno(), select.POLLRDHUP)
    events = dict(poller.poll(0)).get(sock.fileno(), 0)
    if events & select.POLLERR:
        return ClosedBy.RST
    return ClosedBy.FIN if events & (select.POLLRDHUP | select.POLLHUP) else None
