"""Where a program may listen: what an entry holds, and what is said of one that cannot be read."""

from __future__ import annotations

import pytest

from zmqfuzz.binds import allows, every_address, parse_expose
from zmqfuzz.errors import UsageError


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:5555", "tcp://0.0.0.0:5555"),
        ("tcp://127.0.0.1:*", "tcp://[::ffff:127.0.0.1]:5555", "tcp://[::]:5555"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"),
        ("tcp://127.0.0.1:5555-5560", "tcp://127.0.0.1:5560", "tcp://127.0.0.1:5561"),
        ("tcp://localhost:*", "tcp://127.1.2.3:1", "tcp://192.168.1.1:1"),
        ("tcp://localhost:*", "tcp://[::1]:1", "tcp://[fe80::1]:1"),
        ("tcp://10.0.0.0/8:*", "tcp://10.9.9.9:7", "tcp://11.0.0.1:7"),
        ("tcp://[fd00::]/16:*", "tcp://[fd00::7]:7", "tcp://[fd01::7]:7"),
        ("tcp://0.0.0.0:*", "tcp://10.0.0.1:7", "tcp://[::1]:7"),
        ("tcp://0.0.0.0:*", "tcp://0.0.0.0:7", "tcp://[::]:7"),
        ("tcp://*:5555", "tcp://[::]:5555", "tcp://[::]:5556"),
        ("tcp://10.0.0.0/8:*", "tcp://10.0.0.1:7", "tcp://0.0.0.0:7"),
        ("ipc://*", "ipc:///run/app.sock", "ipc://@app"),
        ("ipc://@app*", "ipc://@app-1", "ipc://@other"),
        ("ipc:///run/app/*", "ipc:///run/app/x", "ipc:///run/other/x"),
        ("ipc://*", "ipc:///a", "tcp://127.0.0.1:1"),
        ("tcp://*:*", "tcp://1.2.3.4:1", "ipc:///a"),
    ],
)
def test_what_an_entry_holds(entry: str, inside: str, outside: str) -> None:
    entries = parse_expose(entry)
    assert allows(entries, inside) == inside.startswith(entry[:3])
    assert not allows(entries, outside)


def test_a_wildcard_is_known_as_such() -> None:
    assert [every_address(f"tcp://{host}:1") for host in ("0.0.0.0", "[::]", "127.0.0.1", "[::1]")] == [1, 1, 0, 0]
    assert not every_address("ipc:///*")


def test_lists_and_texts_are_the_same() -> None:
    wanted = ("tcp://127.0.0.1:*", "ipc://*")
    assert parse_expose("tcp://127.0.0.1:*, ipc://*") == parse_expose(list(wanted)) == wanted
    assert not allows((), "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    "wrong",
    ["", "*", "tcp://", "tcp://*", "tcp://eth0:1", "tcp://1.2.3.4:0", "tcp://1.2.3.4:9-8", "udp://1.2.3.4:1", "ipc://"],
)
def test_what_cannot_be_read_is_one_sentence(wrong: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_expose([wrong])
    assert repr(wrong) in str(raised.value)
    with pytest.raises(UsageError, match="no list"):
        parse_expose(7)
