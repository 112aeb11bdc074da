"""zmqfuzz as the server: real clients connect to it, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from zmqfuzz.endpoints import address_of
from zmqfuzz.errors import UsageError
from zmqfuzz.injector import inject
from zmqfuzz.listener import Listeners
from zmqfuzz.probe import UNASKED
from zmqfuzz.script import Attack, Connect, Expect, Script, Send, Shake
from zmqfuzz.trial import Reached
from zmqfuzz.writer import Meter
from zmqfuzz.zmtp.connection import Role
from zmqfuzz.zmtp.wire import Frame, Raw

CLIENT = Path(__file__).resolve().parent.parent / "targets" / "examples" / "client.py"
ANY = """
import sys, time, zmq
kind, says, *endpoints = sys.argv[1:]
context, kept = zmq.Context(), []
for endpoint in endpoints:
    socket = context.socket(zmq.SocketType[kind])
    socket.linger = 0
    socket.reconnect_ivl = 20
    if kind == "SUB":
        socket.subscribe(b"")
    if says == "CURVE":
        socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
        socket.curve_serverkey = zmq.curve_keypair()[0]
    socket.connect(endpoint)
    kept.append(socket)
while True:
    for socket in kept:
        if says == "yes":
            try:
                socket.send(b"news", zmq.NOBLOCK)
            except zmq.ZMQError:
                pass
    time.sleep(0.05)
"""
T = TypeVar("T")


@contextmanager
def client(*arguments: str, program: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, *((str(program),) if program else ("-c", ANY)), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def listening(
    work: Callable[[Listeners, tuple[str, ...]], Awaitable[T]], count: int = 1, transport: str = "ipc", kind: str = ""
) -> T:
    """Run ``work`` with open listeners at ``count`` endpoints."""

    async def session() -> T:
        if transport == "ipc":
            names = tuple(f"ipc://@zf-listener-{os.getpid()}-{number}" for number in range(count))
        else:
            names = tuple([f"tcp://127.0.0.1:{await _free_port()}" for _ in range(count)])
        listeners = Listeners(names, kind)
        await listeners.open()
        try:
            with trio.fail_after(60):
                return await work(listeners, names)
        finally:
            listeners.close()

    return trio.run(session)


async def _free_port() -> int:
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        return int(address_of(probe).rpartition(":")[2])


@pytest.mark.parametrize("kind", ["DEALER", "REQ", "PULL", "SUB", "PUB"])
def test_what_connects_says_what_it_is(kind: str) -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client(kind, "no", *names):
            await listeners.learn(20)
        (surface,) = listeners.surfaces
        assert (surface.socket_type, surface.mechanism, surface.version) == (kind, "NULL", "3.1")
        assert (surface.side, surface.address) == ("connect", names[0])
        assert surface.key == f"{kind}-null-ipc-0"

    listening(work)


def test_a_client_with_a_key_is_known_by_its_greeting() -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client("DEALER", "CURVE", *names):
            await listeners.learn(20)
            (surface,) = listeners.surfaces
            assert (surface.mechanism, surface.socket_type, surface.known) == ("CURVE", "", False)
            assert (await listeners.ask(surface, 1)).level == UNASKED

    listening(work, transport="tcp")


def test_doors_of_a_kind_are_numbered_in_the_order_of_the_endpoints() -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client("PULL", "no", *names):
            await listeners.learn(20)
        assert [(surface.address, surface.index) for surface in listeners.surfaces] == [
            (name, number) for number, name in enumerate(names)
        ]

    listening(work, count=3)


def test_where_nobody_connects_there_is_no_door() -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        started = trio.current_time()
        with client("PULL", "no", names[1]):
            await listeners.learn(1.5)
        assert [surface.address for surface in listeners.surfaces] == [names[1]]
        assert trio.current_time() - started < 4

    listening(work, count=2)


@pytest.mark.parametrize(("kind", "says", "level"), [("PUSH", "yes", "application"), ("PULL", "no", "handshake")])
def test_the_honest_server_asks_what_the_client_did_before(kind: str, says: str, level: str) -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client(kind, says, *names) as process:
            await listeners.learn(20)
            (surface,) = listeners.surfaces
            result = await listeners.calibrate(surface)
            assert (result.level, result.ok) == (level, True)
            result = await listeners.ask(surface, 10)
            assert (result.level, result.ok, result.detail) == (level, True, "came back")
            process.kill()
            process.wait()
            await listeners.drop_pending()
            started = trio.current_time()
            result = await listeners.ask(surface, 0.5)
            assert (result.level, result.ok) == (level, False)
            assert "did not come back within 0.5 s" in result.detail
            assert trio.current_time() - started < 2

    listening(work, transport="tcp")


@pytest.mark.parametrize(("form", "comes_back"), [((), False), (("--hardened",), True)], ids=["weak", "hardened"])
def test_the_example_client_after_a_protocol_error(form: tuple[str, ...], comes_back: bool) -> None:
    """libzmq gives a connected endpoint up after a protocol error (issue 4196)."""

    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client("--connect", names[0], *form, program=CLIENT):
            await listeners.learn(20)
            (surface,) = listeners.surfaces
            assert (await listeners.calibrate(surface)).ok
            assert (await listeners.ask(surface, 5)).ok
            honest = (
                Connect(),
                Shake("ROUTER", within=5),
                Expect("message", 2),
                Send((Frame(b"", True), Frame(b"ok"))),
            )
            (transcript,) = await inject(Attack((Script(honest),)), listeners.dial(surface), Meter(), role=Role.SERVER)
            assert transcript.reached is Reached.TRAFFIC
            bad = Script((Connect(), Shake("ROUTER", within=5), Send((Raw(b"\xff" * 40),)), Expect("close", 2)))
            await inject(Attack((bad,)), listeners.dial(surface), Meter(), role=Role.SERVER)
            assert (await listeners.ask(surface, 5)).ok is comes_back

    listening(work, transport="tcp")


def test_connections_that_wait_are_dropped() -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with client("PULL", "no", *names) as process:
            await listeners.learn(20)
            process.kill()
        await trio.sleep(0.1)
        await listeners.drop_pending()
        (surface,) = listeners.surfaces
        started = trio.current_time()
        with pytest.raises(trio.TooSlowError):
            await listeners.dial(surface)()
        assert 0.5 < trio.current_time() - started < 6

    listening(work)


def test_an_endpoint_that_is_taken_or_not_ours_is_refused() -> None:
    async def work(listeners: Listeners, names: tuple[str, ...]) -> None:
        with pytest.raises(UsageError, match="Cannot listen on"):
            await Listeners(names).open()
        with pytest.raises(UsageError, match="wildcard"):
            await Listeners(("tcp://*:5555",)).open()

    listening(work)


def test_the_path_of_an_ipc_endpoint_is_gone_after_the_run(tmp_path: Path) -> None:
    async def session() -> None:
        listeners = Listeners((f"ipc://{tmp_path}/door",))
        await listeners.open()
        assert (tmp_path / "door").is_socket()
        listeners.close()

    trio.run(session)
    assert not (tmp_path / "door").exists()
