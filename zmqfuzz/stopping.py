"""The peers that a target meets its end with: hung, vanished, slow, reading; and what its end may take. Pure.

Each is an honest peer that has made the target say something, so that messages wait in it when it is told to stop:
LINGER (zmq_setsockopt(3)) is how long what waits survives the close of its socket (libzmq ``src/session_base.cpp``).
A connection takes what libzmq hands to the kernel, whatever LINGER is; the peers that do not read are narrow
(:data:`~zmqfuzz.endpoints.NARROW`), so that this is little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zmqfuzz.budget import Limits
from zmqfuzz.script import (
    Attack,
    Await,
    Connect,
    Expect,
    ReadOn,
    Script,
    Send,
    Shake,
    Step,
    StopReading,
    Vanish,
    Wait,
)
from zmqfuzz.trial import Stop, Surface
from zmqfuzz.zmtp.patterns import peer_type
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Unit

__all__ = [
    "HUNG",
    "READER",
    "SLOW",
    "SMALL",
    "SOUNDED",
    "STOPPING",
    "TOLD",
    "VANISHED",
    "Request",
    "allowed",
    "asked",
    "asks",
    "mute",
    "requests",
    "scripts",
    "sounding",
    "times_for",
    "together",
]

STOPPING = "shutdown"
"""Instead of the name of a family."""

TOLD = "told to stop"
"""What the peers of an attack await: the target was told to stop."""

HUNG, VANISHED, SLOW, READER = "hung peer", "vanished peer", "slow reader", "reader"
"""The peers, by their labels. The slow reader reads nothing before the target is told to stop, and soon all of it."""

GRACE = 1.0
"""Seconds that an end may take beside what was promised, and twice what it takes with nobody connected."""

SIZES = (16_384, 1024)
SOUNDED = 40
"""Octets of requests that may be echoed, the first that are; and requests that tell what the answers are like."""

_TAKEN = {"tcp": 260_000, "ipc": 220_000}
"""Octets that the kernels take of what a peer does not read: up to 215 KiB in a narrow connection, 208 in a unix one
(socket(7), wmem_default), and some more."""

_WAITING = 40
"""Messages that wait in the target beyond that: fewer than most high-water marks (zmq_setsockopt(3): 1000)."""

SMALL = 64
"""Octets of an answer on the wire below which more than a high-water mark may be what the kernels take or do not."""

_NARROW = 1024
_PILE = 1.0
"""Seconds in which messages of a target that speaks by itself may pile up."""

_SLOWLY = 0.3
_SLOW_RATE = 65_536
"""Seconds in which a slow reader reads no more than so many octets a second, when the target was told to stop."""

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a peer of type ``kind`` sends to be sent something: nothing where the target speaks by itself.

    ``answered``: each is answered by one message.
    """

    kind: str
    units: tuple[Unit, ...]
    answered: bool


def requests(surface: Surface, kind: str, parts: Sequence[bytes]) -> tuple[Request, ...]:
    """Requests to try, the larger first, from a round trip that was answered: our type, the frames that we sent."""
    if kind == "SUB":
        return (Request(kind, (Command(b"SUBSCRIBE", b""),), answered=False),)  # RFC 37: a 3.1 subscriber's
    if not parts:
        return (Request(kind, (), answered=False),)
    frames = (b"", *parts) if kind == "REQ" else tuple(parts)  # RFC 28: an empty delimiter
    before = tuple(Frame(part, more=True) for part in frames[:-1])
    ours = "DEALER" if kind == "REQ" else kind
    bodies: tuple[bytes | Fill, ...] = (*map(Fill, SIZES), frames[-1])
    return tuple(Request(ours, (*before, Frame(body)), answered=True) for body in bodies)


def mute(surface: Surface) -> Request:
    """A peer that shakes hands only, where nothing is known that would be answered."""
    return Request(peer_type(surface.socket_type)[0], (), answered=False)


def sounding(surface: Surface, request: Request) -> Attack:
    """A peer that reads the answers to SOUNDED requests."""
    return Attack((scripts(surface, request, SOUNDED)[READER],), strategy=STOPPING)


def times_for(surface: Surface, received: int) -> int:
    """How many requests make enough wait, where SOUNDED of them brought ``received`` octets."""
    taken = _TAKEN.get(surface.address.split(":", 1)[0], _TAKEN["ipc"])
    if received < SMALL * SOUNDED:
        taken *= 2
    return _WAITING + taken * SOUNDED // max(received, SOUNDED)


def scripts(surface: Surface, request: Request, times: int, linger: float | None = None) -> dict[str, Script]:
    """The peers by label; those that need no reading come first. A peer cannot vanish from an ipc connection.

    The slow reader reads little until the target has had time to close its socket, and leaves enough of ``linger``,
    where that is declared, for the rest.
    """

    def opening(buffer: int | None) -> tuple[Step, ...]:
        return Connect(buffer), Shake(request.kind, mechanism=surface.mechanism)

    pile = () if request.answered else (Wait(_PILE),)
    asks: tuple[Step, ...] = pile
    if request.units:
        asks = (Send(request.units, times=times if request.answered else 1), *pile)
    end = (ReadOn(), Expect("close", within=_PATIENCE))
    slowly = Wait(_SLOWLY if linger is None else min(_SLOWLY, 0.3 * linger))
    told = Await(TOLD, within=_PATIENCE)
    found = {
        HUNG: (*opening(_NARROW), StopReading(), *asks),
        VANISHED: (*opening(_NARROW), StopReading(), *asks, Wait(0.1), Vanish()),
        SLOW: (*opening(_NARROW), StopReading(), *asks, told, ReadOn(_SLOW_RATE), slowly, *end),
        READER: (*opening(None), *asks, told, *end),
    }
    if surface.address.startswith("ipc:"):
        del found[VANISHED]
    return {label: Script(steps, label=label) for label, steps in found.items()}


def together(peers: Sequence[Script]) -> Attack:
    """These peers at once; none: nobody."""
    return Attack(tuple(peers), strategy=STOPPING)


def asked(script: Script) -> int:
    """How many answers a peer that reads on waits for; 0: it does not read on, or is not answered."""
    told = [place for place, step in enumerate(script.steps) if isinstance(step, Await)]
    before = script.steps[: told[0]] if told else ()
    if any(isinstance(step, Wait) for step in before):
        return 0
    return sum(step.times for step in before if isinstance(step, Send))


def asks(attack: Attack) -> bool:
    """Whether its peers give the target work to do, by messages; else it speaks by itself, and may never rest."""
    sends = (step for script in attack.scripts for step in script.steps if isinstance(step, Send))
    return any(isinstance(unit, Frame) for step in sends for unit in step.units)


def allowed(limits: Limits, control: Stop) -> float:
    """Seconds that an end may take: what was promised, a grace, and twice what it takes with nobody connected."""
    return (limits.linger or 0.0) + 2 * control.seconds + GRACE
