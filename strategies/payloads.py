"""What the application itself reads: messages like its own, with something wrong in them."""

from __future__ import annotations

from zmqfuzz.catalogue import Situation, strategy
from zmqfuzz.drawing import Draw
from zmqfuzz.errors import UsageError
from zmqfuzz.script import Connect, Expect, Script, Send, Shake, Step, Wait
from zmqfuzz.seeds import SUBSCRIBED
from zmqfuzz.strategies.canaries import CANARIES, WORDS
from zmqfuzz.strategies.compressed import packed, some_bomb
from zmqfuzz.strategies.documents import write_json
from zmqfuzz.strategies.mutations import changed, with_value
from zmqfuzz.strategies.packed import write_msgpack
from zmqfuzz.strategies.pieces import ending, leaving, our_type, peers
from zmqfuzz.strategies.structures import DOCUMENTS
from zmqfuzz.strategies.vocabulary import guessed, vocabulary
from zmqfuzz.trial import Reached
from zmqfuzz.zmtp.wire import Frame, Unit

__all__ = ["enveloped", "plausible", "units_of"]

Message = tuple[bytes, ...]

_WORDS = (
    *(b"ping", b"GET a", b"put a 1 2.5", b"10001 20 -5", b"a=1&b=2", b"a,b,1\n", b"a: 1\nb: [1, 2]\n", b"1", b"a"),
    *(b"LIST\r\n", b"<a b='1'>c</a>", b"\0\0\0\4ping", b"2024-01-01T00:00:00Z"),
)
"""Commands, records and numbers as text, and a text with its length in front."""

_BINARY = (
    b"\x08\x96\x01\x12\x07testing",
    b"\x08" + b"\xff" * 9 + b"\x01",
    b"\x08" + b"\xff" * 64,
    b"\x12\xff\xff\xff\xff\x0f",
    b"\x0a\x04\x0a\x02\x0a\x00",
    b"\x0b" * 10_000,
    b"\x00\x00\x0e\x0f\xf8\xff\xff\xff\x0f",
    b"\x80\x04K\x01.",
    b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7fK\x01.",
    b"\x80\xff.",
    b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x80\x02h\xff.",
    b"\x80\x02]" * 1000,
    b"\x80\x020.",
    b"\x80\x02\x8b\xff\xff\xff\xff.",
)
"""Protocol buffers (a number, a text, numbers of too many octets, a length that lies, nested, groups, types that do not
exist); pickles that make nothing (a number, sizes that lie, versions and memos that do not exist, an empty stack)."""

_MESSAGES = {"bind": (1, 2, 8), "connect": (8, 16, 40)}
"""Messages of one peer: many where each connection has to be waited for."""

_PACKED = 4096
"""Octets of what is sent compressed."""

_IDENTITIES = (b"", b"peer", b"\x80\xff\xfe")
"""Only an application behind a ROUTER sees them."""

_ENVELOPED = ("REP", "REQ")
"""Targets whose messages have a delimiter in front (RFC 28); those of ROUTER and DEALER may."""


def _users(draw: Draw, situation: Situation) -> Message:
    """What the user's own strategy gives. Raises UsageError where that is no message."""
    assert situation.payloads is not None
    value = draw.value(situation.payloads)
    message = (value,) if isinstance(value, bytes) else tuple(value) if isinstance(value, list | tuple) else ()
    if not message or not all(isinstance(frame, bytes) for frame in message):
        raise UsageError(f"payloads= gave {ascii(value)[:60]}; give bytes (one frame), or a list of bytes.")
    return message


def plausible(draw: Draw, situation: Situation) -> Message:
    """A message that an application may well be used to."""
    recorded = situation.seeds[: situation.recorded]
    heard = situation.seeds[len(recorded) :]
    if recorded and draw.integer(0, 3) < 3:
        return draw.choice(recorded)
    if heard and draw.integer(0, 2) == 2:
        return draw.choice(heard)
    words = vocabulary(heard)
    if words and draw.boolean():
        return guessed(draw, words)
    kind = draw.integer(0, 3)
    if kind == 0:
        frame = write_json(draw.choice(DOCUMENTS))
    elif kind == 1:
        frame = write_msgpack(draw.choice(DOCUMENTS))
    else:
        frame = draw.choice(_WORDS if kind == 2 else _BINARY)
    if draw.integer(0, 7) == 7:
        frame = packed(draw, frame[:_PACKED])
    if draw.choice((False, False, True)):
        return (draw.choice(_WORDS), *((frame,) * draw.choice((1, 2))))
    return (frame,)


