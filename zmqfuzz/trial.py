"""What was seen, as plain data: numbers and bytes, no judgement. A stored Trial can be judged again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import msgspec

from zmqfuzz.measured import Beside, Company, Feed, Flow, Kept, Rest
from zmqfuzz.script import Attack, Script

__all__ = [
    "READING",
    "SILENT",
    "ClosedBy",
    "Direction",
    "Entry",
    "Examination",
    "Exit",
    "Gone",
    "Observation",
    "ProbeResult",
    "Reached",
    "Sample",
    "Stage",
    "Stop",
    "Surface",
    "Transcript",
    "Trial",
    "settled_samples",
]


@dataclass(frozen=True, slots=True)
class Surface:
    """One ZMTP door of the target, by meaning: what it is stays, where it is may change at each start.

    ``socket_type`` and ``mechanism`` as the target announced them (empty: it did not say); ``version`` is the
    announced ZMTP version; ``address`` is ``tcp://host:port`` or ``ipc://path`` of this start; ``index`` tells
    doors of the same kind apart, in the order of their addresses. ``side`` is ``bind`` when the target listens,
    ``connect`` when it connects to us. ``known``: we hold what the mechanism asks for, so that an honest handshake
    can be completed. ``lock``: the mechanism that is to keep strangers out here, as its key or password was given
    (empty: nothing of the kind is promised); ``listed``: of CURVE clients only those whose keys it knows.
    """

    address: str
    socket_type: str = ""
    mechanism: str = "NULL"
    version: str = "3.1"
    index: int = 0
    side: str = "bind"
    known: bool = True
    lock: str = ""
    listed: bool = False

    @property
    def key(self) -> str:
        """Names the door across restarts: transport, socket type, mechanism, number."""
        transport = self.address.split("://", 1)[0]
        kind = (self.socket_type or "ZMTP").upper()
        return f"{kind}-{self.mechanism.lower()}-{transport}-{self.index}"


class Direction(StrEnum):
    """Whose entry it is."""

    SENT = "->"
    RECEIVED = "<-"
    NOTE = ".."


class ClosedBy(StrEnum):
    """How a connection ended."""

    US = "us"
    FIN = "target closed (FIN)"
    RST = "target reset (RST)"
    REFUSED = "refused"
    OPEN = "still open"

    @property
    def by_target(self) -> bool:
        """Whether the target ended a connection that had been open."""
        return self in (ClosedBy.FIN, ClosedBy.RST)


class Reached(IntEnum):
    """The furthest ZMTP state that a connection saw the target confirm."""

    NOTHING = 0
    CONNECTED = 1
    GREETING = 2
    HANDSHAKE = 3
    TRAFFIC = 4


class Stage(StrEnum):
    """Where a connection stands when something is done to it: as far as the target has confirmed.

    ``GREETING``: its greeting is complete; ``HANDSHAKE``: it has sent a handshake command; ``TRAFFIC``: the handshake
    is complete; ``MESSAGE``: in traffic, and a frame or message of ours has begun and not ended; ``REFUSED``: it has
    said ERROR (RFC 37).
    """

    CONNECTED = "connected"
    GREETING = "greeting"
    HANDSHAKE = "handshake"
    TRAFFIC = "traffic"
    MESSAGE = "message"
    REFUSED = "refused"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing on the wire: ``data`` was sent ``times`` over, at ``at`` seconds since the attack began."""

    at: float
    direction: Direction
    data: bytes
    times: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A TCP connection whose peer vanished, ``at`` seconds since the attack began.

    ``until``: when a process of the target was last seen to hold its side of it; None: that could not be seen.
    ``unacknowledged``: octets on their way to the peer then.
    """

    at: float
    until: float | None = None
    unacknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """All one peer saw. ``sent`` and ``received`` in octets; received data past a cap is counted, not kept.

    ``missed``: steps that could not be done here, in words. ``acted``: the stages in which the peer sent something
    or left, beside its honest handshake; REFUSED, where it was. ``gone``: its connections that vanished. ``messages``:
    complete ones that arrived, commands not counted, the last of them ``last_at`` seconds since the attack began.
    ``answers``: the first of them, frame by frame, where the script wanted them kept; of a long one the beginning and a
    digest.
    """

    label: str
    entries: tuple[Entry, ...]
    closed_by: ClosedBy
    sent: int
    received: int
    reached: Reached
    breaches: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    acted: frozenset[Stage] = frozenset()
    gone: tuple[Gone, ...] = ()
    messages: int = 0
    last_at: float = 0.0
    answers: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """The target's process tree at ``at`` seconds since the attack began, when ``sent`` octets had been sent.

    ``rss`` and ``virtual`` in octets, ``cpu`` in seconds since start.
    """

    at: float
    sent: int
    rss: int
    virtual: int
    descriptors: int
    threads: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: exactly one of ``code`` and ``signal`` is not None (both None: not our child).

    ``place``: the module and function in which a signal met it, where it left a core file (:mod:`zmqfuzz.cores`).
    """

    code: int | None = None
    signal: int | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """The target was told to stop with ``signal``: ``seconds`` until its last process had ended.

    ``ended``: it did; else ``seconds`` is how long it was waited for. ``at_rest``: it had worked off what it was sent.
    """

    signal: str
    seconds: float
    ended: bool
    at_rest: bool = True


