"""Where a fault's point lies in what one side of one connection sends. Pure."""

from __future__ import annotations

from zmqfuzz.fault import Fault
from zmqfuzz.zmtp.spans import Span, SpanKind

__all__ = ["Point", "matches"]


def matches(fault: Fault, span: Span) -> bool:
    """Whether ``span`` is the event that the fault names, or of a message one of its frames."""
    event = fault.event
    if fault.n not in (None, span.ordinal):
        return False
    if event == "message":
        return span.kind is SpanKind.FRAME and fault.part in (None, span.part)
    if event == "READY" and fault.after:
        return span.ready
    return span.kind is not SpanKind.UNREADABLE and span.name == event.encode("ascii")


class Point:
    """The place of one fault in one direction: ``position`` in octets from the first, None while it is not known."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self.position: int | None = fault.octets if fault.event == "connect" else None

    def again(self) -> None:
        """Look for the next place like it."""
        self.position = None

    def begins(self, span: Span) -> None:
        """``span`` begins, its head is known."""
        fault = self._fault
        if self.position is None and fault.on and matches(fault, span) and span.part <= (fault.part or 1):
            self.position = span.start + self._inside(span)

    def ends(self, span: Span, end: int) -> None:
        """``span`` has ended, before octet ``end``."""
        fault = self._fault
        whole = fault.part is not None or not span.more or span.kind is not SpanKind.FRAME
        if self.position is None and fault.after and matches(fault, span) and whole:
            self.position = end + fault.octets

    def _inside(self, span: Span) -> int:
        """Octets into the span: behind the flags (RFC 13: the length is first) and half of the length octets."""
        size = span.size if span.size is not None else span.header
        if self._fault.within == "length":
            return 1 if span.header == 2 else 5
        if self._fault.within == "body":
            return span.header + (size - span.header) // 2
        return min(self._fault.octets, size) if span.size is not None else self._fault.octets
