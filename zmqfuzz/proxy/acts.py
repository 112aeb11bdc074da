"""What faults do to the octets of one direction while they pass: drop, truncate, corrupt, duplicate, reorder. No I/O.

Contract: an act sees every piece in its order and gives the octets that go on in its place. It changes whole units: a
greeting, a command, a message with all its parts (or the one ``part`` that is named; truncate and corrupt: the last),
and only those whose first octet has not passed when it is set.
"""

from __future__ import annotations

from zmqfuzz.fault import Fault
from zmqfuzz.proxy.points import Point, matches
from zmqfuzz.zmtp.spans import GREETING_OCTETS, Piece, Span, SpanKind

__all__ = ["Act", "Chooser", "act_of"]


class Chooser:
    """Which units a fault concerns: those named by ``on``, or all messages behind the point."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.point = Point(fault)
        self._chosen: tuple[str, int] | None = None
        self._single = fault.kind in ("truncate", "corrupt")
        self.count = 0

    def _unit(self, span: Span) -> tuple[str, int]:
        by_message = span.kind is SpanKind.FRAME and self.fault.part is None and not self._single
        return (span.kind.value, span.message if by_message else span.start)

    def concerns(self, piece: Piece, *, begun: bool) -> bool:
        """Whether the piece is of a chosen unit; ``begun``: octets of its span have passed already."""
        span, unit = piece.span, self._unit(piece.span)
        if unit == self._chosen:
            return True
        first = piece.start == span.start and not begun and (span.part <= 1 or unit[1] == span.start)
        if not first or not self._fits(span) or self.count == self.fault.times:
            return False
        self._chosen = unit
        self.count += 1
        return True

    def _fits(self, span: Span) -> bool:
        if self._single and span.more and self.fault.part is None:
            return False
        if self.fault.on:
            return matches(self.fault, span)
        reached = self.point.position is not None and span.start >= self.point.position
        return reached and span.kind is SpanKind.FRAME and self.fault.part in (None, span.part)

    def ends(self, piece: Piece) -> bool:
        """Whether the unit ends with this piece."""
        span = piece.span
        return piece.last and not (span.more and self._unit(span)[1] == span.message and span.kind is SpanKind.FRAME)


class Act(Chooser):
    """One fault in one direction; this one drops."""

    def change(self, piece: Piece, octets: bytes, *, begun: bool) -> bytes:
        """What goes on instead of ``octets``."""
        return self._changed(piece, octets) if self.concerns(piece, begun=begun) else octets

    def _changed(self, piece: Piece, octets: bytes) -> bytes:
        return b""

    def release(self) -> bytes:
        """What was held back, when nothing is to be held back any more."""
        return b""


class _Truncate(Act):
    def _changed(self, piece: Piece, octets: bytes) -> bytes:
        return octets[: max(0, self.fault.keep - (piece.start - piece.span.start))]


class _Corrupt(Act):
    def _changed(self, piece: Piece, octets: bytes) -> bytes:
        size = piece.span.size or GREETING_OCTETS
        at = self.fault.offset % size - (piece.start - piece.span.start)
        if not 0 <= at < len(octets):
            return octets
        return octets[:at] + bytes([octets[at] ^ self.fault.mask]) + octets[at + 1 :]


class _Duplicate(Act):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self._copy = bytearray()

    def _changed(self, piece: Piece, octets: bytes) -> bytes:
        self._copy += octets
        if not self.ends(piece):
            return octets
        copy = bytes(self._copy)
        self._copy.clear()
        return octets + copy


class _Reorder(Act):
    """A unit changes its place with the next one: of messages the next message, of a command whatever follows."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self._held = bytearray()
        self._whole = False

    def concerns(self, piece: Piece, *, begun: bool) -> bool:
        return not self._whole and super().concerns(piece, begun=begun)

    def change(self, piece: Piece, octets: bytes, *, begun: bool) -> bytes:
        if not self._whole:
            return super().change(piece, octets, begun=begun)
        of_messages = self._chosen is not None and self._chosen[0] == SpanKind.FRAME.value
        if not self.ends(piece) or (of_messages and piece.span.kind is not SpanKind.FRAME):
            return octets
        return octets + self.release()

    def _changed(self, piece: Piece, octets: bytes) -> bytes:
        self._held += octets
        self._whole = self.ends(piece)
        return b""

    def release(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        self._whole = False
        self._chosen = None
        return held


_ACTS = {"drop": Act, "truncate": _Truncate, "corrupt": _Corrupt, "duplicate": _Duplicate, "reorder": _Reorder}


def act_of(fault: Fault) -> Act:
    """The act of a fault that changes what passes."""
    return _ACTS[fault.kind](fault)
