"""What an attack still holds open when all has been sent, and how many of those peers a target may rightly serve. Pure.

A socket that spreads its messages over its peers (libzmq ``src/lb.cpp``) owes a share to every peer that has completed
a handshake, and nothing to one that has not (RFC 37, "connection"). What such a peer has sent tells them apart.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from zmqfuzz.script import Attack, Close, Connect, Reset, Script, Send, Shake, Step
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.measure import head
from zmqfuzz.zmtp.patterns import peer_type
from zmqfuzz.zmtp.wire import Fill, Frame, Greeting, Raw, encode

__all__ = ["Holding", "comparable", "held_by", "idle_peers", "may_be_ready", "silent_peers", "spreads"]

_SPREADS = ("PUSH", "DEALER", "REQ", "")
"""Types that give each message to one of several peers (RFC 28, 30); a type that is not known may be one of them."""

_PUBLISH = ("PUB", "XPUB")
"""Types to which a message that begins with 1 is a subscription to what the rest of it begins (RFC 29)."""

_SIGNATURE, _VERSIONED, _GREETING = 10, 11, 64
"""Octets after which a connection may be one of ZMTP 1.0, of 2.0, of 3.x (RFC 37, RFC 15)."""

_OLD = (0, 1)
"""Revisions of ZMTP 1.0 and 2.0: libzmq has such a peer ready before it says who it is (``src/zmtp_engine.cpp``)."""


@dataclass(frozen=True, slots=True)
class Holding:
    """``open`` connections that the attack leaves open, of which ``ready`` may have completed a handshake."""

    open: int
    ready: int


def spreads(surface: Surface) -> bool:
    """Whether the socket behind this door gives each message to one of its peers."""
    return surface.socket_type.upper() in _SPREADS


def comparable(surface: Surface, holding: Holding) -> bool:
    """Whether an honest client may expect to be served beside these peers as if they were not there.

    Not where PAIR serves one peer only (RFC 31), nor where a socket rightly gives a share to others.
    """
    if not holding.open or surface.side != "bind" or surface.socket_type.upper() == "PAIR":
        return False
    return not (spreads(surface) and holding.ready)


def held_by(attack: Attack) -> Holding:
    """The connections that are open when the scripts have ended. A target that closes some holds fewer."""
    scripts = [script for script in attack.scripts if _stays(script)]
    return Holding(
        sum(script.times for script in scripts), sum(script.times for script in scripts if may_be_ready(script))
    )


def _stays(script: Script) -> bool:
    last = next((step for step in reversed(script.steps) if isinstance(step, Connect | Close | Reset)), None)
    return isinstance(last, Connect)


def may_be_ready(script: Script) -> bool:
    """Whether the last connection of the script may have completed a handshake; when in doubt it may."""
    octets = 0
    start = b""
    for step in _last_connection(script):
        if isinstance(step, Shake):
            return True
        if isinstance(step, Send):
            octets += step.octets
            for unit in step.units * min(step.times, _VERSIONED):
                if len(start) < _VERSIONED:
                    start += _start(unit)
    if not octets:
        return False
    if start[:1] != b"\xff":
        return True  # the length of a ZMTP 1.0 identity
    if octets < _SIGNATURE:
        return False
    if len(start) < min(octets, _VERSIONED) or not start[_SIGNATURE - 1] & 1:
        return True
    if octets < _VERSIONED:
        return False
    return start[_SIGNATURE] in _OLD or octets > _GREETING


def _last_connection(script: Script) -> tuple[Step, ...]:
    places = [place for place, step in enumerate(script.steps) if isinstance(step, Connect)]
    return script.steps[places[-1] + 1 :] if places else ()


def _start(unit: object) -> bytes:
    """The first octets of a unit; a long symbolic body is cut, as only a greeting's are looked at."""
    match unit:
        case Raw(Fill(size, byte)):
            return bytes([byte]) * min(max(size, 0), _GREETING)
        case Raw(bytes(data)):
            return data[:_GREETING]
        case Frame(Fill(size, byte)):
            return head(unit) + bytes([byte]) * min(max(size, 0), _GREETING)
    return head(unit)[:_GREETING]  # type: ignore[arg-type]


def idle_peers(surface: Surface, count: int) -> Attack:
    """``count`` honest peers that shake hands, read what comes, and say nothing: what an attack is compared with.

    Of a publisher they want everything, as the honest client does that is asked beside them: the first subscription of
    its kind may be news to a program, and a second one never is, unless it has set ZMQ_XPUB_VERBOSE.
    """
    steps: tuple[Step, ...] = (Connect(), Shake(peer_type(surface.socket_type)[0], mechanism=surface.mechanism))
    if surface.socket_type in _PUBLISH:
        steps += (Send((Frame(b"\x01"),)),)
    return Attack((Script(steps, max(1, count), "honest"),) if count else (), strategy="control")


def silent_peers(surface: Surface, numbers: random.Random) -> Attack:
    """A few peers that say nothing, or stop in or after an honest greeting, and stay: what costs an attacker least."""
    greeting = encode(Greeting(mechanism=(surface.mechanism or "NULL").encode()))
    scripts = []
    for _ in range(numbers.randint(1, 3)):
        said = greeting[: numbers.choice((0, 1, _SIGNATURE, _VERSIONED + 1, _GREETING))]
        steps: tuple[Step, ...] = (Connect(), Send((Raw(said),))) if said else (Connect(),)
        scripts.append(Script(steps, numbers.choice((1, 2, 4))))
    return Attack(tuple(scripts), "stall")
