"""NULL and PLAIN: what an honest side says, and what it does not accept."""

from __future__ import annotations

import pytest

from zmqfuzz.zmtp import Command, Frame, Mechanism, MechanismError, Null, PlainClient, PlainServer, Property
from zmqfuzz.zmtp.mechanism import Reply

METADATA = (Property(b"Socket-Type", b"PULL"),)
READY = Command(b"READY", properties=METADATA)
INITIATE = Command(b"INITIATE", properties=METADATA)
HELLO = Command(b"HELLO", b"\x02me\x03key")


def walk(mechanism: Mechanism, *commands: Command) -> list[Reply]:
    said = list(mechanism.start())
    for command in commands:
        said += mechanism.receive(command)
    return said


def test_null_says_ready_and_is_complete_when_it_hears_it() -> None:
    mechanism = Null("PUSH", properties=(Property(b"X-Own", b"1"),))
    assert walk(mechanism) == [
        Command(b"READY", properties=(Property(b"Socket-Type", b"PUSH"), Property(b"X-Own", b"1")))
    ]
    assert not mechanism.complete
    assert mechanism.receive(READY) == ()
    assert mechanism.complete
    assert mechanism.peer_properties == METADATA


def test_identity_is_sent_where_libzmq_sends_it() -> None:
    def names(mechanism: Mechanism) -> list[bytes]:
        return [item.name for item in mechanism.start()[0].properties]

    assert names(Null("DEALER")) == [b"Socket-Type", b"Identity"]
    assert names(Null("PUSH")) == [b"Socket-Type"]
    assert names(Null("PUSH", b"me")) == [b"Socket-Type", b"Identity"]


def test_both_sides_of_plain() -> None:
    client, server = PlainClient("PUSH", b"me", b"key"), PlainServer("PULL")
    assert walk(client, Command(b"WELCOME"), READY) == [
        HELLO,
        Command(b"INITIATE", properties=(Property(b"Socket-Type", b"PUSH"),)),
    ]
    assert walk(server, HELLO, INITIATE) == [Command(b"WELCOME"), READY]
    assert client.complete
    assert server.complete
    assert server.credentials == (b"me", b"key")


def test_a_plain_server_refuses_with_error_and_then_takes_nothing() -> None:
    server = PlainServer("PULL", lambda username, password: password == b"other")
    assert walk(server, HELLO) == [Command(b"ERROR", b"\x03400")]
    with pytest.raises(MechanismError, match="waits for nothing"):
        server.receive(INITIATE)


@pytest.mark.parametrize(
    ("mechanism", "commands"),
    [
        (Null("PUSH"), [Command(b"HELLO")]),
        (Null("PUSH"), [Command(b"READY", b"\x01")]),
        (Null("PUSH"), [Command(b"")]),
        (PlainClient("PUSH", b"", b""), [READY]),
        (PlainClient("PUSH", b"", b""), [Command(b"WELCOME", b"\0")]),
        (PlainClient("PUSH", b"", b""), [Command(b"WELCOME"), Command(b"WELCOME")]),
        (PlainServer("PULL"), [INITIATE]),
        (PlainServer("PULL"), [HELLO, HELLO]),
        (PlainServer("PULL"), [Command(b"HELLO")]),
        (PlainServer("PULL"), [Command(b"HELLO", b"\x02me")]),
        (PlainServer("PULL"), [Command(b"HELLO", b"\x02me\x03keys")]),
        (PlainServer("PULL"), [Command(b"HELLO", b"\xff")]),
        (PlainServer("PULL"), [HELLO, Command(b"INITIATE", b"\x01")]),
    ],
)
def test_what_breaks_the_mechanism_is_refused_and_never_completes(
    mechanism: Mechanism, commands: list[Command]
) -> None:
    with pytest.raises(MechanismError):
        walk(mechanism, *commands)
    assert not mechanism.complete


def test_traffic_is_left_as_it_is() -> None:
    frame = Frame(b"hello", more=True)
    assert Null("PUSH").wrap(frame) is frame
    assert Null("PUSH").unwrap(frame) is frame


def test_credentials_too_long_for_their_length_octet_are_sent_all_the_same() -> None:
    (hello,) = PlainClient("PUSH", b"u" * 257, b"").start()
    assert hello.data == b"\x01" + b"u" * 257 + b"\x00"
