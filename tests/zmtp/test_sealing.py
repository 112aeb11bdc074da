"""CURVE between two of ours, without a socket: what is sealed, whatever it says; what is read, whatever comes."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqfuzz.zmtp import (
    Command,
    Connection,
    CurveClient,
    CurveCommand,
    CurveServer,
    Fill,
    Frame,
    Mechanism,
    MechanismError,
    Property,
    encode,
)
from zmqfuzz.zmtp.keys import keypair, seeded
from zmqfuzz.zmtp.measure import unit_size

WORDS = st.sampled_from(
    ["", "next", "repeat", "lower", "gap", "last", "zero", "own", "random", "foreign", "open", "another", "\0"]
)
VALUES = {
    "bytes": st.sampled_from([b"HELLO", b"WELCOME", b"INITIATE", b"READY", b"ERROR", b"MESSAGE"])
    | st.binary(max_size=300),
    "bytes | None": st.none() | st.binary(max_size=300),
    "Body": st.binary(max_size=80) | st.builds(Fill, st.integers(-5, 5000), st.integers(-5, 5000)),
    "int": st.integers(-(2**70), 2**70),
    "int | None": st.none() | st.integers(-9, 3000),
    "tuple[Property, ...]": st.lists(st.builds(Property, st.binary(max_size=9), st.binary()), max_size=3).map(tuple),
    "tuple[int, int]": st.tuples(st.integers(-9, 999), st.integers(-9, 999)),
    "str": WORDS,
    "bool": st.booleans(),
    "bool | None": st.sampled_from([None, False, True]),
}
UNITS = st.builds(CurveCommand, **{field.name: VALUES[str(field.type)] for field in fields(CurveCommand)})
PUBLIC, SECRET = keypair(seeded("tests"))


def both() -> list[Mechanism]:
    return [CurveClient("DEALER", PUBLIC, random=seeded(3)), CurveServer("ROUTER", SECRET, random=seeded(4))]


@given(st.lists(UNITS, max_size=4))
def test_whatever_the_fields_say_it_is_sealed_and_as_large_as_said(units: list[CurveCommand]) -> None:
    for mechanism in both():
        connection = Connection(mechanism)
        for unit in units:
            octets = connection.send(unit)
            assert unit.replay or len(octets) == unit_size(unit) == len(encode(unit))


@given(st.lists(st.tuples(st.sampled_from([b"HELLO", b"WELCOME", b"INITIATE", b"READY"]), st.binary(max_size=300))))
def test_nothing_but_a_mechanism_error_is_raised(commands: list[tuple[bytes, bytes]]) -> None:
    for mechanism in both():
        for name, data in commands:
            with suppress(MechanismError):
                mechanism.receive(Command(name, data))
        with suppress(MechanismError):
            mechanism.unwrap(Frame(b"".join(data for _, data in commands)))
        assert not mechanism.complete


@given(st.data())
def test_what_is_changed_on_the_way_is_noticed(data: st.DataObject) -> None:
    """Honest server and client of ours; one octet of one handshake command or message differs."""
    client, server = both()
    at = data.draw(st.integers(0, 4))
    passed = 0

    def carried(frame: Frame) -> Command:
        nonlocal passed
        body = bytearray(frame.body if isinstance(frame.body, bytes) else b"")
        if passed == at:
            place = data.draw(st.integers(1 + body[0], len(body) - 1))
            body[place] ^= data.draw(st.integers(1, 255))
        passed += 1
        return Command(bytes(body[1 : 1 + body[0]]), bytes(body[1 + body[0] :]))

    def one(reply: object) -> Command:
        assert isinstance(reply, CurveCommand)
        return carried(client.seal(reply) if reply.name in (b"HELLO", b"INITIATE") else server.seal(reply))

    def conversation() -> None:
        (hello,) = client.start()
        (welcome,) = server.receive(one(hello))
        (initiate,) = client.receive(one(welcome))
        (ready,) = server.receive(one(initiate))
        assert client.receive(one(ready)) == ()
        server.unwrap(Frame(carried(client.wrap(Frame(b"hello"))).body()))

    with pytest.raises(MechanismError):
        conversation()


def test_two_of_ours_with_the_same_seeds_say_the_same() -> None:
    def spoken() -> list[bytes]:
        client, server = (Connection(mechanism) for mechanism in both())
        said = [client.start(), server.start()]
        for place, (speaker, hearer) in enumerate([(client, server), (server, client)] * 4):
            hearer.receive_data(said[place] if place < 2 else said[-1])
            while hearer.next_event() is not None:
                pass
            said.append(hearer.data_to_send())
            assert speaker is not hearer
        assert client.complete
        assert server.complete
        return [*said, client.send(Frame(b"x")), server.send(Frame(b"x"))]

    first = spoken()
    assert first == spoken()
    assert first[-1] != first[-2]


def test_who_needs_no_key_does_not_load_the_library_for_them() -> None:
    code = (
        "import sys, zmqfuzz.cli.commands, zmqfuzz.zmtp as z; z.Connection(z.Null('REQ')).start();"
        "sys.exit(any(name.partition('.')[0] == 'nacl' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
