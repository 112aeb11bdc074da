"""What many honest NULL peers hear alike is read once, and comes to the same as if each read it by itself."""

from __future__ import annotations

from collections import Counter

import pytest

from zmqfuzz.answers import Answers
from zmqfuzz.reading import Record, counted
from zmqfuzz.rehearsal import Rehearsal
from zmqfuzz.script import Script, Shake
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import Reached, Transcript
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Connection, Role
from zmqfuzz.zmtp.wire import Command, Frame, Greeting, Property, encode

TYPE = Property(b"Socket-Type", b"PULL")
GREETING = encode(Greeting(mechanism=b"NULL"))
READY = encode(Command(b"READY", properties=(TYPE,)))
ORDINARY = GREETING + READY
NULL = Shake("PUSH", identity=b"me")

Peer = tuple[Connection, Counter[str], Record]


def begun(step: Shake) -> Peer:
    connection = Connection()
    Keyring().begin(connection, step, Role.CLIENT)
    return connection, Counter(), Record(Meter(), Answers(Script(())))


def ended(connection: Connection, ready: bytes, notes: list[str], seen: Counter[str], record: Record) -> object:
    """All that may differ: what is sent and read later, too."""
    connection.receive_data(encode(Frame(b"later", more=True)))
    events = list(iter(connection.next_event, None))
    said = ready + connection.data_to_send() + connection.send(Frame(b"x")) + connection.send(Command(b"PING"))
    known = connection.peer_version, connection.peer_properties, connection.complete, connection.state
    transcript: Transcript = record.transcript("")
    return events, said, known, notes, dict(seen), transcript.reached, transcript.breaches, transcript.acted


@pytest.mark.parametrize(
    ("step", "data"),
    [
        (NULL, ORDINARY),
        (NULL, ORDINARY + READY[:5]),
        (NULL, GREETING),
        (NULL, ORDINARY + encode(Frame(b"a message"))),
        (NULL, GREETING + encode(Command(b"READY"))),
        (NULL, GREETING + encode(Command(b"ERROR", b"\x02no"))),
        (NULL, GREETING[:32] + b"\x02" + GREETING[33:] + READY),
        (Shake("PUSH", version=(2, 0)), ORDINARY),
        (Shake("PUSH", instead=(Command(b"READY"),)), ORDINARY),
        (Shake("PUSH", mechanism="PLAIN"), encode(Greeting(mechanism=b"PLAIN"))),
    ],
)
def test_who_comes_later_has_read_the_same(step: Shake, data: bytes) -> None:
    rehearsal, (connection, seen, record) = Rehearsal(), begun(step)
    plain = ended(connection, b"", counted(connection, data, seen, record), seen, record)
    for _ in range(3):
        connection, seen, record = begun(step)
        heard = rehearsal.hear(step, connection, data, seen, record)
        assert ended(*heard, seen, record) == plain


def test_what_one_goes_on_to_hear_is_not_known_to_the_next() -> None:
    rehearsal = Rehearsal()
    peers = [begun(NULL) for _ in range(3)]
    connections = [rehearsal.hear(NULL, one, ORDINARY, seen, record)[0] for one, seen, record in peers]
    connections[1].receive_data(b"\x00\x05hel")
    connections[2].receive_data(encode(Frame(b"whole")))
    assert len(list(iter(connections[2].next_event, None))) == 1
    connections[1].receive_data(b"lo")
    assert len(list(iter(connections[1].next_event, None))) == 1
    assert connections[0].next_event() is None


def test_another_socket_type_says_another_ready() -> None:
    rehearsal, said = Rehearsal(), []
    for kind in ("PUSH", "REQ", "PUSH", "REQ"):
        step = Shake(kind)
        connection, seen, record = begun(step)
        said.append(rehearsal.hear(step, connection, ORDINARY, seen, record)[1])
        assert record.transcript("").reached is Reached.HANDSHAKE
    assert said[:2] == said[2:]
    assert b"PUSH" in said[0]
    assert b"REQ" in said[1]
