"""Strangers at a door that is to keep them out, in every version of ZMTP; where we listen, servers without a key."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.credentials import NEAR
from zmqfuzz.drawing import Draw
from zmqfuzz.script import Await, Connect, Expect, Script, Send, Shake, Signal, Step, Wait
from zmqfuzz.strangers import FIRST, FORGER, LISTENS, NO_PASSWORD, SHAKES, STRANGER
from zmqfuzz.strategies.impostors import impostors
from zmqfuzz.strategies.pieces import our_octet
from zmqfuzz.strategies.roles import honest_type, usual
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Command, CurveCommand, Frame, Greeting, Greeting1, Greeting2, Property, Unit

_REFUSED = "the first stranger was refused"
_BEEN = "they have been there"


def _subscribing(situation: Situation, message: tuple[Unit, ...]) -> tuple[Unit, ...]:
    """The message as older peers send it: RFC 29, a subscription is a message that begins with 1."""
    return (Frame(b"\x01"),) if message and isinstance(message[0], Command) else message


def _older(draw: Draw, situation: Situation, message: tuple[Unit, ...]) -> tuple[Step, ...]:
    """ZMTP 2.0 or 1.0, in both forms of a length; 3.x is told from the eleventh octet on."""
    said = _subscribing(situation, message)
    if draw.boolean():
        return (Connect(), Expect("bytes", within=0.2), Send((Greeting2(our_octet(draw, situation)),)), Send(said))
    return (Connect(), Expect("bytes", within=0.2), Send((Greeting1(long=draw.boolean()),)), Wait(0.01), Send(said))


def _early(draw: Draw, situation: Situation, message: tuple[Unit, ...]) -> tuple[Step, ...]:
    """Messages in clear behind a greeting that names any mechanism, and perhaps a READY that nobody asked for."""
    named = draw.choice(((situation.surface.mechanism or "NULL").encode(), b"NULL", b"PLAIN", b"CURVE", b""))
    greeting = Greeting(minor=draw.choice((1, 0)), mechanism=named, as_server=draw.choice((0, 1)))
    kind = Property(b"Socket-Type", honest_type(situation).encode())
    ready = (Command(b"READY", properties=(kind,)),) if draw.boolean() else ()
    return (Connect(), Send((greeting,)), Expect("greeting", within=0.3), Send((*ready, *message)))


def _shake(draw: Draw, situation: Situation) -> Shake:
    """A handshake of somebody who is not to be let in."""
    kind, lock = honest_type(situation), situation.surface.lock
    version = draw.choice(((3, 1), (3, 1), (3, 0)))
    ways = ["NULL", "PLAIN"]
    if lock == situation.surface.mechanism:
        ways += [lock] * 4 if lock == "PLAIN" or situation.surface.listed else []
        ways += ["vouch"] * 2 if lock == "CURVE" else []
    way = draw.choice(tuple(ways))
    if way == "vouch":
        metadata = (Property(b"Socket-Type", kind.encode()),)
        lie = CurveCommand(b"INITIATE", vouch=draw.choice(("foreign", "zero", "random")), properties=metadata)
        return Shake(kind, mechanism="CURVE", version=version, within=SHAKES, honest=1, instead=(lie,))
    if way == "PLAIN":
        known = lock == "PLAIN" and draw.boolean()
        name = b"" if known else draw.choice((b"zmqfuzz", b"admin", b""))
        return Shake(
            kind,
            mechanism="PLAIN",
            version=version,
            within=SHAKES,
            stranger=True,
            username=name,
            password=NO_PASSWORD,
            known_name=known,
        )
    return Shake(kind, mechanism=way, version=version, within=SHAKES, stranger=way == "CURVE")


def _stranger(draw: Draw, situation: Situation) -> tuple[Step, ...]:
    message = usual(draw, situation)
    choice = draw.integer(0, 5)
    if choice == 5:
        steps = _older(draw, situation, message)
    elif choice == 4:
        steps = _early(draw, situation, message)
    else:
        steps = (Connect(), _shake(draw, situation), *((Send(message),) if message else ()))
    return (*steps, Expect("message", within=LISTENS))


def _forger(draw: Draw, situation: Situation) -> Script:
    """One who has the key, and lies in one place where only a lock that does not look lets him in."""
    kind, choice = honest_type(situation), draw.integer(0, 3)
    metadata = (Property(b"Socket-Type", kind.encode()),)
    instead: tuple[Unit, ...] = ()
    message = usual(draw, situation)
    if choice == 0:
        instead = (CurveCommand(b"HELLO", box=draw.choice(("random", "foreign", "open"))),)
    elif choice == 1:
        lie = CurveCommand(b"INITIATE", cookie=draw.choice(("random", "zero")), properties=metadata)
        return _forging(Shake(kind, mechanism="CURVE", within=SHAKES, honest=1, instead=(lie,)), message)
    else:
        nonce = draw.choice(("repeat", "lower"))
        frames = [unit for unit in message if isinstance(unit, Frame)]
        message = tuple(CurveCommand(b"MESSAGE", body=unit.body, flags=unit.more, nonce=nonce) for unit in frames)
    return _forging(Shake(kind, mechanism="CURVE", within=SHAKES, instead=instead), message)


def _forging(shake: Shake, message: tuple[Unit, ...]) -> Script:
    sends = (Send(message),) if message else ()
    return Script((Connect(), shake, *sends, Expect("message", within=LISTENS)), label=FORGER)


def _guesses(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """The known name, with passwords that only a handler lets in that does not compare the whole of them."""
    kind, message = honest_type(situation), usual(draw, situation)
    says = (Send(message),) if message else ()
    shakes = [
        Shake(
            kind,
            mechanism="PLAIN",
            within=SHAKES,
            stranger=True,
            password=NO_PASSWORD,
            known_name=True,
            near=near,
        )
        for near in NEAR
    ]
    return tuple(
        Script((Connect(), shake, *says, Expect("message", within=LISTENS)), label=STRANGER) for shake in shakes
    )


def _is_asked_about(steps: tuple[Step, ...], situation: Situation) -> bool:
    """Whether a ZAP handler (RFC 27) has to say who this is: what it makes of him may end it."""
    mechanism = situation.surface.mechanism
    return any(isinstance(step, Shake) and step.mechanism == mechanism and not step.instead for step in steps)


@strategy("authorisation", needs=Reached.GREETING, locked=True, weight=4)
def authorisation(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Strangers that want in: no key, another key, no proof, a wrong password, older ZMTP; servers without the key."""
    surface = situation.surface
    if surface.side == "connect":
        return impostors(draw, situation)
    if surface.lock == surface.mechanism == "CURVE" and surface.known and draw.choice((False, False, True)):
        return (_forger(draw, situation),)
    if surface.lock == surface.mechanism == "PLAIN" and draw.choice((False, False, True)):
        return _guesses(draw, situation)
    steps = _stranger(draw, situation)
    if situation.surface.lock != situation.surface.mechanism or not _is_asked_about(steps, situation):
        return (Script(steps, label=STRANGER),)
    others = tuple(_stranger(draw, situation) for _ in range(draw.integer(0, 2)))
    crowd = [
        Script((Await(_REFUSED, within=3.0), *other), times=draw.choice((1, 4)), label="crowd") for other in others
    ]
    first = Script((*steps, Signal(_REFUSED), *((Wait(0.3),) if others else ()), Signal(_BEEN)), label=FIRST)
    return (first, *crowd, Script((Await(_BEEN, within=4.0), *steps), label=STRANGER))