READING = "reading"
"""The level of a probe that sees no answers, but that the target takes messages off its socket, as its loop lives."""

SILENT = "answer"
"""The level of a probe that failed where the target connected, as before, and did not answer, as it did before."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """An honest client's word. ``level``: ``handshake``, READING, SILENT, ``application``, ``user``.

    ``seconds`` it took. ``at``: when it was asked, in seconds since the attack began.
    """

    level: str
    ok: bool
    seconds: float
    detail: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """The target before, during and after an attack.

    ``baseline`` before; ``held`` when all had been sent and the connections were still open; ``settled`` after
    they were closed. ``series`` covers the whole trial. ``None`` samples: the process cannot be watched, or is
    gone. ``killed_at_cap``: we killed it, because it passed the hard cap. ``abandoned``: connections that
    the target still holds after settling although their peers are gone. ``executed``: code that a peer sent was run
    (:mod:`zmqfuzz.canary`). ``beside``: how an honest client was served while the connections were held; None: it was
    not asked. ``stop``: it was told to stop while the peers were there; ``exit`` is then the end it was asked for.
    ``flow``: what it took of a flood that was counted. ``kept``: what it kept of messages that waited in it.
    ``company``: what two honest clients got meanwhile. ``rests``: how busy it was with nobody
    connected, first before the attack. ``feed``: what a reader that stood still got of what it sends. ``surge``: the
    largest resident set of one process, in octets, where it had not been as large before; 0: it had.
    """

    baseline: Sample | None = None
    held: Sample | None = None
    settled: Sample | None = None
    series: tuple[Sample, ...] = ()
    probes: tuple[ProbeResult, ...] = ()
    exit: Exit | None = None
    log_tail: str = ""
    killed_at_cap: bool = False
    abandoned: int = 0
    executed: bool = False
    beside: Beside | None = None
    stop: Stop | None = None
    flow: Flow | None = None
    kept: Kept | None = None
    company: Company | None = None
    rests: tuple[Rest, ...] = ()
    feed: Feed | None = None
    surge: int = 0

    @property
    def peak_rss(self) -> int:
        """The largest resident set seen, in octets."""
        return max((*(sample.rss for sample in self.series), self.surge), default=0)


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack played against one door of one running target, and everything that was seen."""

    attack: Attack
    surface: Surface
    transcripts: tuple[Transcript, ...]
    observation: Observation
    seconds: float

    @property
    def pairs(self) -> Iterator[tuple[Script, Transcript]]:
        """Each peer's script, and what it saw; of peers that were not played there is nothing."""
        scripts = (script for script in self.attack.scripts for _ in range(max(1, script.times)))
        return zip(scripts, self.transcripts, strict=False)

    @property
    def sent(self) -> int:
        """Octets that all peers sent."""
        return sum(transcript.sent for transcript in self.transcripts)

    @property
    def held_growth(self) -> int:
        """Octets of resident memory gained while the peers were still connected; 0 when it could not be seen."""
        baseline, held = self.observation.baseline, self.observation.held
        return max(0, held.rss - baseline.rss) if baseline and held else 0

    @property
    def reached(self) -> Reached:
        """The furthest state any peer reached."""
        return max((transcript.reached for transcript in self.transcripts), default=Reached.NOTHING)


@dataclass(frozen=True, slots=True)
class Examination:
    """A series of trials that answers one question, on processes started for it.

    ``kind`` is ``held``: one large attack each on fresh processes, beside ``controls`` of honest traffic of the same
    volume, and ``rounds``: the attack repeated on the first of the processes. Or ``rounds``: the same attack again
    and again on one process, the peers gone between two rounds; these are then the ``trials``. Or ``beside``: an honest
    client was asked before, during and after the attack on fresh processes, and beside idle peers in ``controls``. Or
    ``stop``: fresh processes were told to stop while the peers were there; the first of the ``controls`` with nobody
    connected, and in the second the same peers met a target that was not told to stop. Or ``rate``: what fresh
    processes took of a flood was counted; the first of the ``controls`` is an honest peer at half of the limit. Or
    ``unread``: peers did not read what they were sent, and the first of the ``controls`` did. Or ``intake``: messages
    came faster than they were worked off. Or ``company``: two honest clients asked before, during and after the
    attack. Or ``rest``: how busy fresh processes are, before the attack and after it.
    ``doubts``: why the numbers may not be trusted (the machine was busy, the target was still working).
    """

    kind: str
    trials: tuple[Trial, ...]
    controls: tuple[Trial, ...] = ()
    rounds: tuple[Trial, ...] = ()
    doubts: tuple[str, ...] = ()


def settled_samples(trials: Sequence[Trial]) -> list[Sample]:
    """What the target was like after each of these trials, where that could be seen."""
    return [trial.observation.settled for trial in trials if trial.observation.settled is not None]
