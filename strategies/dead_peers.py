"""Dead peers: parked at every stage of the handshake, hung behind it, vanished; and idle ones that are alive.

What is promised is waited out, every promise in one attack, since peers wait beside each other; the rest is short.
"""

from __future__ import annotations

from collections.abc import Callable

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step, StopReading, Vanish, Wait
from zmqfuzz.strategies.pieces import our_octet, our_type, peers, spoken
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import SIGNATURE, Command, Frame, Greeting, Property, Raw, encode

_CUTS = (0, 1, 9, 10, 11, 12, 32, 63, 64)
"""Octets of a greeting: around the signature, the version that libzmq waits for, the mechanism, and all of it."""

_DRIPS = 63
_SHORT = (0.02, 0.1, 0.3)
"""Seconds that a peer waits where nothing is promised."""

_SETTLED = 0.05
"""Seconds before a peer vanishes in which its kernel acknowledges what came (at most 40 ms late, tcp(7)): TCP keepalive
does not ask while anything is unacknowledged (Linux ``net/ipv4/tcp_timer.c:tcp_keepalive_timer``)."""

Steps = tuple[Step, ...]
Stages = list[Steps]


def _greeting(situation: Situation, minor: int = 1) -> bytes:
    return encode(Greeting(minor=minor, mechanism=(situation.surface.mechanism or "NULL").encode()))


def _ready(kind: str) -> bytes:
    return encode(Command(b"READY", properties=(Property(b"Socket-Type", kind.encode()),)))


def _first_command(situation: Situation, kind: str) -> bytes:
    """What is due after the greeting: READY (RFC 37), a client's HELLO or a server's WELCOME (RFC 24, RFC 26)."""
    if situation.surface.mechanism not in ("PLAIN", "CURVE"):
        return _ready(kind)
    return encode(Command(b"HELLO" if situation.surface.side == "bind" else b"WELCOME", bytes(64)))


def _stalled(draw: Draw, situation: Situation) -> Stages:
    """In the handshake of ZMTP 3.x, at each stage; half a command, a command that never comes, a refusal."""
    kind = our_type(draw, situation)
    whole, half = _greeting(situation, draw.choice((1, 0))), _first_command(situation, kind)
    stages: Stages = [(Send((Raw(whole[:cut]),)),) if cut else () for cut in _CUTS]
    stages.append((Send((Raw(whole),)), Expect("ready", 0.2), Send((Raw(half[: draw.integer(1, len(half) - 1)]),))))
    if situation.surface.known and situation.surface.mechanism in ("PLAIN", "CURVE"):
        stages.append((Shake(kind, honest=1, instead=(Raw(b""),), within=0.2),))
        stages.append((Shake(kind, stranger=True, within=0.2),))
    return stages


def _older_stalled(draw: Draw, situation: Situation) -> Stages:
    """In an older greeting: after the length of a ZMTP 1.0 identity, half of it, after ZMTP 2.0's fixed octets."""
    head = SIGNATURE + bytes([1, our_octet(draw, situation)])
    return [(Send((Raw(said),)),) for said in (b"\x01", b"\x06\0ab", head, head + b"\0\x05ab")]


def _hung(draw: Draw, situation: Situation) -> Stages:
    """Behind the handshake, with no PONG for any PING: not reading, within a frame, and (NULL) reading all the same."""
    if not situation.surface.known:
        return []
    kind = our_type(draw, situation)
    begun = Send((Frame(b"half", declared_size=draw.choice((9, 200, 70_000))),))
    stages: Stages = [
        (Shake(kind), StopReading()),
        (Shake(kind, version=(3, 0)), StopReading()),
        (Shake(kind), begun, StopReading()),
    ]
    if situation.surface.mechanism not in ("PLAIN", "CURVE"):
        greeting, ready = Send((Raw(_greeting(situation)),)), Send((Raw(_ready(kind)),))
        stages.append((greeting, Expect("ready", 0.5), ready))
    return stages


