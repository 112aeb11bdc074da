"""One short script in turns, for a poll loop that plays many: no task, no stream, no buffer of its own.

What a peer does, and what its transcript says of it, is as in :mod:`zmqfuzz.peer`, which plays everything else. It
connects over TCP and ipc, and never accepts.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Generator
from time import perf_counter

from zmqfuzz.answers import Answers
from zmqfuzz.endpoints import Place
from zmqfuzz.fresh import said
from zmqfuzz.notes import why
from zmqfuzz.polling import ENDS, FAILED, HEARS, READABLE, WRITABLE, WRITES, Polling
from zmqfuzz.reading import AT_ONCE, Record, counted
from zmqfuzz.rehearsal import Rehearsal
from zmqfuzz.script import Close, Connect, Expect, Reset, Script, Send, Shake, ShutdownWrite, Step, StopReading, Wait
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import ClosedBy, Reached
from zmqfuzz.writer import MOST_PIECES, STALL, Meter, reset
from zmqfuzz.zmtp.connection import Connection, Role
from zmqfuzz.zmtp.measure import unfinished

__all__ = ["Player"]

CONNECT_WITHIN = 3.0
"""Seconds a connection may take to open."""

GONE = 0.05
"""Seconds that a failed write waits for the close that explains it."""

Turns = Generator[float, None, None]
"""A peer's turns: each gives the time until which it waits, unless something happens to its connection before."""


