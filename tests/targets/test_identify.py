"""Identification against scripted peers: staged greetings, peers that wait, and what is not ZMTP."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from zmqfuzz.endpoints import address_of, listen
from zmqfuzz.targets.identify import identify
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.wire import Command, Greeting, Greeting2, Property, encode

Serve = Callable[[trio.SocketStream], Awaitable[None]]

GREETING = encode(Greeting())
LIBZMQ_SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
READY = encode(Command(b"READY", properties=(Property(b"Identity"), Property(b"socket-TYPE", b"DEALER"))))


async def _identified(serve: Serve, within: float = 5.0) -> tuple[Surface | None, bytes]:
    """What identify makes of a peer played by ``serve``, and what it sent to it."""
    sent = bytearray()
    door = await listen("tcp://127.0.0.1:0")

    async def play() -> None:
        sock, _ = await door.accept()
        async with trio.SocketStream(sock) as stream:
            await serve(stream)
            try:
                while chunk := await stream.receive_some():
                    sent.extend(chunk)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(play)
        surface = await identify(address_of(door), within)
    door.close()
    return surface, bytes(sent)


def _ask(serve: Serve, within: float = 5.0) -> Surface | None:
    return trio.run(_identified, serve, within)[0]


def test_a_peer_that_shows_everything_at_once() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(GREETING + READY)

    surface, sent = trio.run(_identified, serve)
    assert surface is not None
    assert (surface.socket_type, surface.mechanism, surface.version) == ("DEALER", "NULL", "3.1")
    assert sent == GREETING  # a greeting, and nothing that an application could see


def test_a_peer_that_sends_octet_by_octet() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        for octet in LIBZMQ_SIGNATURE + GREETING[10:] + READY:
            await stream.send_all(bytes([octet]))
            await trio.lowlevel.checkpoint()

    surface = _ask(serve)
    assert surface is not None
    assert surface.socket_type == "DEALER"


def test_a_peer_that_waits_for_our_whole_greeting() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        received = b""
        while len(received) < 64:
            received += await stream.receive_some()
        await stream.send_all(GREETING + READY)

    surface = _ask(serve)
    assert surface is not None
    assert surface.socket_type == "DEALER"


def test_a_peer_without_a_ready_and_one_that_closes() -> None:
    async def closes(stream: trio.SocketStream) -> None:
        await stream.send_all(GREETING)
        await stream.send_eof()

    async def waits(stream: trio.SocketStream) -> None:
        await stream.send_all(GREETING)

    for surface in (_ask(closes), _ask(waits, 0.3)):
        assert surface is not None
        assert surface.socket_type == ""


def test_another_mechanism_and_an_old_version() -> None:
    async def curve(stream: trio.SocketStream) -> None:
        await stream.send_all(encode(Greeting(minor=0, mechanism=b"CURVE", as_server=1)))

    async def old(stream: trio.SocketStream) -> None:
        await stream.send_all(encode(Greeting2(socket_type=5)))

    surface = _ask(curve)
    assert surface is not None
    assert (surface.mechanism, surface.version, surface.socket_type) == ("CURVE", "3.0", "")
    surface = _ask(old)
    assert surface is not None
    assert (surface.version, surface.socket_type) == ("2.0", "DEALER")


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\xff",
        b"\xff" * 64,
        LIBZMQ_SIGNATURE,
        GREETING[:63],
        b"HTTP/1.1 400 Bad\r\n\r\n",
    ],
)
@pytest.mark.parametrize("ending", ["close", "silence"])
def test_what_is_not_zmtp(words: bytes, ending: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        if words:
            await stream.send_all(words)
        if ending == "close":
            await stream.send_eof()

    assert _ask(serve, 0.25) is None


def test_a_huge_or_broken_ready_is_survived() -> None:
    for tail in (
        b"\x06" + b"\xff" * 8 + b"x" * 5000,
        b"\x04\x03\xffRE",
        b"\x00\x02ab",
        b"\x04\x06\x05READY",
        READY[:-3],
    ):

        async def serve(stream: trio.SocketStream, tail: bytes = tail) -> None:
            await stream.send_all(GREETING + tail)
            await stream.send_eof()

        assert _ask(serve) is not None


def test_nothing_there() -> None:
    async def session() -> None:
        door = await listen("tcp://127.0.0.1:0")
        address = address_of(door)
        door.close()
        with pytest.raises(ConnectionRefusedError):
            await identify(address, 1.0)

    trio.run(session)
