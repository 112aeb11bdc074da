"""Readers of what a target sends, of whom one stands still for a time: what it missed, and what overtook what. Pure.

That something was lost is known where messages differ: who reads on gets, between two messages of the feed, none of
those that another reader of the same socket got between them, as each pipe of a PUB keeps the order of its messages
(libzmq ``src/dist.cpp``); or where each holds a number that grows by one, and numbers are missing. Of answers, where
each question has one in quiet times, their number tells it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from zmqfuzz.measured import Feed
from zmqfuzz.script import Attack, Await, Close, Connect, ReadOn, Script, Send, Shake, Step, StopReading, Wait
from zmqfuzz.stopping import Request
from zmqfuzz.trial import Surface

__all__ = [
    "CALM",
    "ENOUGH",
    "LEARNT",
    "MARK",
    "ON",
    "OVER",
    "READER",
    "STILL",
    "Heard",
    "Lost",
    "Place",
    "asked",
    "awaited",
    "behind",
    "dense",
    "everybody_reads",
    "late",
    "lost",
    "missing",
    "missing_numbers",
    "numbers",
    "parted",
    "shared",
    "silent",
    "swapped",
    "until_full",
]

READER, STILL = "reader", "reader that stands still"
LEARNT, ON, OVER = "calm is over", "read on", "it is over"
"""Signals: the feed is known; who stands still reads on; what waited for it has come."""

CALM = 30
"""Messages of a reader alone whose numbers must all be one more than the last, and of different content."""

ENOUGH = 10
"""Messages that must be missing behind ten that were not: a reader that is never sent all is not behind."""

_FIRST = 5
"""Messages of who stands still that are not looked at: a reader that has just gone may have taken some of them."""

MUCH = 0.2
"""Share of numbers that nobody was sent, at a door where each reader is sent everything, from which a program throws
away what one reader has no room for: below it, what it did not make in time may be all of them."""

SWAPPED = 2
"""Messages that must come behind later ones."""

MARK, _TAKEN = 3000, 520_000
"""Messages beyond the usual mark of 1000 that make sure that it is reached, and octets that both kernels take before:
twice what a narrow connection was seen to take (:mod:`zmqfuzz.stopping`)."""

_NARROW = 1024  # below 2048 segments are small, and the kernels take little (:mod:`zmqfuzz.endpoints`)
_LEAVES = 0.3
"""Seconds in which the target learns that a reader has gone."""

_WITHIN = 120.0
_HEAD, _FRAMES, _MOST = 256, 4, 150_000
"""Of a message, octets of a frame and frames that are kept; and messages of one reader."""

Place = tuple[int, str, int]
"""Where in a message a number stands: its frame; ``text``, or the order of its octets; of several, which."""


def shared(surface: Surface) -> bool:
    """Whether each reader is sent everything."""
    return surface.socket_type in ("PUB", "XPUB")


def until_full(size: float) -> int:
    """Messages of ``size`` octets after which any usual mark of one reader is reached."""
    return MARK + round(_TAKEN / max(size, 1.0))


def behind(surface: Surface, request: Request, strategy: str, times: int = 0) -> Attack:
    """A reader that stands still while the target goes on sending, and then reads on.

    Of what a target sends by itself another one reads all: first, and beside it where each is sent everything. Of
    answers: ``times`` are asked for.
    """

    def opening(buffer: int | None) -> tuple[Step, ...]:
        sends = (Send(request.units),) if request.units and not request.answered else ()
        return Connect(buffer), Shake(request.kind, mechanism=surface.mechanism, within=5.0), *sends

    over, on = Await(OVER, within=_WITHIN), Await(ON, within=_WITHIN)
    if request.answered:
        asks = Send(request.units, times=times)
        return Attack(
            (Script((*opening(_NARROW), StopReading(), asks, on, ReadOn(), over), label=STILL),), strategy=strategy
        )
    learnt = Await(LEARNT, within=_WITHIN)
    first: tuple[Step, ...] = (over,) if shared(surface) else (learnt, Close())
    waits: tuple[Step, ...] = () if shared(surface) else (Wait(_LEAVES),)
    still = (learnt, *waits, *opening(_NARROW), StopReading(), on, ReadOn(), over)
    return Attack((Script((*opening(None), *first), label=READER), Script(still, label=STILL)), strategy=strategy)


def everybody_reads(attack: Attack) -> Attack:
    """The same peers, none of whom stands still."""

    def steps(script: Script) -> Iterable[Step]:
        for step in script.steps:
            if isinstance(step, Connect):
                yield Connect()
            elif not isinstance(step, StopReading | ReadOn):
                yield step

    return replace(attack, scripts=tuple(replace(script, steps=tuple(steps(script))) for script in attack.scripts))


def parted(attack: Attack) -> tuple[Attack, Attack]:
    """The reader, and who stands still: each is listened to by itself."""
    still = tuple(script for script in attack.scripts if script.label == STILL)
    return replace(attack, scripts=tuple(one for one in attack.scripts if one not in still)), replace(
        attack, scripts=still
    )


def asked(attack: Attack) -> int:
    """Answers that are asked for; 0: the target sends by itself."""
    if any(script.label == READER for script in attack.scripts):
        return 0
    return sum(step.times for script in attack.scripts for step in script.steps if isinstance(step, Send))


def awaited(attack: Attack) -> tuple[str, ...]:
    """The signals that its peers await, in their order."""
    return tuple(dict.fromkeys(step.name for one in attack.scripts for step in one.steps if isinstance(step, Await)))


@dataclass(frozen=True, slots=True)
class Lost:
    """As in :class:`~zmqfuzz.measured.Feed`."""

    missing: int
    sent: int
    by: str = ""
    why: str = ""


@dataclass(slots=True)
class Heard:
    """Messages that one reader got, in their order: what tells them apart, and how each begins."""

    keys: list[int] = field(default_factory=list)
    heads: list[tuple[bytes, ...]] = field(default_factory=list)
    count: int = 0
    octets: int = 0

    def take(self, parts: tuple[bytes, ...]) -> None:
        """One message."""
        self.count += 1
        self.octets += sum(map(len, parts))
        if len(self.keys) < _MOST:
            self.keys.append(hash(parts))
            self.heads.append(tuple(part[:_HEAD] for part in parts[:_FRAMES]))

    @property
    def size(self) -> float:
        """Octets of one message."""
        return self.octets / max(self.count, 1)


def _numbers(head: tuple[bytes, ...]) -> dict[Place, int]:
    found: dict[Place, int] = {}
    for number, frame in enumerate(head):
        for place, digits in enumerate(re.finditer(rb"\d+", frame)):
            if digits.end() < _HEAD:  # else there may be more of them
                found[number, "text", place] = int(digits[0])
        for size in (2, 4, 8):
            if len(frame) >= size:
                found[number, "big", size] = int.from_bytes(frame[:size], "big")
                found[number, "little", size] = int.from_bytes(frame[:size], "little")
    return found


def dense(heads: Sequence[tuple[bytes, ...]]) -> Place | None:
    """Where each of CALM messages and more holds a number that is one more than that of the message before."""
    if len(heads) < CALM:
        return None
    last = _numbers(heads[0])
    places = set(last)
    for head in heads[1:]:
        these = _numbers(head)
        places = {place for place in places if these.get(place) == last[place] + 1}
        last = these
    return min(places, key=lambda place: (place[1] != "text", place), default=None)


def numbers(place: Place, heads: Sequence[tuple[bytes, ...]]) -> list[int]:
    """The numbers that stand there; messages without one are left out."""
    number, order, which = place
    frames = [head[number] for head in heads if len(head) > number]
    if order == "text":
        found = (re.findall(rb"\d+", frame) for frame in frames)
        return [int(digits[which]) for digits in found if len(digits) > which]
    ways: dict[str, Literal["big", "little"]] = {"big": "big", "little": "little"}
    return [int.from_bytes(frame[:which], ways[order]) for frame in frames if len(frame) >= which]


def missing_numbers(values: Sequence[int]) -> int | None:
    """How many are missing behind ten in a row; None: that cannot be said."""
    values = values[_FIRST:]
    run = values[:ENOUGH]
    if len(run) < ENOUGH or run[-1] - run[0] != ENOUGH - 1 or min(values) != run[0]:
        return None  # it is never sent all; or they begin anew
    return max(values) - run[0] + 1 - len(set(values))


def missing(still: Sequence[int], reader: Sequence[int]) -> int | None:
    """How many messages that a reader got between two that who stood still got, too, the latter did not get.

    Only those that came once. None: that cannot be said, as they are alike, not all for it, or in another order.
    """
    once = [key for key, times in Counter(reader).items() if times == 1]  # in the order in which they came
    at = {key: place for place, key in enumerate(once)}
    places = [at[key] for key, times in Counter(still).items() if times == 1 and key in at]
    run = places[:ENOUGH]
    if len(run) < ENOUGH or run[-1] - run[0] != ENOUGH - 1 or places != sorted(places):
        return None
    return places[-1] - places[0] + 1 - len(places)


def late(values: Sequence[int]) -> int:
    """How many come behind later ones, and were not there before; where numbers begin anew they are earlier ones."""
    values = values[_FIRST:]
    seen: set[int] = set()
    count, latest = 0, values[0] if values else 0
    for value in values:
        count += value < latest and value > values[0] and value not in seen
        latest = max(latest, value)
        seen.add(value)
    return count


def lost(surface: Surface, reader: Heard, still: Heard, place: Place | None) -> Lost:
    """What who stood still did not get of what a target sends by itself."""
    count = missing(still.keys, reader.keys) if shared(surface) else None
    if count:
        return Lost(count, still.count + count, "what another reader got meanwhile")
    gone = missing_numbers(numbers(place, still.heads)) if place is not None else None
    if gone is not None and (gone >= MUCH * (still.count + gone) or not shared(surface)):
        return Lost(gone, still.count + gone, "the numbers in messages")
    if count is not None:
        return Lost(0, still.count, "what another reader got meanwhile")
    alike = "its messages are alike" if shared(surface) else "no number in its messages grows by one"
    return Lost(0, still.count, why=f"{alike}, or not all of them were for this reader, or few came")


def silent(feed: Feed) -> bool:
    """Whether messages were surely dropped, and the program did not say so."""
    return feed.missing >= ENOUGH and feed.told == 0 and not feed.before


def swapped(feed: Feed) -> int:
    """Messages behind later ones where one reader stood still, and none before; else 0."""
    return feed.late if feed.numbered and feed.late >= SWAPPED else 0
