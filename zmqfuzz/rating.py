"""Floods that pass a promised rate, and what may be taken of them. Pure.

A limiter lets through a rate and, once, a burst: of a flood no more than ``burst + rate * seconds``. Whatever makes the
target or zmqfuzz late only lowers what is counted until then, so a busy machine cannot make a limit look broken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from zmqfuzz.budget import Limits
from zmqfuzz.measured import Flow
from zmqfuzz.script import Attack, Connect, Script, Send, Shake
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Frame, Unit

__all__ = [
    "BYSTANDER",
    "GENTLE",
    "MANY",
    "RATING",
    "Tally",
    "allowed",
    "burst",
    "flood",
    "gentle",
    "message_of",
    "offered",
    "told",
    "way",
]

RATING = "rate"
"""Instead of the name of a family."""

MANY = 8
"""Peers of the second flood: a limit for each connection lets through so many times as much."""

BYSTANDER, GENTLE = "bystander", "gentle peer"

_BURST = 2.0
"""Seconds' worth of messages that may be taken at once where no burst is declared."""

_TOLERANCE, _MORE = 1.2, 2
"""How much more than promised is a breach: a share, and messages; limiters count in ticks."""

_TIMES = 3.0
"""How many times of what may be taken is offered."""

_SHORTEST, _LONGEST, _MESSAGES = 3.0, 6.0, 20.0
"""Seconds of a flood, and messages that the rate alone should let through in them."""

_TICK = 0.02
"""Seconds between two writes of a peer at least: what is due is written together."""

_ASKS = 0.1
"""Seconds between two messages of a bystander."""


def burst(limits: Limits) -> float:
    """Messages that may be taken at once beyond the rate."""
    return float(limits.burst) if limits.burst is not None else max(1.0, _BURST * (limits.rate or 0.0))


def allowed(limits: Limits, seconds: float) -> float:
    """Messages of a flood that may be taken in so many seconds; more is a breach."""
    return _TOLERANCE * (burst(limits) + (limits.rate or 0.0) * seconds) + _MORE


def flood(surface: Surface, kind: str, units: tuple[Unit, ...], limits: Limits, peers: int, *, beside: bool) -> Attack:
    """``peers`` honest peers of type ``kind`` that send the message ``units`` evenly, several times too often.

    ``beside``: and one that sends it now and then.
    """
    rate = limits.rate or 1.0
    seconds = min(_LONGEST, max(_SHORTEST, _MESSAGES / rate))
    each = _TIMES * allowed(limits, seconds) / seconds / peers
    bunch = max(1, round(each * _TICK))
    times = max(2, math.ceil(seconds * each / bunch))
    opening = (Connect(), Shake(kind, mechanism=surface.mechanism, within=5.0))
    sends = Send(units * bunch, times=times, every=seconds / times)
    scripts = [Script((*opening, sends), times=peers, label="attacker")]
    if beside:
        asks = Send(units, times=round(seconds / _ASKS), every=_ASKS)
        scripts.append(Script((*opening, asks), label=BYSTANDER))
    return Attack(tuple(scripts), strategy=RATING)


def gentle(surface: Surface, kind: str, units: tuple[Unit, ...], limits: Limits) -> Attack:
    """One honest peer that stays at half of the limit: what is counted of it tells whether counting works."""
    rate = (limits.rate or 1.0) / 2
    times = max(1, min(3, int(burst(limits))), min(40, round(1.5 * rate)))
    opening = (Connect(), Shake(kind, mechanism=surface.mechanism, within=5.0))
    return Attack((Script((*opening, Send(units, times, every=min(1 / rate, 0.2))), label=GENTLE),), strategy=RATING)


def message_of(attack: Attack) -> tuple[str, tuple[Unit, ...]]:
    """The type of the peers of a flood, and the message that they send."""
    steps = attack.scripts[0].steps
    kind = next(step.socket_type for step in steps if isinstance(step, Shake))
    units = next(step.units for step in steps if isinstance(step, Send))
    last = next(place for place, unit in enumerate(units) if not (isinstance(unit, Frame) and unit.more))
    return kind, units[: last + 1]


def offered(attack: Attack, message: int, label: str = "") -> int:
    """Messages of so many units that the scripts of an attack send in all, or those with that label."""
    chosen = [script for script in attack.scripts if label in ("", script.label)]
    sends = [(script.times, step) for script in chosen for step in script.steps if isinstance(step, Send)]
    return sum(times * step.times * len(step.units) for times, step in sends) // max(1, message)


def way(flow: Flow) -> str:
    """How it keeps the rest away, as far as that can be seen from outside."""
    rest = flow.offered - flow.taken
    if flow.cut:
        return f"it closed {flow.cut} of {flow.peers} connections"
    if flow.paused:
        return f"it stopped reading {flow.paused} of {flow.peers} connections (back-pressure)"
    if flow.other:
        return f"it answered {flow.other} messages otherwise (an error?)"
    if rest <= max(2, 0.02 * flow.offered):
        return "nothing was kept away"
    if flow.later > 0.02 * flow.offered:
        return f"it let messages wait, and took {flow.later} of them afterwards (back-pressure)"
    return "it read all octets and dropped the rest"


def told(flow: Flow) -> str:
    """One flood in a few words."""
    peers = "one peer" if flow.peers == 1 else f"{flow.peers} peers"
    beside = f", a bystander got {flow.honest.got} of {flow.honest.wanted} answers" if flow.honest is not None else ""
    return f"of {peers} {flow.taken:,} of {flow.offered:,} messages taken in {flow.seconds:.1f} s: {way(flow)}{beside}"


@dataclass(slots=True)
class Tally:
    """Counts answers that are like those of an honest peer that was alone: learnt first, then told apart.

    The same octets, where all of those were the same; else as many frames, each of a size between the smallest and the
    largest. ``key``: instead, what a message holds somewhere; so is known what comes out at another door.
    """

    key: bytes = b""
    like: int = 0
    other: int = 0
    _learning: bool = True
    _seen: set[tuple[bytes, ...]] = field(default_factory=set)

    def take(self, parts: tuple[bytes, ...]) -> None:
        """One message."""
        if self._learning:
            self._seen.add(parts)
        known = any(self.key in part for part in parts) if self.key else self._known(parts)
        self.like += known
        self.other += not known

    def begin(self) -> None:
        """Count from nothing; what comes now teaches nothing more."""
        self.like = self.other = 0
        self._learning = False

    @property
    def varies(self) -> bool:
        """Whether an honest peer's answers differ, so that one of another size may be an error or not."""
        return len(self._seen) > 1 and not self.key

    def _known(self, parts: tuple[bytes, ...]) -> bool:
        if len(self._seen) < 2:
            return parts in self._seen
        alike = [seen for seen in self._seen if len(seen) == len(parts)]
        spans = [sorted(len(seen[place]) for seen in alike) for place in range(len(parts))] if alike else []
        return bool(alike) and all(sizes[0] <= len(part) <= sizes[-1] for sizes, part in zip(spans, parts, strict=True))
