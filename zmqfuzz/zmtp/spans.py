"""One direction of a stream between two others, cut into greeting, commands and message frames while it arrives.

Contract: no octet is lost, added or changed: the pieces, in order, are what was fed. A greeting comes in pieces as it
arrives, since its sender waits for the other side's in the middle of it (RFC 37: it tells the version after eleven
octets). Of a frame only the head is kept back until it is complete: flags and length, and a command's name. Where
nobody could say where the next frame begins, all that follows is one span of kind UNREADABLE. Nothing here raises.

Sources: RFC 37, RFC 15 and RFC 13 (framing); RFC 26: ``message = command-size %d7 "MESSAGE" short-nonce box``, which
libzmq sends without the COMMAND flag (4.3.5 ``src/curve_mechanism_base.cpp:encode``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from zmqfuzz.zmtp.reader import (
    OLD_VERSIONS,
    WITH_METADATA,
    Buffer,
    GreetingReceived,
    Unreadable,
    read_greeting,
)
from zmqfuzz.zmtp.wire import COMMAND, LONG, MORE, Framing

__all__ = ["GREETING_OCTETS", "Cutter", "Piece", "Span", "SpanKind"]

GREETING_OCTETS = 64
"""RFC 37: a greeting of 3.x."""

_KEPT = 4096
"""Octets of a command's body that are kept, for who shows it; of a message frame's, a few."""
_KEPT_OF_MESSAGES = 16
_MOST_IDENTITY = 1 << 16
_MOST = (1 << 63) - 1
"""RFC 37: the most significant bit of a long length is zero."""

_LONGEST_HEAD = 9 + 1 + 255
"""Flags, a long length, and a command's name after its length."""

_PLAIN_ERROR = b"^RROR"
"""See :func:`zmqfuzz.zmtp.reader.read_error`."""


class SpanKind(StrEnum):
    """What a span is."""

    GREETING = "greeting"
    COMMAND = "command"
    FRAME = "frame"
    UNREADABLE = "unreadable"


