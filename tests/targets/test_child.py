"""Starting commands: which doors are found, and what is said when there are none."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from zmqfuzz.errors import TargetDidNotStart, UsageError
from zmqfuzz.target import Target
from zmqfuzz.targets.child import ChildTarget, RunningChild
from zmqfuzz.trial import Exit, Surface

Program = Callable[..., list[str]]
CAP = 1 << 30


def _start(
    command: list[str], look: Callable[[RunningChild], Any] = lambda running: running.surfaces, **options: Any
) -> Any:
    """What ``look`` sees while the command runs."""
    options = {"hard_cap": CAP} | options

    async def session() -> Any:
        async with ChildTarget(command, **options).run() as running:
            return look(running)

    return trio.run(session)


def _failure(command: list[str], **options: Any) -> str:
    with pytest.raises(TargetDidNotStart) as caught:
        _start(command, **options)
    return str(caught.value)


def _until(condition: Callable[[], Any], within: float = 10.0) -> Any:
    deadline = time.monotonic() + within
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return value


def test_is_a_target() -> None:
    target: Target = ChildTarget(["x"], hard_cap=CAP)
    assert target.restartable
    assert target.name == "x"


def test_finds_every_door_of_every_transport(program: Program, mark: Any) -> None:
    surfaces: tuple[Surface, ...] = _start(
        program(
            "server",
            "ROUTER={endpoint}",
            "PUB=tcp://127.0.0.1:*",
            "PUB=tcp://127.0.0.1:*",
            "PULL=tcp://0.0.0.0:*",
            "DEALER=tcp://[::1]:*",
            "XPUB=tcp://[::]:*",
            "REP=ipc://{ipc}",
            f"PUSH=ipc://@{mark.word}",
        )
    )
    by_key = {surface.key: surface for surface in surfaces}
    assert sorted(by_key) == [
        "DEALER-null-tcp-0",
        "PUB-null-tcp-0",
        "PUB-null-tcp-1",
        "PULL-null-tcp-0",
        "PUSH-null-ipc-0",
        "REP-null-ipc-0",
        "ROUTER-null-tcp-0",
        "XPUB-null-tcp-0",
    ]
    assert by_key["PUB-null-tcp-0"].address != by_key["PUB-null-tcp-1"].address
    assert by_key["PULL-null-tcp-0"].address.startswith("tcp://127.0.0.1:")
    assert by_key["XPUB-null-tcp-0"].address.startswith("tcp://[::1]:")
    assert by_key["DEALER-null-tcp-0"].address.startswith("tcp://[::1]:")
    assert by_key["PUSH-null-ipc-0"].address == f"ipc://@{mark.word}"
    assert by_key["REP-null-ipc-0"].address.startswith("ipc:///")
    assert {(surface.version, surface.side) for surface in surfaces} == {("3.1", "bind")}


def test_each_start_has_a_new_endpoint_and_the_same_keys(program: Program) -> None:
    target = ChildTarget(program("server", "REP={endpoint}", "PUB=tcp://127.0.0.1:*"), hard_cap=CAP)

    async def session() -> tuple[Surface, ...]:
        async with target.run() as running:
            return running.surfaces

    async def twice() -> list[tuple[Surface, ...]]:
        return [await session(), await session()]

    first, second = trio.run(twice)
    assert {door.key for door in first} == {door.key for door in second}
    assert {door.address for door in first}.isdisjoint(door.address for door in second)


@pytest.mark.parametrize("mechanism", ["PLAIN", "CURVE"])
def test_tells_the_mechanism_and_takes_the_declared_type(program: Program, mechanism: str) -> None:
    command = program("secured", mechanism, "{endpoint}")
    (door,) = _start(command, socket_type="ROUTER")
    assert (door.mechanism, door.socket_type) == (mechanism, "ROUTER")
    (door,) = _start(command)
    assert (door.mechanism, door.socket_type) == (mechanism, "")


def test_a_child_that_listens_is_found_and_the_main_process_comes_first(program: Program) -> None:
    command = program("forker", *program("server", "REP={endpoint}")[1:])
    surfaces, pids, end = _start(command, lambda running: (running.surfaces, running.pids(), running.exit()))
    assert [door.key for door in surfaces] == ["REP-null-tcp-0"]
    assert len(pids) == 2
    assert end is None


def test_a_command_that_goes_into_the_background_is_followed(program: Program) -> None:
    def look(running: RunningChild) -> tuple[Any, ...]:
        before = running.exit()
        os.kill(running.pids()[0], signal.SIGKILL)
        return before, _until(running.exit)

    before, after = _start(program("background", *program("server", "REP={endpoint}")[1:]), look)
    assert before is None
    assert after == Exit(signal=signal.SIGKILL)


def test_only_the_endpoints_that_were_given(program: Program) -> None:
    command = program("server", "REP={endpoint}", "PUB=tcp://127.0.0.1:*")
    (door,) = _start(command, endpoints=("{endpoint}",))
    assert door.socket_type == "REP"


def test_an_endpoint_that_stays_shut(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    said = _failure(program("server", "REP={endpoint}"), endpoints=(endpoint,), start_within=1.5)
    assert endpoint in said
    assert "it listens on tcp://127.0.0.1:" in said
    assert "--connect" in said


def test_somebody_elses_socket_is_not_taken_for_the_target(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        assert "already" in _failure(program("idle"), endpoints=(endpoint,))


def test_died_at_start(program: Program) -> None:
    said = _failure(program("dies"))
    assert "exit code 1" in said
    assert "the configuration is missing" in said
    said = _failure(program("crashes"))
    assert "SIGSEGV" in said
    assert 'crashes.py", line' in said  # PYTHONFAULTHANDLER


def test_a_program_that_listens_nowhere(program: Program) -> None:
    said = _failure(program("idle"), start_within=0.7)
    assert "no listening socket" in said
    assert "--bind EP" in said
    assert "--start-within" in said


def test_a_program_that_listens_but_not_for_zmtp(program: Program) -> None:
    said = _failure(program("plain", "{port}"), start_within=2.0)
    assert "listens on tcp://127.0.0.1:" in said
    assert "does not speak ZMTP" in said


def test_commands_that_cannot_be_run(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("#!/no/such/interpreter\n")
    assert "'no-such-command' was not found" in _failure(["no-such-command"])
    assert f"{str(text)!r} is not executable" in _failure([str(text)])
    text.chmod(0o755)
    assert "interpreter in its first line" in _failure([str(text)])
    text.write_text("no first line\n")
    assert "is not executable" in _failure([str(text)])
    assert "working folder '/no/such'" in _failure(["true"], cwd="/no/such")
    with pytest.raises(UsageError):
        _start([])
    with pytest.raises(UsageError):
        ChildTarget("python server.py", hard_cap=CAP)


def test_folder_and_environment_reach_the_target(tmp_path: Path) -> None:
    code = "import os; raise SystemExit(' '.join([os.getcwd(), os.environ['SAID'], os.environ['PYTHONUNBUFFERED']]))"
    said = _failure([sys.executable, "-c", code], cwd=str(tmp_path), env={"SAID": "yes", "PYTHONUNBUFFERED": "0"})
    assert f"{tmp_path} yes 0" in said


def test_waits_for_the_log(program: Program, tmp_path: Path) -> None:
    assert _start(program("server", "REP={endpoint}"), ready="log:^bound$")
    said = _failure(program("server", "REP={endpoint}"), ready=f"file:{tmp_path}/never", start_within=0.5)
    assert "--ready file:" in said
    with pytest.raises(UsageError):
        ChildTarget(["x"], hard_cap=CAP, ready="soon")


def test_a_program_that_connects_has_no_doors(program: Program) -> None:
    surfaces, pids = _start(program("idle"), lambda running: (running.surfaces, running.pids()), connecting=True)
    assert surfaces == ()
    assert len(pids) == 1


def test_a_crash_is_seen_at_once(program: Program) -> None:
    def look(running: RunningChild) -> Exit | None:
        (pid,) = running.pids()
        os.kill(pid, signal.SIGSEGV)
        assert _until(lambda: not running.pids())
        return running.exit()  # not polled

    assert _start(program("server", "REP={endpoint}"), look) == Exit(signal=signal.SIGSEGV)


def test_kill_returns_when_all_are_dead(program: Program, mark: Any) -> None:
    def look(running: RunningChild) -> tuple[Any, ...]:
        assert len(mark.wait(2)) == 2
        running.kill()
        return mark.pids(), running.pids(), running.exit()

    command = program("daemoniser", mark.word, *program("server", "REP={endpoint}", mark.word)[1:])
    assert _start(command, look) == (set(), (), Exit(signal=signal.SIGKILL))


def test_a_chatty_target_is_not_blocked_and_its_log_is_bounded(program: Program) -> None:
    def look(running: RunningChild) -> tuple[str, int]:
        leash = running._leash
        return _until(lambda: len(leash.whole_log()) < 16 << 20) and running.log_tail(), len(leash.whole_log())

    tail, size = _start(program("chatty", *program("server", "REP={endpoint}")[1:]), look)
    assert "the end\\x1b[31m \\u202e\n" in tail
    assert len(tail) <= 4096
    assert size < 16 << 20


def test_the_warden_kills_at_the_hard_cap(program: Program) -> None:
    def look(running: RunningChild) -> tuple[Any, ...]:
        return _until(running.exit, within=30.0), running.killed_at_cap

    assert _start(program("hungry", "{endpoint}"), look, hard_cap=200 << 20) == (Exit(signal=signal.SIGKILL), True)
