"""The honest client against programs that serve, are deaf, or are gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zmqfuzz.errors import UsageError
from zmqfuzz.probe import UNASKED, Prober, UserProbe
from zmqfuzz.trial import Surface

EXAMPLES = Path(__file__).resolve().parent.parent / "targets" / "examples"
ROUND_TRIPS = {"dealer", "pub", "pull", "push", "rep", "router", "xpub"}
EITHER = {"pair", "req"}
"""A PAIR may still hold the place of the peer before; plain.py's REQ asks once a second, and so long we wait."""
DOORS = [(kind, "tcp") for kind in (*sorted(ROUND_TRIPS | EITHER), "sub", "xsub")] + [("router", "ipc"), ("pub", "ipc")]
SERVICES = ("broker.py", "worker_crash.py", "worker_deaf.py", "memory_leak.py", "descriptor_leak.py", "frame_limit.py")


@contextmanager
def running(program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, str(EXAMPLES / program), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr.readline().rpartition(" ")[2].strip()
        finally:
            process.kill()


@contextmanager
def probing(user: UserProbe = None) -> Iterator[Prober]:
    prober = Prober(user)
    try:
        yield prober
    finally:
        prober.close()


def _stop(pid: int) -> None:
    """From now on the kernel accepts for it, and no thread of it answers."""
    os.kill(pid, signal.SIGSTOP)
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    while any(") T " not in (task / "stat").read_text() for task in tasks):
        time.sleep(0.01)


@pytest.mark.parametrize(("kind", "transport"), DOORS)
def test_every_socket_type_is_asked_as_it_can_be(kind: str, transport: str, tmp_path: Path) -> None:
    bind = "tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/s"
    with running("plain.py", kind, "--bind", bind) as (process, address), probing() as prober:
        surface = Surface(address, kind.upper())
        result = prober.calibrate(surface)
        assert result.ok
        assert result.level == prober.level
        assert kind in EITHER or result.level == ("application" if kind in ROUND_TRIPS else "handshake")
        assert [prober.ask(surface, 5.0).ok for _ in range(3)] == [True] * 3

        _stop(process.pid)
        started = time.monotonic()
        deaf = prober.ask(surface, 0.6)
        assert (deaf.ok, deaf.level) == (False, result.level)
        assert 0.5 <= time.monotonic() - started < 3
        assert "no answer within" in deaf.detail

        process.send_signal(signal.SIGCONT)
        assert prober.ask(surface, 10.0).ok
        process.kill()
        process.wait()
        started = time.monotonic()
        assert not prober.ask(surface, 0.4).ok
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("form", [(), pytest.param(("--hardened",), marks=pytest.mark.slow)], ids=["weak", "hardened"])
@pytest.mark.parametrize("service", SERVICES)
def test_the_examples_answer_as_applications(service: str, form: tuple[str, ...]) -> None:
    bind = f"tcp://127.0.0.1:{_free_port()}"
    with running(service, *form, "--bind", bind) as (process, _), probing() as prober:
        assert prober.calibrate(Surface(bind, "REP" if "deaf" in service else "ROUTER")).level == "application"
        assert process.poll() is None, "an honest question is not an attack"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_worker_that_went_deaf_is_told_from_one_that_serves() -> None:
    with running("worker_deaf.py") as (process, address), probing() as prober, probing() as blind:
        surface = Surface(address, "REP")
        assert prober.calibrate(surface).level == "application"
        assert prober._try(surface, type(prober.exchange)(3, (b"\xff",)), 0.5) is None  # type: ignore[misc]
        assert not prober.ask(surface, 0.5).ok
        assert process.poll() is None
        assert blind.calibrate(surface).level == "handshake", "libzmq still shakes hands: that proves nothing"


def test_nothing_at_all_there() -> None:
    with probing() as prober:
        started = time.monotonic()
        result = prober.ask(Surface("ipc:///nowhere/zmqfuzz.sock", "REP"), 0.3)
        assert (result.level, result.ok) == ("handshake", False)
        assert time.monotonic() - started < 3


def test_a_door_that_needs_a_key_is_not_asked() -> None:
    with probing() as prober:
        result = prober.calibrate(Surface("tcp://127.0.0.1:1", "ROUTER", "CURVE"))
        assert result.level == UNASKED
        assert "CURVE" in result.detail


# a user's own check

SURFACE = Surface("tcp://127.0.0.1:9", "REP")


def _raises(endpoint: str) -> bool:
    raise ConnectionError("queue is full")


@pytest.mark.parametrize(
    ("user", "ok", "detail"),
    [
        (lambda endpoint: endpoint == "tcp://127.0.0.1:9", True, "probe function"),
        (lambda endpoint: None, True, "probe function"),
        (lambda endpoint: False, False, "probe function"),
        (_raises, False, "raised ConnectionError: queue is full"),
        ("true", True, "exit code 0"),
        ("false", False, "exit code 1"),
        ("test {endpoint} = tcp://127.0.0.1:9", True, "exit code 0"),
        ("sleep 30", False, "did not end within"),
    ],
)
def test_a_probe_of_the_users_own(user: UserProbe, ok: bool, detail: str) -> None:
    with probing(user) as prober:
        assert prober.level == "user"
        started = time.monotonic()
        result = prober.ask(SURFACE, 0.5)
        assert (result.level, result.ok) == ("user", ok)
        assert detail in result.detail
        assert time.monotonic() - started < 3


def test_a_users_probe_is_asked_again_until_it_is_content() -> None:
    asked: list[str] = []

    def third_time(endpoint: str) -> bool:
        asked.append(endpoint)
        return len(asked) == 3

    with probing(third_time) as prober:
        assert prober.ask(SURFACE, 5.0).ok
    assert asked == [SURFACE.address] * 3


BAD = [
    "/nowhere/probe {endpoint}",
    "ask 'unbalanced",
    "   ",
    "/etc/passwd",
]


@pytest.mark.parametrize("command", BAD)
def test_a_command_that_cannot_be_run_is_the_users_mistake(command: str) -> None:
    with pytest.raises(UsageError, match="--probe"), probing(command) as prober:
        prober.ask(SURFACE, 0.5)


def test_a_prober_leaves_no_descriptor_behind() -> None:
    with running("plain.py", "rep") as (_, address):
        surface = Surface(address, "REP")

        def once() -> None:
            with probing() as prober:
                prober.calibrate(surface)
                prober.ask(surface, 1.0)

        once()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            once()
        deadline = time.monotonic() + 5
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(os.listdir("/proc/self/fd")) <= before
