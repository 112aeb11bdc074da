"""What each peer of an attack was while it waited: stalled, hung, idle or vanished, and for how long. Pure.

It is read from the peer's script and from what it said, not from its label: an attack that was made simpler is judged
by what it still does. Nothing is said where the target has ended or is deaf, or where we were late ourselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from zmqfuzz.budget import TOLERANCE
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake, Step, StopReading, Vanish, Wait
from zmqfuzz.trial import ClosedBy, Direction, Reached, Stage, Surface, Transcript, Trial
from zmqfuzz.zmtp.patterns import peer_type
from zmqfuzz.zmtp.wire import Flag, Greeting1, Greeting2, Raw, SocketTypeByte

__all__ = [
    "LATE",
    "STAYS",
    "Parked",
    "State",
    "Vanished",
    "honest",
    "judgeable",
    "late",
    "long_lived",
    "parked",
    "patience",
    "vanished",
]

LATE = TOLERANCE / 2
"""Seconds for which we may be kept from looking ourselves, while something can still be said of the target's time."""

PROMPT = 0.1
"""Seconds in which an honest peer has answered a PING."""

STAYS = 31.5
"""Seconds that an honest peer stays to see whether it is cut: libzmq's HANDSHAKE_IVL is 30 unless told otherwise."""

_ROUNDING = 0.01
_BEFORE = 1.0
"""Seconds that a peer may take to get to where it stops."""

_SIGNATURE, _VERSIONED, _GREETING = 10, 12, 64
"""Octets after which a connection may be one of ZMTP 1.0, of 2.0, of 3.x (RFC 37, RFC 15, RFC 13)."""


class State(Enum):
    """How a peer left its connection."""

    STALLED = "stalled"
    OLDER_STALLED = "stalled in a greeting of ZMTP 1.0 or 2.0"
    HUNG = "hung"
    OLDER_HUNG = "silent behind a greeting of ZMTP 1.0 or 2.0"
    IDLE = "idle"


class Parked(NamedTuple):
    """One peer that did nothing more for ``waited`` seconds; ``words`` say where it stopped."""

    script: Script
    transcript: Transcript
    state: State
    words: str
    waited: float

    @property
    def kept(self) -> bool:
        """Whether its connection was still open when all was over."""
        return self.transcript.closed_by is ClosedBy.OPEN

    @property
    def cut_after(self) -> float:
        """Seconds from when it connected, or from its last octets behind the handshake, to the end that it saw."""
        ends = [entry.at for entry in self.transcript.entries if entry.note == self.transcript.closed_by.value]
        said = [entry.at for entry in self.transcript.entries if entry.direction is Direction.SENT]
        begun = said[-1:] if self.state in (State.HUNG, State.OLDER_HUNG) else said[:1]
        return max(0.0, ends[-1] - (begun or [0.0])[0]) if ends else 0.0


def _pairs(trial: Trial) -> Iterator[tuple[Script, Transcript]]:
    for script, transcript in trial.pairs:
        whole = not any(entry.note.startswith("out of time") for entry in transcript.entries)
        if whole and not transcript.missed and transcript.reached >= Reached.CONNECTED:
            yield script, transcript


def judgeable(trial: Trial, until: float = math.inf) -> bool:
    """Not where the target has ended or is deaf, which is told as such, nor where we were late before ``until``."""
    seen = trial.observation
    if trial.attack.at_once or seen.exit is not None or seen.killed_at_cap or any(not one.ok for one in seen.probes):
        return False
    return late(trial, until) <= LATE


def late(trial: Trial, until: float) -> float:
    """The longest time between two looks at the target while it was attacked; 0 where it could not be watched."""
    held = trial.observation.held
    end = min(until, held.at if held is not None else 0.0)
    times = [sample.at for sample in trial.observation.series[1:] if sample.at <= end]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _said(transcript: Transcript) -> bytes:
    """The first octets that the peer sent; those of a large repetition are cut."""
    octets = b""
    for entry in transcript.entries:
        if entry.direction is Direction.SENT and len(octets) < 4 * _GREETING:
            octets += entry.data * min(entry.times, 4 * _GREETING)
    return octets


def _shaken(script: Script, transcript: Transcript) -> tuple[State, str] | None:
    """What a peer was that shook hands honestly, as far as it did; None: none of these."""
    steps = script.steps
    shake, *others = [step for step in steps if isinstance(step, Shake)]
    if others or any(isinstance(step, Send) for step in steps[: steps.index(shake)]):
        return None
    rest = steps[steps.index(shake) + 1 :]
    plain = shake == Shake(shake.socket_type, mechanism=shake.mechanism, version=shake.version)
    if transcript.reached is Reached.TRAFFIC and plain:
        if StopReading in map(type, rest):
            last = [isinstance(step, StopReading) for step in rest].index(True)
            quiet = not any(isinstance(step, Send | StopReading) for step in rest[last + 1 :])
            return (State.HUNG, "behind the handshake, not reading") if quiet else None
        return (State.IDLE, "idle") if not any(isinstance(step, Send) for step in rest) else None
    if any(isinstance(step, Send) for step in rest) or transcript.reached is Reached.TRAFFIC:
        return None
    if Stage.REFUSED in transcript.acted:
        return State.STALLED, "after ERROR"
    return (State.STALLED, f"after {shake.honest} command(s)") if shake.instead == (Raw(b""),) else None


def _octets(said: bytes) -> str:
    return f"{len(said)} octet{'s' * (len(said) != 1)}"


