"""ZMTP versions mixed: in one greeting, between greeting and frames, and from one connection to the next."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step, Wait
from zmqfuzz.strategies.pieces import CHUNKS, IDENTITIES, body, ending, leaving, message, our_octet, our_type, peers
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, Fill, Frame, Framing, Greeting, Greeting1, Greeting2, Property, Raw, Unit, encode

_UNKNOWN = ((3, 2), (4, 0), (2, 0), (1, 0), (0, 0), (255, 255))
_LIES = (1, 255, 2**31, 2**63 - 1, 2**63, 2**64 - 41, 2**64 - 2, 2**64 - 1)
_BEHIND = (1, 300, 9000)
"""Sizes that a frame of any version may announce and not bring, around those where a length is signed or overflows, and
octets that come behind: less and more than one batch of libzmq's decoder (``config.hpp:in_batch_size``)."""

_LARGE = (8191, 8192, 8193, 20_000, 65_536)
"""Frames around that batch, and of several."""

_CUTS = (10, 1, 2, 9, 11, 12, 13, 14, 32, 63)


def _greeting(draw: Draw, situation: Situation, identity: bytes) -> tuple[Unit, Framing]:
    """A greeting of some version, and the framing that belongs to it."""
    mechanism = situation.surface.mechanism.encode()
    version = draw.integer(0, 6)
    if version == 0:
        return Greeting(mechanism=mechanism, minor=draw.choice((1, 0))), Framing.V2
    if version == 1:
        return Greeting2(our_octet(draw, situation), identity), Framing.V2
    if version == 2:
        return Greeting1(identity), Framing.V1
    if version == 3:
        return Greeting1(identity, long=True), Framing.V1
    if version == 4:
        return Greeting2(our_octet(draw, situation), identity, revision=0), Framing.V1
    if version == 5:
        return Greeting2(our_octet(draw, situation), identity, revision=draw.choice((2, 3, 255))), Framing.V2
    major, minor = draw.choice(_UNKNOWN)
    return Greeting(major, minor, mechanism), Framing.V2


def _words(draw: Draw, framing: Framing) -> tuple[Unit, ...]:
    """Something of traffic, as octets of ``framing``."""
    units: tuple[Unit, ...] = message(draw)
    kind = draw.integer(0, 5)
    if kind == 5:
        units = (Frame(Fill(draw.choice(_LARGE)), more=draw.boolean()),) * draw.choice((1, 2, 4))
    elif kind == 4:
        units = (Frame(Fill(draw.choice(_BEHIND)), more=draw.boolean(), declared_size=draw.choice(_LIES)),)
    elif kind == 2:
        units = (Frame(draw.choice((b"\1", b"\0")) + body(draw)[:300]),)
    elif kind == 3:
        units = (Command(draw.choice((b"PING", b"READY", b"SUBSCRIBE")), b"\0\0"), *units)
    return tuple(Raw(encode(unit, framing)) for unit in units)


def _visit(draw: Draw, situation: Situation, identity: bytes) -> list[Step]:
    """One connection: a greeting, whole or continued as another version's, and frames in its framing or the other."""
    kind = our_type(draw, situation)
    greeting, framing = _greeting(draw, situation, identity)
    other = Framing.V1 if framing is Framing.V2 else Framing.V2
    spoken = draw.choice((framing, other))
    if isinstance(greeting, Greeting) and (greeting.major, draw.boolean()) == (3, False):
        shake = Shake(kind, identity, version=(greeting.major, greeting.minor), within=0.2)
        return [Connect(), shake, Send(_words(draw, spoken))]
    steps: list[Step] = [Connect()]
    if draw.boolean():
        steps.append(Expect("bytes", within=0.2))
    if draw.boolean():
        continued, framing = _greeting(draw, situation, identity)
        cut = draw.choice(_CUTS)
        steps += [Send((Raw(encode(greeting)[:cut]),)), Wait(draw.choice((0.001, 0.005)))]
        steps.append(Send((Raw(encode(continued)[cut:]),), chunk=draw.choice(CHUNKS)))
        greeting = continued
    else:
        steps.append(Send((greeting,), chunk=draw.choice(CHUNKS)))
    if isinstance(greeting, Greeting):
        properties = (Property(b"Socket-Type", kind.encode()), Property(b"Identity", identity))
        ready = Raw(encode(Command(b"READY", properties=properties), draw.choice((framing, spoken))))
        steps += [Expect("ready", within=0.02), Send((ready,)), Expect("ready", within=0.002)]
    else:
        steps.append(Expect("greeting", within=0.02))
    return [*steps, Send(_words(draw, spoken)), Expect("message", within=0.002)]


@strategy("version-mix", needs=Reached.GREETING)
def version_mix(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """ZMTP 1.0 to 3.1 and unknown: a greeting continued as another version, frames of another, another on reconnect."""
    identity = draw.choice(IDENTITIES[:6])
    steps = _visit(draw, situation, identity)
    for _ in range(draw.choice((0, 0, 1, 2))):
        steps += [leaving(draw), *_visit(draw, situation, identity)]
    steps.extend(ending(draw, situation))
    return (Script(tuple(steps), times=peers(draw, situation, (1, 1, 1, 3))),)
