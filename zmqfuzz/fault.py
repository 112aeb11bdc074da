"""What the proxy may do between two peers, and where: plain data, drawn by Hypothesis, read from a command line.

Contract: a fault is a value, equal to itself in every session; what cannot be meant is a UsageError of one sentence.
A point is a place in the octets that one side of one connection sends, counted from the first octet of that
connection, so that it is the same place in every run, whenever the fault is set.

========== =========================================================================================================
``after``  behind an event's last octet: ``connect`` (the first octet of all), ``GREETING``, a command's name
           (``READY``, ``PING`` ...), ``message``. ``READY`` is where that side's handshake ends: its READY, its
           INITIATE (PLAIN, CURVE), its greeting (ZMTP 1.0, 2.0).
``on``     the event itself: its first octet, or all of it where the fault changes what passes
``n``      which one, from 1; without it the first, or with ``on`` every one that passes from now on
``part``   of messages: this part, from 1; ``after="message", part=2`` is between parts 2 and 3
``octets`` so many octets further
``within`` with ``on``: ``length``, in the middle of the length octets, or ``body``, in the middle of the body
========== =========================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from zmqfuzz.errors import UsageError
from zmqfuzz.quantities import parse_count, parse_duration, parse_size
from zmqfuzz.zmtp.brief import Brief

__all__ = ["BOTH", "ENDINGS", "KINDS", "PACES", "TO_CLIENT", "TO_SERVER", "UNITS", "Fault"]

TO_SERVER, TO_CLIENT, BOTH = "client->server", "server->client", "both"
"""Directions: the client is who connected to the proxy."""

ENDINGS = ("hang", "half_close", "reset", "close", "vanish")
"""Faults that act at a point, on all that would follow."""

UNITS = ("drop", "truncate", "corrupt", "duplicate", "reorder")
"""Faults that change what passes, greeting by greeting, command by command, message by message."""

PACES = ("delay", "throttle", "split")
"""Faults that change when it passes, and in which segments."""

KINDS = (*ENDINGS, *UNITS, *PACES, "inject")

_OWN: Mapping[str, tuple[str, ...]] = {
    "delay": ("seconds",),
    "throttle": ("rate",),
    "truncate": ("keep",),
    "corrupt": ("offset", "mask"),
    "inject": ("data",),
    "split": ("size",),
    "reset": ("side",),
    "vanish": ("side",),
}
"""What a kind takes besides its point."""

_NEEDED = {"delay": "seconds=0.2", "throttle": "rate=1000", "inject": "data=b'\\x00\\x01x'"}
_WORD = re.compile(r"connect|message|[A-Z][A-Z0-9_.+-]{0,254}")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{text!r} is not octets; write them in hex, for example data=000178.") from None


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number; write, for example, offset=-1 or mask=0x80.") from None


_READ: Mapping[str, Callable[[str], Any]] = {
    "n": parse_count,
    "part": parse_count,
    "octets": parse_size,
    "connection": parse_count,
    "times": parse_count,
    "seconds": parse_duration,
    "rate": lambda text: parse_size(text.removesuffix("/s")),
    "keep": parse_size,
    "size": parse_size,
    "offset": _number,
    "mask": _number,
    "data": _hex,
}


@dataclass(frozen=True, slots=True, repr=False)
class Fault(Brief):
    """One fault. Raises UsageError: it cannot be meant.

    ``kind``: one of ``KINDS``. ``direction``: ``client->server``, ``server->client`` or ``both``; without it both,
    each by itself (``half_close``: towards the client); but ``reset``, ``close`` and ``vanish`` act once for the
    connection: behind ``connect``, ``GREETING`` and ``READY`` when both sides are, elsewhere when the first one is.
    ``connection``: only this one, from 1 in the order in which they come. ``times``: at most so many, of what ends
    connections in all, of everything else in each direction of each connection.

    Of single kinds: ``seconds`` of delay; ``rate`` in octets a second; ``keep``, the octets that are left of what is
    truncated; ``offset`` of the octet that is corrupted, from the first of its frame or backwards from the last (-1),
    and the bits that are flipped there (``mask``); ``data`` that is injected; ``size`` in octets of the segments that
    the stream is split into; ``side``: which peer meets the reset or the vanishing (``client``, ``server``, ``both``);
    the other one's connection is then closed, or for ``vanish`` left hanging.
    """

    kind: str
    after: str = ""
    on: str = ""
    n: int | None = None
    part: int | None = None
    octets: int = 0
    within: str = ""
    direction: str = ""
    connection: int | None = None
    times: int | None = None
    seconds: float = 0.0
    rate: int = 0
    keep: int = 0
    offset: int = -1
    mask: int = 0x01
    data: bytes = b""
    size: int = 1
    side: str = BOTH

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.kind not in KINDS:
            raise UsageError(f"There is no fault {self.kind!r}; there are {', '.join(KINDS)}.")
        self._check_point()
        for name in ("n", "part", "connection", "times"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{self.kind}: {name}={value!r} counts from 1; correct it.")
        for name in ("octets", "keep", "rate", "seconds"):
            if getattr(self, name) < 0:
                raise UsageError(f"{self.kind}: {name} cannot be negative; correct it.")
        if self.direction not in ("", TO_SERVER, TO_CLIENT, BOTH):
            raise UsageError(f"There is no direction {self.direction!r}; write {TO_SERVER}, {TO_CLIENT} or {BOTH}.")
        if self.side not in ("client", "server", BOTH):
            raise UsageError(f"There is no side {self.side!r}; write client, server or {BOTH}.")
        self._check_own()

    def _check_point(self) -> None:
        if self.after and self.on:
            raise UsageError(f"{self.kind}: after={self.after!r} and on={self.on!r} are two points; leave one out.")
        event = self.after or self.on
        if event and not _WORD.fullmatch(event):
            raise UsageError(f"{event!r} is no event; write connect, GREETING, message, or a command such as READY.")
        if self.on == "connect":
            raise UsageError("Nothing passes on connect; write after=connect.")
        if self.part is not None and event != "message":
            raise UsageError(f"{self.kind}: only a message has parts; write on=message or after=message.")
        if self.within and (self.within not in ("length", "body") or not self.on or self.on == "GREETING"):
            raise UsageError(f"{self.kind}: within=length or within=body goes with on=message or on= a command.")
        if self.within and (self.octets or self.kind in (*UNITS, *PACES)):
            raise UsageError(f"{self.kind}: within names one place, which this does not take; leave it out.")
        if self.octets and self.kind in (*UNITS, *PACES) and self.on:
            raise UsageError(f"{self.kind} on an event changes all of it; leave octets out, or write after=.")

    def _check_own(self) -> None:
        own = _OWN.get(self.kind, ())
        for field in fields(self)[10:]:
            if field.name not in own and getattr(self, field.name) != field.default:
                raise UsageError(f"{self.kind} takes no {field.name}; leave it out.")
        if (needed := _NEEDED.get(self.kind)) and not getattr(self, needed.partition("=")[0]):
            raise UsageError(f"{self.kind} needs a value; write, for example, {needed}.")
        if not 0 < self.mask < 256:
            raise UsageError(f"The mask {self.mask} flips no bit of an octet; write one from 0x01 to 0xff.")
        if self.size < 1:
            raise UsageError("split: a segment has at least one octet; write size=1.")
        if self.kind in ("duplicate", "reorder") and "GREETING" in (self.on,):
            raise UsageError(f"A greeting is sent once, before all else; {self.kind} a command or a message.")

    @property
    def event(self) -> str:
        """What its point is named after."""
        return self.after or self.on or "connect"

    @property
    def early(self) -> bool:
        """Whether its point is one in the handshake that both sides come to, whatever they are."""
        return not self.on and not self.octets and self.event in ("connect", "GREETING", "READY")

    def covers(self, direction: str, connection: int) -> bool:
        """Whether it concerns what goes in this direction of this connection."""
        wanted = self.direction or (TO_CLIENT if self.kind == "half_close" else BOTH)
        return wanted in (direction, BOTH) and self.connection in (None, connection)

    @classmethod
    def read(cls, text: str) -> Fault:
        """``hang after=READY``, ``delay 200ms on=message n=3``, ``inject data=0401 after=READY``. Raises UsageError.

        The first word is the kind; one without ``=`` behind it is what the kind takes first.
        """
        kind, *words = text.split() or [""]
        kind = kind.replace("-", "_")
        values: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals and _OWN.get(kind):
                name, value = _OWN[kind][0], name
            if name not in {field.name for field in fields(cls)[1:]}:
                raise UsageError(
                    f"{word!r} in the fault {text!r} says nothing; write, for example, after=READY or n=3."
                )
            if name in values:
                raise UsageError(f"The fault {text!r} says {name} twice; leave one out.")
            values[name] = _READ[name](value) if name in _READ else value
        return cls(kind, **values)

    def __str__(self) -> str:
        """As :meth:`read` takes it."""
        words = [self.kind.replace("_", "-")]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                words.append(f"{field.name}={value.hex() if isinstance(value, bytes) else value}")
        return " ".join(words)