class Player:
    """One peer. ``until``: when it wants its next turn at the latest; ``moved``: when it had its last one."""

    def __init__(
        self,
        script: Script,
        place: Place,
        meter: Meter,
        keyring: Keyring,
        rehearsal: Rehearsal,
        polling: Polling[Player],
    ) -> None:
        self.script = script
        self.record = Record(meter, Answers(script))
        self.until = self.moved = 0.0
        self._place, self._meter, self._polling = place, meter, polling
        self._keyring, self._rehearsal = keyring, rehearsal
        self._sock: socket.socket | None = None
        self._connection = Connection()
        self._seen: Counter[str] = Counter()
        self._replies = b""
        self._shaking: Shake | None = None  # it began the connection, and nothing was heard yet
        self._used = False  # a connection was opened before
        self._at = 0
        listens = [at for at, step in enumerate(script.steps) if isinstance(step, Shake | Expect)]
        self._listens = listens[-1] if listens else -1
        self._listening = self._writable = self._failed = self._connected = self._heard_enough = self._deaf = False
        self._turns = self._play()

    def rests(self, since: float) -> bool:
        """Whether the target has said something to it, and it has had no turn ``since`` then: it only waits."""
        return self.moved < since and "bytes" in self._seen

    def resume(self) -> bool:
        """Take the next turn; False: the script has ended."""
        self.moved = perf_counter()
        until = next(self._turns, None)
        if self._sock is not None and not self._listening:
            self._listen(HEARS)
        if until is None:
            return False
        self.until = until
        return True

    def _listen(self, events: int) -> None:
        if self._sock is not None:
            self._polling.listen(self._sock.fileno(), self, events)
            self._listening = True

    def _play(self) -> Turns:
        for at, step in enumerate(self.script.steps):
            self._at = at
            match step:
                case Connect():
                    yield from self._connect(step)
                case Shake():
                    yield from self._shake(step)
                case Send():
                    yield from self._send(step)
                case Expect():
                    yield from self._expect(step.event, step.within)
                case Wait():
                    yield from self._until(lambda: False, step.seconds)
                case StopReading():
                    self._deaf = True
                case ShutdownWrite():
                    self.record.half_close(self._sock)
                case Reset() | Close():
                    self._leave(rst=isinstance(step, Reset))
        if self._sock is not None:
            self.record.act(self.record.stage)

    # opening and closing

    def _connect(self, step: Connect) -> Turns:
        self._leave(rst=True)
        if self._used:
            self._connection, self._seen, self._replies, self._shaking = Connection(), Counter(), b"", None
        self._used = True
        self._listening = self._writable = self._failed = self._heard_enough = self._deaf = False
        try:
            self._sock, self._connected = self._place.opened(step.buffer)
        except OSError as error:
            self._refused(error)
            return
        if not self._connected:
            yield from self._opens(self._sock)
        if self._connected:
            self.record.closed_by = ClosedBy.OPEN
            self.record.reach(Reached.CONNECTED)

    def _opens(self, sock: socket.socket) -> Turns:
        """Wait until the connection has opened, or cannot be."""
        deadline = perf_counter() + CONNECT_WITHIN
        self._listen(WRITES)
        while not self._writable:
            if perf_counter() > deadline:
                self._refused(TimeoutError())
                return
            yield deadline
        if self._failed and (number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            self._refused(OSError(number, ""))
            return
        self._connected = True
        self._listen(WRITES)  # what came with the opening was told already, and is told again

    def _refused(self, error: OSError) -> None:
        self.let_go(rst=True)
        self.record.closed_by = ClosedBy.REFUSED
        self.record.note(f"not connected: {why(error)}")

    def _leave(self, *, rst: bool) -> None:
        if self._sock is not None:
            self.record.left(rst=rst)
            self.let_go(rst=rst)

    def let_go(self, *, rst: bool) -> None:
        """Close the connection, if one is open."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._polling.forget(sock.fileno())
        if rst:
            reset(sock)
        else:
            sock.close()

    # reading

    def happened(self, events: int) -> None:
        """What the poll loop says of the connection."""
        if events & WRITABLE:
            self._writable = True
            self._failed = bool(events & ENDS)
        if self._deaf:
            if events & ENDS and "close" not in self._seen:
                self._closed(ClosedBy.RST if events & FAILED else ClosedBy.FIN)
        elif self._connected and events & READABLE:
            enough = AT_ONCE if events & ENDS == 0 else 1  # edges are told once: read up to the end, if it has come
            while self._sock is not None and self._read(self._sock) >= enough:
                pass

    def _read(self, sock: socket.socket) -> int:
        try:
            data = sock.recv(AT_ONCE)
        except BlockingIOError:
            return 0
        except OSError:
            self._take(b"", ClosedBy.RST)
            return 0
        self._take(data, ClosedBy.FIN)
        return len(data)

    def _take(self, data: bytes, closed_by: ClosedBy) -> None:
        if data and self._heard_enough:  # the handshake is complete, and no step waits for anything any more
            self._seen["bytes"] += 1
            self.record.received(data, [])
            return
        if self._shaking is not None and data:
            known = self._shaking, self._connection, data, self._seen, self.record
            self._connection, self._replies, notes = self._rehearsal.hear(*known)
            self._shaking = None
        else:
            notes = counted(self._connection, data, self._seen, self.record)
        self._heard_enough = self._connection.complete and self._at > self._listens
        if data:
            self._seen["bytes"] += 1
            self.record.received(data, notes)
            return
        if "close" not in self._seen:
            self._closed(closed_by)
        self.let_go(rst=False)

    def _closed(self, closed_by: ClosedBy) -> None:
        self._seen["close"] += 1
        self.record.closed_by = closed_by
        self.record.note(closed_by.value)

    # writing

    def _shake(self, step: Shake) -> Turns:
        if self._sock is None:
            return
        at, self._shaking = self.record.now(), step if self._connection.untouched else None
        greeting, note = self._keyring.begin(self._connection, step, Role.CLIENT)
        sent = yield from self._written(greeting)
        self.record.sent(at, greeting[:sent], sent, note=note)
        joined = any(map(_whole, self.script.steps[self._at + 1 : self._at + 2]))
        yield from self._until(
            lambda: self._sock is None or (self._connection.complete and (joined or self._flushed())), step.within
        )
        self._shaking = None
        if not joined:
            yield from self._flush()
        self.record.shaken(self._connection, step, Role.CLIENT)

    def _flushed(self) -> bool:
        return not (self._connection.has_data_to_send or self._replies)

    def _flush(self) -> Turns:
        """Send the honest replies that reading has produced; what cannot be sent now goes first the next time."""
        self._replies += self._connection.data_to_send()
        if self._replies and self._sock is not None:
            at = self.record.now()
            self._answered(at, (yield from self._written(self._replies)))

    def _answered(self, at: float, sent: int) -> int:
        """Of ``sent`` octets, those that were honest replies: they went first."""
        replies = self._replies[:sent]
        if replies:
            self.record.sent(at, replies, len(replies), note="honest reply")
            self._replies = self._replies[sent:]
        return len(replies)

    def answer(self) -> None:
        """Send the honest replies of a connection whose script has ended, as far as the target takes them at once."""
        for _ in self._flush():
            break

    def _send(self, step: Send) -> Turns:
        joined = _whole(step)
        if joined:
            self._replies += self._connection.data_to_send()
        elif not self._flushed():
            yield from self._flush()
        if self._sock is None:
            return
        seals, stage, at = self._connection.seals, self.record.stage, self.record.now()
        octets = self._octets(step)
        whole = octets * step.times
        if seals or step.fresh:
            whole = octets + b"".join([self._octets(step) for _ in range(step.times - 1)])
        if joined:
            sent = yield from self._written(self._replies + whole)
            sent -= self._answered(at, sent)
        else:
            sent = yield from self._pieces(whole, len(octets) if step.chunk is None else step.chunk, step.every)
        if sent:
            self.record.act(stage)
            self.record.within_message = unfinished(step.units, self.record.within_message)
        self.record.send(at, octets, sent, step.times, sealed=seals)

    def _octets(self, step: Send) -> bytes:
        return b"".join([self._connection.send(unit) for unit in said(step)])

    def _written(self, octets: bytes) -> Generator[float, None, int]:
        """Send; returns how many octets the target took. Why it took no more is noted."""
        rest: bytes | memoryview = octets
        sent, deadline = 0, perf_counter() + STALL
        while rest and self._sock is not None:
            try:
                count = self._sock.send(rest)
            except BlockingIOError:
                if perf_counter() > deadline:
                    self.record.note(f"target took nothing for {STALL:g} s")
                    break
                self._listen(WRITES)
                yield deadline
                continue
            except OSError as error:  # reading usually sees the close first
                self.record.note(f"write failed: {why(error)}")
                deadline = perf_counter() + GONE
                while self._sock is not None and perf_counter() < deadline:
                    yield deadline
                break
            sent += count
            self._meter.sent += count
            if sent == len(octets):
                break
            rest, deadline = memoryview(octets)[sent:], perf_counter() + STALL
        return sent

    def _pieces(self, octets: bytes, size: int, every: float) -> Generator[float, None, int]:
        """Send ``size`` octets at a time, ``every`` seconds apart; returns how many octets the target took."""
        sent = 0
        for number, start in enumerate(range(0, len(octets), max(size, 1))):
            piece = octets[start:] if number == MOST_PIECES else octets[start : start + size]
            taken = yield from self._written(piece)
            sent += taken
            if taken < len(piece) or number == MOST_PIECES:
                break
            until = perf_counter() + every
            while self._sock is not None and perf_counter() < until:
                yield until
        return sent

    # waiting

    def _until(self, condition: Callable[[], bool], within: float) -> Turns:
        """Answer honestly, where the script shook hands, until ``condition`` holds or ``within`` seconds are over."""
        deadline = perf_counter() + within
        while not condition():
            if not self._flushed():
                yield from self._flush()
                if condition():
                    return
            if perf_counter() >= deadline:
                return
            yield deadline

    def _expect(self, event: str, within: float) -> Turns:
        seen = self._seen
        taken = seen["message:taken"] if event == "message" else 0
        yield from self._until(lambda: self._sock is None or seen[event] > taken, within)
        if event == "message" and seen["message"] > taken:
            seen["message:taken"] += 1


def _whole(step: Step) -> bool:
    """Whether it is sent in one go."""
    return isinstance(step, Send) and step.chunk is None and not step.every
