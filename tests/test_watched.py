"""Programs that are watched: the lines that open the doors of a target, and that nothing of them is left."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from zmqfuzz.assembly import Spec
from zmqfuzz.budget import Limits
from zmqfuzz.processes import stat
from zmqfuzz.watched import inside, watch

EXAMPLES = Path(__file__).parents[1] / "targets" / "examples"
ROUTER = EXAMPLES / "frame_limit.py"


def test_the_doors_of_a_target_are_found_in_its_source() -> None:
    spec = Spec((sys.executable, str(ROUTER), "--hardened", "--bind", "{endpoint}"))
    found = trio.run(inside, spec.target)
    line = next(number for number, text in enumerate(ROUTER.read_text().splitlines(), 1) if ".bind(" in text)
    (source, opened), *others = found.values()
    assert list(found) == ["ROUTER-null-tcp-0"]
    assert not others
    assert source == f"{ROUTER}:{line}"
    assert opened.startswith("ROUTER bind tcp://127.0.0.1:")
    assert "\nMAXMSGSIZE=65536 SNDHWM=1000 RCVHWM=16 LINGER=0 " in opened


def test_where_nothing_can_be_known_nothing_is_said() -> None:
    for command in ((sys.executable, "-I", str(ROUTER)), (sys.executable, "-c", "raise SystemExit(3)"), ("/nowhere",)):
        assert trio.run(inside, Spec(command, start_within=10.0).target) == {}


def test_a_watched_program_is_told_to_stop_and_is_gone() -> None:
    async def work() -> None:
        seen = await watch((sys.executable, str(ROUTER)), 0.6, hard_cap=Limits().hard_cap)
        (process,) = seen.recorded.processes
        (socket,) = seen.recorded.sockets
        assert socket.closed is not None  # it was told to stop, and closed its socket
        assert seen.end is None
        assert [listener.pid for listener in seen.listeners] == [process.pid]
        assert any("libzmq" in library for library in seen.libraries)
        assert stat(process.pid) is None

    trio.run(work)
