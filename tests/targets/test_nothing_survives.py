"""Whatever happens to zmqfuzz, no process of the target is left: not even one in a session of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from zmqfuzz import processes
from zmqfuzz.targets.child import ChildTarget, RunningChild

Program = Callable[..., list[str]]
CAP = 1 << 30


@pytest.fixture
def command(program: Program, mark: Any) -> list[str]:
    """A server with a grandchild that has gone elsewhere: two marked processes."""
    return program("daemoniser", mark.word, *program("server", "REP={endpoint}", mark.word)[1:])


def test_after_the_block(command: list[str], mark: Any) -> None:
    async def session() -> RunningChild:
        async with ChildTarget(command, hard_cap=CAP).run() as running:
            assert len(running.pids()) == 2
            assert mark.pids() == set(running.pids())
        return running

    running = trio.run(session)
    assert mark.pids() == set()
    assert running.pids() == ()
    assert "bound" in running.log_tail()


def test_after_an_exception(command: list[str], mark: Any) -> None:
    async def session() -> None:
        async with ChildTarget(command, hard_cap=CAP).run():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trio.run(session)
    assert mark.pids() == set()


def test_after_a_cancellation(command: list[str], mark: Any) -> None:
    async def session() -> None:
        with trio.CancelScope() as scope:
            async with ChildTarget(command, hard_cap=CAP).run():
                scope.cancel()
                await trio.sleep_forever()

    trio.run(session)
    assert mark.pids() == set()


def test_after_a_cancellation_during_the_start(program: Program, mark: Any) -> None:
    async def session() -> None:
        with trio.move_on_after(0.3):
            async with ChildTarget(
                program("daemoniser", mark.word, *program("idle", mark.word)[1:]), hard_cap=CAP
            ).run():
                pytest.fail("it has no doors")

    trio.run(session)
    assert mark.pids() == set()


HELPER = """
    import os, sys, time, trio
    from zmqfuzz.targets.child import ChildTarget

    async def main():
        async with ChildTarget(sys.argv[1:], hard_cap=1 << 30).run() as running:
            # As multiprocessing does: a fork that holds every descriptor must not keep the target alive.
            if (holder := os.fork()) == 0:
                time.sleep(60)
                os._exit(0)
            print(running._leash.warden_pid, holder, flush=True)
            await trio.sleep_forever()

    trio.run(main)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_after_the_death_of_zmqfuzz(command: list[str], mark: Any, tmp_path: Path, how: signal.Signals) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text(textwrap.dedent(HELPER))
    with subprocess.Popen(
        [sys.executable, str(helper), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        warden, holder = map(int, process.stdout.readline().split())
        try:
            assert len(mark.pids() - {process.pid, holder}) == 2
            process.send_signal(how)
            process.wait(10)
            assert mark.wait(1) == {holder}
            assert _gone(warden)
        finally:
            os.kill(holder, signal.SIGKILL)


def test_the_warden_ignores_the_terminal_and_its_own_death_kills_the_target(command: list[str]) -> None:
    async def session() -> None:
        async with ChildTarget(command, hard_cap=CAP).run() as running:
            warden, main = running._leash.warden_pid, running._leash.pid
            stat = processes.stat(main)
            assert stat is not None
            assert stat.pgrp == stat.session == main
            assert os.getpgid(warden) == warden
            for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(warden, ignored)
            (orphan,) = set(running.pids()) - {main}
            os.kill(warden, signal.SIGKILL)
            with trio.fail_after(10):
                while running.exit() is None:
                    await trio.sleep(0.01)
            assert _gone(main)
            os.kill(orphan, signal.SIGKILL)  # beyond a dead warden's reach

    trio.run(session)


def _gone(pid: int, within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while (record := processes.stat(pid)) is not None and record.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