@dataclass(slots=True)
class Span:
    """One of them, at octet ``start`` of its direction; ``size`` with its head of ``header`` octets, None: unknown.

    ``name``: a command's; MESSAGE for a frame of CURVE traffic. ``ordinal``: the how manieth of its name it is, from
    1; of a message frame ``message`` says of which message it is part ``part``, both from 1. ``ready``: with its end
    that side's handshake is over (READY; INITIATE of PLAIN and CURVE; the greeting of 1.0 and 2.0). ``body``: how it
    begins.
    """

    kind: SpanKind
    start: int
    header: int = 0
    size: int | None = None
    name: bytes = b""
    ordinal: int = 1
    message: int = 0
    part: int = 0
    more: bool = False
    ready: bool = False
    body: bytes = b""
    greeting: GreetingReceived | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets of one span, beginning at octet ``start`` of the direction; ``last``: the span ends with them."""

    span: Span
    start: int
    octets: bytes
    last: bool

    @property
    def end(self) -> int:
        """The octet behind it."""
        return self.start + len(self.octets)


class Cutter:
    """Cuts one direction. ``answered`` gives the first octets that its sender has received: they decide the version."""

    def __init__(self, answered: Callable[[], bytes]) -> None:
        self._answered = answered
        self._buffer = Buffer()
        self._fed = 0
        self._greeting: Span | None = Span(SpanKind.GREETING, 0, name=b"GREETING")
        self._framing = Framing.V2
        self._head = bytearray()
        self._span: Span | None = None
        self._left = 0  # octets of the body still to come
        self._ordinals: Counter[bytes] = Counter()
        self._messages = 0
        self._part = 0
        self.version = ""
        self.mechanism = b""

    @property
    def held(self) -> bytes:
        """The head that is not complete: it was fed and is in no piece yet."""
        return bytes(self._head)

    @property
    def raw(self) -> bool:
        """Whether the stream cannot be read any more."""
        return self._span is not None and self._span.kind is SpanKind.UNREADABLE

    def feed(self, octets: bytes) -> list[Piece]:
        """What arrived, cut."""
        start, self._fed = self._fed, self._fed + len(octets)
        if self._greeting is None:
            return self._frames(octets, start)
        return self._greet(self._greeting, octets, start)

    def end(self) -> list[Piece]:
        """The stream has ended: a head that never became complete."""
        if not self._head:
            return []
        head, self._head = bytes(self._head), bytearray()
        start = self._fed - len(head)
        return [Piece(self._unreadable(start, "the stream ended within the head of a frame"), start, head, False)]

    def _greet(self, span: Span, octets: bytes, start: int) -> list[Piece]:
        self._buffer.feed(octets)
        try:
            first = self._buffer.peek(2)
            if first[:1] != b"\xff" and len(first) == 2 and first[1] & ~MORE:
                raise Unreadable("it begins with no greeting of ZMTP")
            found = read_greeting(self._buffer, self._answered(), _MOST_IDENTITY)
        except Unreadable as error:
            self._greeting = None
            return [Piece(self._unreadable(start, error.reason), start, octets, False)]
        if found is None:
            return [Piece(span, start, octets, False)]
        self._greeting = None
        greeting, self._framing, _ = found
        self.version, self.mechanism = greeting.version, greeting.mechanism
        rest = self._buffer.take(len(self._buffer)) or b""
        end = self._fed - len(rest)
        span.size, span.greeting, span.ready = end, greeting, greeting.version in OLD_VERSIONS
        # What was taken for its greeting may have been more than that, before it was known whom it answers.
        begun = min(start, end)
        return [Piece(span, begun, octets[: max(0, end - start)], True), *self._frames(rest, end)]

    def _frames(self, octets: bytes, start: int) -> list[Piece]:
        octets, start = bytes(self._head) + octets, start - len(self._head)
        self._head.clear()
        pieces: list[Piece] = []
        at = 0
        while at < len(octets):
            span = self._span or self._read_head(octets[at : at + _LONGEST_HEAD], start + at)
            if span is None:
                self._head += octets[at:]
                break
            if self._span is None:
                self._span, self._left = span, span.size or 0
            taken = octets[at : at + self._left]
            self._left -= len(taken)
            self._keep(span, taken, start + at - span.start)
            pieces.append(Piece(span, start + at, taken, not self._left))
            at += len(taken)
            if not self._left:
                self._span = None
        return pieces

    @staticmethod
    def _keep(span: Span, taken: bytes, before: int) -> None:
        """The beginning of the body; ``before``: octets of the span that came before these."""
        room = span.header + (_KEPT if span.kind is SpanKind.COMMAND else _KEPT_OF_MESSAGES)
        if before < room:
            span.body += taken[max(0, span.header - before) : room - before]

    def _read_head(self, head: bytes, start: int) -> Span | None:
        """The frame that ``head`` begins, None: more octets are needed."""
        first = self._framing is Framing.V1
        long = head[:1] == b"\xff" if first else bool(head[0] & LONG)
        header = (10 if first else 9) if long else 2
        if len(head) < header:
            return None
        flags = head[header - 1] if first else head[0]
        size = int.from_bytes(head[1:9] if long else head[:1] if first else head[1:2], "big") - first
        allowed = MORE if first else MORE | LONG if self.version in OLD_VERSIONS else MORE | LONG | COMMAND
        if flags & ~allowed:
            return self._unreadable(start, f"a frame with reserved flag bits {flags & ~allowed:#04x}")
        if not 0 <= size <= _MOST:
            return self._unreadable(start, f"a frame of length {size + first}")
        name = b""
        if flags & COMMAND and not first:
            known = min(size, 1 + head[header]) if len(head) > header else size
            if len(head) < header + known or (size and len(head) == header):
                return None
            name = head[header + 1 : header + known]
            name = b"ERROR" if head[header:].startswith(_PLAIN_ERROR) else name
        curve = self.mechanism == b"CURVE"
        if (not flags & COMMAND or first) or (curve and name == b"MESSAGE"):
            return self._message_frame(start, header, size, bool(flags & MORE), b"MESSAGE" if curve else b"")
        self._ordinals[name] += 1
        more, ready = bool(flags & MORE), name in WITH_METADATA
        return Span(SpanKind.COMMAND, start, header, header + size, name, self._ordinals[name], more=more, ready=ready)

    def _message_frame(self, start: int, header: int, size: int, more: bool, name: bytes) -> Span:
        if not self._part:
            self._messages += 1
        self._part += 1
        span = Span(
            SpanKind.FRAME, start, header, header + size, name, self._messages, self._messages, self._part, more
        )
        self._part = self._part if more else 0
        return span

    def _unreadable(self, start: int, reason: str) -> Span:
        self._span, self._left = Span(SpanKind.UNREADABLE, start, reason=reason), _MOST
        return self._span
