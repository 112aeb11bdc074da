"""What passed, and what was done: a log of decoded events, the octets of both sides, and who waits for which event.

Contract: written by the proxy's thread, read by any; nothing of a peer is printed without being made printable. Of the
octets ``keep`` are kept, and of the events the first 100,000; what is not kept is counted, and nothing is said of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from zmqfuzz.campaign.text import printable, quantity
from zmqfuzz.errors import Inconclusive
from zmqfuzz.fault import TO_CLIENT, TO_SERVER
from zmqfuzz.notes import words
from zmqfuzz.zmtp.events import CommandReceived, ErrorReceived
from zmqfuzz.zmtp.reader import GreetingReceived, read_command, read_error
from zmqfuzz.zmtp.spans import Span, SpanKind
from zmqfuzz.zmtp.wire import Frame

__all__ = ["Entry", "Passage", "Recorder", "event_of", "words_of"]

MOST = 100_000
"""Entries that are kept."""

_ARROWS = {TO_SERVER: "->", TO_CLIENT: "<-"}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: ``at`` seconds since the proxy began, on ``connection`` (from 1), in ``direction`` (empty: neither).

    ``event``: ``connect``, ``GREETING``, a command's name, ``part`` (a frame with more to come), ``message`` (its last
    frame), ``fin``, ``rst``, ``closed``, ``refused``, ``raw`` (not ZMTP any more), ``fault``. ``octets``: the first
    ones, of ``size``.
    """

    at: float
    connection: int
    direction: str
    event: str
    words: str
    octets: bytes = b""
    size: int = 0

    def __str__(self) -> str:
        """One line, safe to print."""
        shown = self.octets[:_SHOWN].hex(" ") + (" ..." if self.size > _SHOWN else "")
        text = f"{self.at:9.3f}  #{self.connection} {_ARROWS.get(self.direction, '..')} {printable(self.words)}"
        return f"{text:<70} {shown}".rstrip()


@dataclass(frozen=True, slots=True)
class Passage:
    """One connection, as far as it has got. ``octets`` and ``messages``: to the server, to the client.

    ``ended``: how, in words; empty while it is open. ``version`` and ``mechanism`` are the client's.
    """

    number: int
    version: str = ""
    mechanism: str = ""
    octets: tuple[int, int] = (0, 0)
    messages: tuple[int, int] = (0, 0)
    ended: str = ""


def event_of(span: Span) -> str:
    """Its name for who waits."""
    if span.kind is SpanKind.FRAME:
        return "part" if span.more else "message"
    return "raw" if span.kind is SpanKind.UNREADABLE else span.name.decode("ascii", "backslashreplace")


def words_of(span: Span, mechanism: bytes) -> str:
    """A few words for it; not made printable yet."""
    match span.kind:
        case SpanKind.GREETING:
            return words(span.greeting) if span.greeting is not None else "greeting"
        case SpanKind.UNREADABLE:
            return f"not readable as ZMTP ({span.reason}): forwarded as it is from here on"
        case SpanKind.FRAME if span.name:
            return f"{span.name.decode('ascii')} {span.message}, {quantity((span.size or 0) - span.header)}, sealed"
        case SpanKind.FRAME:
            more = ", MORE" if span.more else ""
            return f"message {span.message}, part {span.part}, {quantity((span.size or 0) - span.header)}{more}"
    frame = Frame(span.body, command=True)
    error = read_error(frame) if span.name == b"ERROR" else None
    return words(ErrorReceived(error[0]) if error else CommandReceived(read_command(frame, mechanism)[0]))


@dataclass
class Recorder:
    """The record of one proxy. ``tell`` is called with each entry, in the proxy's thread."""

    keep: int = 64 << 20
    tell: Callable[[Entry], None] | None = None
    _began: float = field(default_factory=time.monotonic)
    _entries: list[Entry] = field(default_factory=list)
    _more: int = 0
    _octets: dict[tuple[int, str], bytearray] = field(default_factory=dict)
    _kept: int = 0
    _not_kept: int = 0
    _passages: dict[int, Passage] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _over: bool = False

    def note(
        self, connection: int, event: str, text: str, direction: str = "", octets: bytes = b"", size: int = 0
    ) -> None:
        """Something happened."""
        entry = Entry(time.monotonic() - self._began, connection, direction, event, text, octets, size)
        with self._changed:
            if len(self._entries) < MOST:
                self._entries.append(entry)
            else:
                self._more += 1
            self._changed.notify_all()
        if self.tell is not None:
            self.tell(entry)

    def opened(self, connection: int) -> None:
        """A client has connected."""
        with self._changed:
            self._passages[connection] = Passage(connection)

    def greeted(self, connection: int, direction: str, greeting: GreetingReceived) -> None:
        """A greeting is complete; the client's is kept."""
        if direction == TO_SERVER:
            text = printable(greeting.mechanism.decode("ascii", "backslashreplace"))
            with self._changed:
                old = self._passages[connection]
                self._passages[connection] = replace(old, version=greeting.version, mechanism=text)

    def ended(self, connection: int, how: str) -> None:
        """The connection is over."""
        with self._changed:
            self._passages[connection] = replace(self._passages[connection], ended=how)
        self.note(connection, "closed", how)

    def arrived(self, connection: int, direction: str, octets: bytes) -> None:
        """Octets that a peer has sent."""
        with self._changed:
            room = max(0, self.keep - self._kept)
            self._octets.setdefault((connection, direction), bytearray()).extend(octets[:room])
            self._kept += min(room, len(octets))
            self._not_kept += max(0, len(octets) - room)
            self._count(connection, direction, octets=len(octets))

    def message(self, connection: int, direction: str) -> None:
        """A message is complete."""
        with self._changed:
            self._count(connection, direction, messages=1)

    def _count(self, connection: int, direction: str, *, octets: int = 0, messages: int = 0) -> None:
        old, up = self._passages[connection], direction == TO_SERVER
        self._passages[connection] = replace(
            old,
            octets=(old.octets[0] + octets * up, old.octets[1] + octets * (not up)),
            messages=(old.messages[0] + messages * up, old.messages[1] + messages * (not up)),
        )

    # for any thread

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that is kept."""
        with self._changed:
            return tuple(self._entries)

    @property
    def passages(self) -> tuple[Passage, ...]:
        """All connections."""
        with self._changed:
            return tuple(self._passages.values())

    def saw(self, octets: bytes) -> bool:
        """Whether a peer has sent ``octets``, in one direction of one connection. Raises Inconclusive: not all kept."""
        with self._changed:
            if any(octets in kept for kept in self._octets.values()):
                return True
            if self._not_kept:
                raise Inconclusive(
                    f"{quantity(self._not_kept)} passed that were not kept, so they cannot be searched; "
                    f"give the proxy keep={self._kept + self._not_kept} or more."
                )
            return False

    def wait(self, fits: Callable[[Entry], bool], n: int, within: float) -> Entry | None:
        """The ``n``-th entry that ``fits``, from the first of all; None: not ``within`` so many seconds."""
        found: list[Entry] = []
        seen = 0

        def there() -> bool:
            nonlocal seen
            found.extend(filter(fits, self._entries[seen:]))
            seen = len(self._entries)
            return len(found) >= n or self._over

        with self._changed:
            self._changed.wait_for(there, within)
            return found[n - 1] if len(found) >= n else None

    def over(self) -> None:
        """Nothing more will come: nobody is to wait."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
