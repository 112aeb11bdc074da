"""Attaching to what runs already."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from zmqfuzz.endpoints import address_of, listen
from zmqfuzz.errors import TargetDidNotStart, UsageError
from zmqfuzz.sockets import listening
from zmqfuzz.target import Target
from zmqfuzz.targets.attached import AttachedTarget, RunningAttached
from zmqfuzz.trial import Exit

Program = Callable[..., list[str]]


@pytest.fixture
def server(program: Program) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running server that is not ours, and its endpoint."""
    with subprocess.Popen(program("server", "ROUTER=tcp://127.0.0.1:*"), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 15
        while not (found := listening([process.pid])) and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield process, found[0].reach
        finally:
            process.kill()


def _attach(target: AttachedTarget, look: Callable[[RunningAttached], Any]) -> Any:
    async def session() -> Any:
        async with target.run() as running:
            return look(running)

    return trio.run(session)


def test_by_endpoint(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, endpoint = server
    target = AttachedTarget((endpoint,))
    contract: Target = target
    assert not contract.restartable
    assert target.name == endpoint

    def look(running: RunningAttached) -> None:
        (door,) = running.surfaces
        assert door.key == "ROUTER-null-tcp-0"
        assert not running.can_kill
        assert running.pids() == ()
        assert running.log_tail() == ""
        running.kill()
        assert running.exit() is None

    _attach(target, look)
    assert process.poll() is None


def test_by_pid_and_its_end(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, endpoint = server

    def look(running: RunningAttached) -> tuple[Any, ...]:
        assert [door.address for door in running.surfaces] == [endpoint]
        assert running.pids() == (process.pid,)
        assert running.exit() is None
        process.kill()
        deadline = time.monotonic() + 10
        while running.exit() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return running.exit(), running.pids()

    assert _attach(AttachedTarget((), pid=process.pid, socket_type="ROUTER"), look) == (Exit(), ())


def test_nothing_to_attach_to() -> None:
    endpoint = "tcp://127.0.0.1:1"
    with pytest.raises(TargetDidNotStart, match=re.escape(endpoint)):
        _attach(AttachedTarget((endpoint,)), lambda running: None)
    with pytest.raises(TargetDidNotStart, match="/no/such"):
        _attach(AttachedTarget(("ipc:///no/such",)), lambda running: None)
    for endpoints in ((), ("127.0.0.1:5555",)):
        with pytest.raises(UsageError):
            AttachedTarget(endpoints)
    with pytest.raises(UsageError, match="no process"):
        _attach(AttachedTarget((), pid=2**22 + 1), lambda running: None)


def test_something_that_is_not_zmtp() -> None:
    async def session() -> None:
        door = await listen("tcp://127.0.0.1:0")

        async def serve() -> None:
            sock, _ = await door.accept()
            await sock.send(b"220 ready\r\n")
            sock.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(TargetDidNotStart, match="does not speak ZMTP"):
                async with AttachedTarget((address_of(door),)).run():
                    pass
        door.close()

    trio.run(session)


def test_a_process_that_listens_nowhere(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqfuzz.targets.attached._FIND_WITHIN", 0.3)
    with subprocess.Popen(program("idle")) as process:
        try:
            with pytest.raises(TargetDidNotStart, match="listens nowhere"):
                _attach(AttachedTarget((), pid=process.pid), lambda running: None)
        finally:
            process.kill()
