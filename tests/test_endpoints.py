"""What may be written as an endpoint, what may be attacked, and the sockets behind it."""

import socket
from pathlib import Path

import pytest
import trio

from zmqfuzz.endpoints import Endpoint, Place, address_of, check_allowed, connect, is_loopback, listen, parse
from zmqfuzz.errors import UsageError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp://127.0.0.1:5555", Endpoint("tcp", "127.0.0.1", 5555)),
        ("tcp://[::1]:5555", Endpoint("tcp", "::1", 5555)),
        ("tcp://my-host.example:1", Endpoint("tcp", "my-host.example", 1)),
        ("ipc:///tmp/a b", Endpoint("ipc", path="/tmp/a b")),
        ("ipc://@name", Endpoint("ipc", path="@name")),
    ],
)
def test_parse_and_print(text: str, endpoint: Endpoint) -> None:
    assert parse(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("server", "no transport"),
        ("ws://127.0.0.1:5555", "'ws'"),
        ("inproc://x", "tcp://host:port or ipc://path"),
        ("tcp://127.0.0.1", "host and port"),
        ("tcp://:5555", "host and port"),
        ("tcp://127.0.0.1:0", "from 1 to 65535"),
        ("tcp://127.0.0.1:65536", "65535"),
        ("tcp://127.0.0.1:x", "'x'"),
        ("tcp://127.0.0.1:\u0665", "port"),
        ("tcp://::1:5555", "tcp://[::1]:5555"),
        ("tcp://[x]:5555", "IPv6"),
        ("tcp://a b:5555", "'a b'"),
        ("ipc://", "path"),
        ("ipc:///" + "x" * 107, "107"),
    ],
)
def test_what_is_no_endpoint(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


def test_loopback() -> None:
    local = ("tcp://127.3.2.1:1", "tcp://[::1]:1", "tcp://[::ffff:127.0.0.1]:1", "tcp://localhost:1", "ipc://x")
    assert all(map(is_loopback, local))
    assert not any(map(is_loopback, ("tcp://10.0.0.1:1", "tcp://[2001:db8::1]:1", "tcp://0.0.0.0:1")))


def test_only_what_is_yours() -> None:
    assert check_allowed("tcp://127.0.0.1:1") == Endpoint("tcp", "127.0.0.1", 1)
    assert check_allowed("tcp://10.0.0.1:1", ("10.0.0.1",)).host == "10.0.0.1"
    with pytest.raises(UsageError, match=r"--allow-remote 10\.0\.0\.1"):
        check_allowed("tcp://10.0.0.1:1", ("10.0.0.2",))
    for wildcard in ("*", "0.0.0.0", "[::]"):
        with pytest.raises(UsageError, match="wildcard"):
            check_allowed(f"tcp://{wildcard}:1", ("*", "0.0.0.0", "::"))
    with pytest.raises(UsageError, match="spelling"):
        check_allowed("tcp://no-such-host.invalid:1")


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0", "ipc://{}", "ipc://@{}"])
def test_listen_and_connect(text: str, tmp_path: Path) -> None:
    async def session() -> None:
        with await listen(text.format(tmp_path / "door")) as door, await connect(address_of(door)) as near:
            far, _ = await door.accept()
            with far:
                await near.send(b"x")
                assert await far.recv(1) == b"x"

    trio.run(session)


def test_a_taken_place_and_a_stale_one(tmp_path: Path) -> None:
    async def session() -> None:
        for text in ("tcp://127.0.0.1:0", f"ipc://{tmp_path}/door"):
            with await listen(text) as door, pytest.raises(UsageError, match="Cannot listen"):
                await listen(address_of(door))
        with await listen(text):  # the path is still there
            pass
        with pytest.raises(UsageError, match="allow-remote"):
            await listen("tcp://192.0.2.1:0")
        with pytest.raises(ConnectionRefusedError):
            await connect(text)

    trio.run(session)


def test_who_does_not_accept_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as door:
        place = Place.at(f"tcp://127.0.0.1:{door.getsockname()[1]}")
        assert place is not None
        opened = [place.opened() for _ in range(6)]
        assert opened[0][1]
        assert not opened[-1][1]  # still connecting: the kernel tries again after a second
        for _, connected in opened:
            if connected:
                door.accept()[0].close()
        opened.append(place.opened())
        for sock, _ in opened:
            sock.close()
    assert opened[-1][1]