def _older_hung(draw: Draw, situation: Situation) -> Stages:
    """Of ZMTP 2.0 and 1.0, which know no PING, and silent behind their greeting."""
    return [spoken(draw, situation, version)[1:] for version in (20, 10)] if situation.surface.known else []


def _idle(draw: Draw, situation: Situation) -> Stages:
    """Honest, alive, and with nothing to say: every PING is answered."""
    return [(Shake(our_type(draw, situation)),)] if situation.surface.known else []


def _vanished(draw: Draw, situation: Situation) -> Stages:
    """As by a cut cable, in the handshake and behind it, in every version of ZMTP."""
    kind = our_type(draw, situation)
    if situation.surface.address.startswith("ipc:"):
        return [()]
    stages: Stages = [(Expect("bytes", 0.5),)]
    if situation.surface.known:
        stages += [(Shake(kind),), (Shake(kind, version=(3, 0)),)]
        stages += [spoken(draw, situation, version)[1:] for version in (20, 10)]
    stages.append((Send((Raw(_greeting(situation)),)), Expect("ready", 0.2)))
    return stages


def _watched(situation: Situation, stages: Stages, patience: float) -> list[Steps]:
    """Each peer connects, gets to its stage, and sees when the target closes."""
    return [(Connect(), *stage, Expect("close", patience)) for stage in stages]


def _unwatched(situation: Situation, stages: Stages, patience: float) -> list[Steps]:
    """Each peer connects, gets to its stage, and vanishes; the others see what becomes of it."""
    rest = (Wait(patience),) if not situation.surface.address.startswith("ipc:") else ()
    return [(Connect(), *stage, Wait(_SETTLED), Vanish(), *rest) for stage in stages]


def _drip(situation: Situation, patience: float) -> Steps:
    """A greeting octet by octet, for as long: each is progress, and there is no end to it."""
    octets = Raw(_greeting(situation)[:_DRIPS])
    return (Connect(), Send((octets,), chunk=1, every=patience / _DRIPS), Expect("close", 0.05))


_Kind = tuple[str, str, Callable[[Draw, Situation], Stages], Callable[[Situation, Stages, float], list[Steps]]]

_KINDS: tuple[_Kind, ...] = (
    ("handshake_within", "stalled", _stalled, _watched),
    ("handshake_within", "stalled, older", _older_stalled, _watched),
    ("hung_within", "idle, honest", _idle, _watched),
    ("hung_within", "hung", _hung, _watched),
    ("hung_within", "hung, older", _older_hung, _watched),
    ("vanished_within", "vanished", _vanished, _unwatched),
)
"""The promise, the peers' role, their stages, and how they end."""


def _promised(draw: Draw, situation: Situation) -> list[Script]:
    """A peer for each stage of each promise that can be waited out; none where nothing is promised."""
    scripts = []
    for promise, label, stages, ended in _KINDS:
        patience = situation.budget.patience(getattr(situation.limits, promise))
        if patience is None:
            continue
        found = ended(situation, stages(draw, situation), patience)
        if label == "stalled":
            found.append(_drip(situation, patience))
        scripts += [Script(steps, label=label) for steps in found]
    return scripts


@strategy("dead-peer", needs=Reached.CONNECTED, promises=("handshake_within", "hung_within", "vanished_within"))
def dead_peer(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Peers stalled at each stage of the handshake, hung behind it, vanished, waited out where that is promised."""
    scripts = _promised(draw, situation)
    if not scripts:
        _, label, stages, ended = draw.choice(_KINDS)
        drawn = stages(draw, situation) or _stalled(draw, situation)
        steps = draw.choice(ended(situation, drawn, draw.choice(_SHORT)))
        return (Script(steps, peers(draw, situation, (1, 1, 4, 16)), label),)
    if situation.surface.side != "bind":
        return (draw.choice(scripts),)
    times = draw.choice((1, 2)) if 2 * len(scripts) <= situation.budget.peers else 1
    return tuple([Script(script.steps, times, script.label) for script in scripts])