def _spoken(said: bytes, reached: Reached) -> tuple[State, str] | None:
    """What a peer was that sent these octets and answered nothing; None: none of these."""
    if said[:1] not in (b"", b"\xff") or (len(said) >= _SIGNATURE and not said[_SIGNATURE - 1] & 1):
        short = said[0] != 0xFF
        length = said[0] if short else int.from_bytes(said[1:9], "big")
        state = State.OLDER_HUNG if len(said) >= (1 if short else 9) + length else State.OLDER_STALLED
        return state, f"{_octets(said)} of ZMTP 1.0"
    if len(said) >= _VERSIONED and said[_SIGNATURE] == 1:
        identity = said[_VERSIONED:]
        whole = len(identity) >= 2 and not identity[0] & Flag.LONG and len(identity) >= 2 + identity[1]
        return State.OLDER_HUNG if whole else State.OLDER_STALLED, f"{_octets(said)} of ZMTP 2.0"
    if len(said) <= _GREETING:
        return State.STALLED, _octets(said)
    command = said[_GREETING:]
    if len(command) < 2 or len(command) < 2 + command[1]:
        return State.STALLED, "half a command"
    ready = command[0] == Flag.COMMAND and command[2:8] == b"\x05READY" and said[12:32] == b"NULL".ljust(20, b"\0")
    return (State.HUNG, "behind the handshake, reading") if ready and reached >= Reached.HANDSHAKE else None


_PATIENT = (Connect, Shake, Send, Expect, Wait, StopReading)


def _waited(steps: tuple[Step, ...], state: State) -> float:
    """Seconds that a peer surely waited, unless the target closed; what it dripped in the handshake counts."""
    total = 0.0
    for step in steps:
        if isinstance(step, Expect) and step.event == "close":
            total += step.within
        elif isinstance(step, Send) and state is State.STALLED and step.chunk:
            total += -(-step.octets // step.chunk) * step.every * step.times
        elif isinstance(step, Send | StopReading):
            total = 0.0
    return total


def parked(trial: Trial, state: State, limit: float | None, *, punctual: bool = True) -> list[Parked]:
    """The peers of this kind that waited out the limit; not ``punctual``: also where we were late ourselves."""
    if limit is None or not judgeable(trial, limit + TOLERANCE + _BEFORE if punctual else 0.0):
        return []
    found = []
    for script, transcript in _pairs(trial):
        alone = [type(step) for step in script.steps].count(Connect) == 1
        if not alone or not all(isinstance(step, _PATIENT) for step in script.steps):
            continue
        shakes = any(isinstance(step, Shake) for step in script.steps)
        was = _shaken(script, transcript) if shakes else _spoken(_said(transcript), transcript.reached)
        waited = _waited(script.steps, state)
        if was is not None and was[0] is state and waited >= limit + TOLERANCE - _ROUNDING:
            found.append(Parked(script, transcript, *was, waited))
    return found


def patience(attack: Attack) -> float:
    """Seconds for which a peer of the attack waits to be cut, at most."""
    waits = [step.within for script in attack.scripts for step in script.steps if isinstance(step, Expect)]
    return max(waits, default=0.0)


def long_lived(surface: Surface, seconds: float) -> Attack:
    """Honest peers of ZMTP 3.1, 3.0, 2.0 and 1.0, two of each, that have nothing to say and read what comes."""
    kind = peer_type(surface.socket_type)[0]
    old = SocketTypeByte[kind] if kind in SocketTypeByte.__members__ else SocketTypeByte.DEALER
    openings: tuple[tuple[Step, ...], ...] = (
        (Shake(kind),),
        (Shake(kind, version=(3, 0)),),
        (Expect("bytes", 0.5), Send((Greeting2(old),)), Expect("greeting", 0.2)),
        (Expect("bytes", 0.5), Send((Greeting1(),))),
    )
    stays = Expect("close", seconds + TOLERANCE)
    scripts = tuple(Script((Connect(), *opening, stays), 2, "honest") for opening in openings)
    return Attack(scripts, "dead-peer")


class Vanished(NamedTuple):
    """A connection whose peer vanished; the target's side of it was seen, ``held`` for so many seconds at least."""

    script: Script
    held: float
    unacknowledged: int


def vanished(trial: Trial, limit: float | None) -> list[Vanished]:
    """The peers that vanished and waited out the limit, where the target's side was seen."""
    if limit is None or not judgeable(trial):
        return []
    found = []
    for script, transcript in _pairs(trial):
        if [type(step) for step in script.steps].count(Vanish) != 1 or not transcript.gone:
            continue
        after = script.steps[[isinstance(step, Vanish) for step in script.steps].index(True) + 1 :]
        waited = sum(step.seconds for step in after if isinstance(step, Wait))
        gone = transcript.gone[0]
        if waited >= limit + TOLERANCE - _ROUNDING and gone.until is not None:
            found.append(Vanished(script, max(0.0, gone.until - gone.at), gone.unacknowledged))
    return found


def honest(trial: Trial, peer: Parked) -> bool:
    """Whether it answered each PING in time, as far as it had any, and we were never late before it was cut."""
    entries = peer.transcript.entries
    end = next((entry.at for entry in reversed(entries) if entry.note == peer.transcript.closed_by.value), 0.0)
    if late(trial, end) > PROMPT:
        return False
    for entry in entries:
        if entry.direction is not Direction.RECEIVED or "PING" not in entry.note:
            continue
        answers = [later.at for later in entries if later.direction is Direction.SENT and later.at >= entry.at]
        if min([*answers[:1], end or entry.at]) - entry.at > PROMPT:
            return False
    return (
        sum(len(entry.data) for entry in entries if entry.direction is Direction.RECEIVED) >= peer.transcript.received
    )
