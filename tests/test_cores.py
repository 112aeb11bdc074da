"""Where a real process crashed, from the core file that it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from zmqfuzz.cores import crash_place, newest_core
from zmqfuzz.mapped import libraries
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.targets.library import hosted
from zmqfuzz.trial import Exit

_CRASH = """
import ctypes, os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_CORE)[1]))
ctypes.string_at(0) if sys.argv[2] == "read" else os.abort()
"""


def crash(folder: Path, how: str, most: int = 64 << 20) -> Path:
    """The core of a Python process that reads at address 0, or aborts."""
    words = [sys.executable, "-c", _CRASH, str(most), how]
    ended = subprocess.run(words, cwd=folder, stderr=subprocess.DEVNULL, check=False).returncode
    assert ended == -(signal.SIGSEGV if how == "read" else signal.SIGABRT)
    core = newest_core(folder)
    if core is None:
        pytest.skip("this system leaves no core files in the working folder (kernel.core_pattern)")
    return core


def test_a_crash_in_the_runtime_is_told_by_who_called_it(tmp_path: Path) -> None:
    (tmp_path / "read").mkdir()
    (tmp_path / "abort").mkdir()
    read, aborted = (crash_place(crash(tmp_path / how, how)) for how in ("read", "abort"))
    assert read.startswith("_ctypes")
    assert aborted.startswith(("python", "libpython"))
    assert not {"libc", "libffi"} & {read.partition(":")[0], aborted.partition(":")[0]}


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 4096, 20_000, 100_000])
def test_what_is_cut_short_or_no_core_has_no_place_or_one_in_the_runtime(tmp_path: Path, kept: int) -> None:
    core = crash(tmp_path, "read")
    core.write_bytes(core.read_bytes()[:kept])
    assert crash_place(core).partition("+")[0].partition(":")[0] in ("", "libc", "_ctypes")
    core.write_bytes(b"\x7fELF\2\1" + os.urandom(4096))
    assert crash_place(core) == ""
    assert crash_place(tmp_path / "none") == ""


def test_a_hosted_library_says_where_a_signal_met_it(bundled: str, tmp_path: Path) -> None:
    crash(tmp_path, "read")  # or skipped
    library = hosted(bundled, "PULL")

    async def killed() -> tuple[Exit | None, Exit | None]:
        async with ChildTarget(library.command, hard_cap=1 << 30).run() as running:
            os.kill(running.pids()[0], signal.SIGSEGV)
            with trio.fail_after(20):
                while running.exit() is None:
                    await trio.sleep(0.01)
            first = running.exit()
        return first, running.exit()

    ended, later = trio.run(killed)
    assert ended is not None
    assert ended.signal == signal.SIGSEGV
    assert ended.place.startswith("libzmq")
    assert later == ended


@pytest.fixture(scope="module")
def bundled() -> str:
    """The libzmq of the installed pyzmq."""
    return libraries((os.getpid(),), "libzmq")[0]