def _with_canary(draw: Draw, message: Message) -> Message:
    """The canary alone, or in the place of one value, of one frame or of each frame of ``message``."""
    canary = draw.choice(CANARIES)
    kind = draw.integer(0, 5)
    if kind < 2:
        return (canary,) if kind == 0 else (canary,) * len(message)
    place = draw.integer(0, len(message) - 1)
    if kind > 3:
        canary = with_value(draw, message[place], draw.choice((*WORDS, canary)))
    return (*message[:place], canary, *message[place + 1 :])


def _with_bomb(draw: Draw, message: Message) -> Message:
    """What becomes very large in the place of one frame of ``message``."""
    place = draw.integer(0, len(message) - 1)
    return (*message[:place], some_bomb(draw), *message[place + 1 :])


def _topics(situation: Situation) -> tuple[bytes, ...]:
    """What the target has subscribed to, as far as it was heard: a SUB drops all else (RFC 29)."""
    if situation.surface.socket_type.upper() not in ("SUB", "XSUB"):
        return ()
    return tuple(seed[0][1:] for seed in situation.seeds if len(seed) == 1 and seed[0].startswith(SUBSCRIBED))


def _published(draw: Draw, situation: Situation, message: Message) -> Message:
    """The message under a topic that the target wants: as it is where it has one, else behind it or in its frame."""
    topics = _topics(situation)
    if not topics or message[0].startswith(topics):
        return message
    topic = draw.choice(topics)
    return (topic + message[0], *message[1:]) if draw.boolean() else (topic, *message)


def enveloped(draw: Draw, situation: Situation, message: Message) -> Message:
    """The message as it goes to a target of this type: with a delimiter, or under a topic, where that is due."""
    message = _published(draw, situation, message)
    kind = situation.surface.socket_type
    wanted = kind in _ENVELOPED or (kind in ("ROUTER", "DEALER") and draw.boolean())
    return (b"", *message) if wanted and message[0] else message


def units_of(message: Message) -> tuple[Unit, ...]:
    """The frames of a message."""
    return tuple([Frame(frame, more=number < len(message) - 1) for number, frame in enumerate(message)])


def _hostile(draw: Draw, situation: Situation) -> tuple[tuple[Unit, ...], tuple[Unit, ...]]:
    """A message to send, and the one that it was made from."""
    users = situation.payloads is not None and draw.choice((True, True, True, False))
    message = _users(draw, situation) if users else plausible(draw, situation)
    valid = enveloped(draw, situation, message)
    special = draw.integer(0, 31)
    if special > 26:
        made = _with_canary(draw, message) if special > 27 else _with_bomb(draw, message)
        return units_of(enveloped(draw, situation, made)), units_of(valid)
    within = draw.choice((True, True, True, False))  # else the envelope may change, too
    made = message if within else valid
    for _ in range(draw.choice((0, 1, 2) if users else (1, 1, 2, 4))):
        made = changed(draw, made)
    made = enveloped(draw, situation, made) if within else _published(draw, situation, made)
    return units_of(made), units_of(valid)


@strategy("application-payload", needs=Reached.TRAFFIC, weight=10)
def application_payload(draw: Draw, situation: Situation) -> tuple[Script, ...]:
    """Messages like the application's own, recorded or likely, changed in structure, octets and parts; a canary."""
    scripts = []
    for number in range(peers(draw, situation, (1, 1, 2))):
        identity = draw.choice(_IDENTITIES) if situation.surface.socket_type == "ROUTER" else b""
        identity += b"%d" % number if identity else b""  # no peer has another's
        steps: list[Step] = [Connect(), Shake(our_type(draw, situation), identity=identity)]
        for _ in range(draw.choice(_MESSAGES[situation.surface.side])):
            hostile, valid = _hostile(draw, situation)
            steps.append(Send((*hostile, *valid) if draw.boolean() else hostile))
            if draw.boolean():
                steps.append(Wait(0.002))
        steps.append(Expect("message", within=0.01))
        if draw.boolean():
            steps += [leaving(draw), Connect(), Shake(our_type(draw, situation)), Send(draw.choice((valid, hostile)))]
        steps += ending(draw, situation)
        scripts.append(Script(tuple(steps), times=1 if identity else peers(draw, situation, (1, 1, 2))))
    return tuple(scripts)
