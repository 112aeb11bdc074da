"""What this machine lets zmqfuzz see and do, each thing tried or measured, never assumed.

Contract: a check gives one :class:`Fact` and raises nothing of its own; what it starts and opens it ends and closes.
Nothing leaves the machine. All of them together take some two seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path

import trio
import zmq

from zmqfuzz.advisories import read_version, table
from zmqfuzz.assembly import Spec
from zmqfuzz.budget import MIB
from zmqfuzz.doctor_kernel import KERNEL, Fact, no, ok, warn
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.mapped import libraries

__all__ = ["CHECKS", "Examined", "examine"]

STORE_NEEDS, STORE_WANTS = 100 * MIB, 1024 * MIB
"""Octets of disk space without which findings are lost, and with which a long run has room."""

SLOW = 200
"""MiB a second over loopback below which attacks on sizes take most of a run's time."""

_VOLUME = 32 * MIB
_NAPS, _NAP, LATE = 20, 0.005, 0.1
"""Sleeps that are measured, their seconds, and by how many seconds one may be late before timing means nothing."""

SCHEMATHESIS = "schemathesis"
_REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Examined:
    """All facts, in the order in which they are told, by name."""

    facts: dict[str, Fact]

    def missing(self, required: tuple[str, ...]) -> list[str]:
        """Of the required ones those that are not ok."""
        return [name for name in required if self.facts[name].state != "ok"]


def _python() -> Fact:
    said = f"Python {sys.version.split()[0]} on {os.uname().sysname} {os.uname().release} ({os.uname().machine})"
    if not sys.platform.startswith("linux"):
        return no(said, "processes can be watched on Linux only; use it there, or in a container")
    return ok(said)


def _packages() -> Fact:
    """What zmqfuzz needs, in the versions that it asks for."""
    matches = [_wanted(line) for line in metadata.requires("zmqfuzz") or ()]
    wanted = {match[1]: match[2] for match in matches if match is not None}
    found, old = [], []
    for name, least in wanted.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            old.append(f"{name} is not installed")
            continue
        found.append(f"{name} {version}")
        if _numbers(version) < _numbers(least):
            old.append(f"{name} {version} is older than {least}")
    if old or not wanted:
        return no("; ".join(old) or "zmqfuzz is not installed, only found", "install it again: pip install -e .")
    return ok(", ".join(found))


def _wanted(line: str) -> re.Match[str] | None:
    return None if "extra ==" in line else _REQUIREMENT.match(line)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _libzmq() -> Fact:
    place = next(iter(libraries([os.getpid()], "libzmq")), "linked into pyzmq")
    built = [name for name in ("curve", "ipc", "gssapi", "draft", "pgm", "norm", "tipc") if zmq.has(name)]
    said = f"libzmq {zmq.zmq_version()} of pyzmq {zmq.__version__}, with {', '.join(built) or 'nothing'} ({place})"
    old = table().about(read_version(zmq.zmq_version()))
    if old:
        return warn(said, f"it has {len(old)} published vulnerabilities; pip install -U pyzmq")
    return ok(said)


def _feature(name: str, means: str, remedy: str) -> Fact:
    return ok(f"{means}: yes") if zmq.has(name) else no(f"{means}: not in this libzmq", remedy)


def _curve() -> Fact:
    if not zmq.has("curve"):
        return no("CURVE is not in this libzmq", "pip install --force-reinstall pyzmq: its wheels have it")
    try:
        from nacl.public import PrivateKey

        PrivateKey.generate()
    except Exception as error:  # a library that cannot be loaded fails in ways of its own
        return no(f"our own CURVE peers do not work ({type(error).__name__})", "pip install --force-reinstall pynacl")
    return ok("CURVE: in libzmq, and for peers of our own (PyNaCl)")


def _engine() -> Fact:
    """A program is started under the warden, asked by an honest client, and ended."""

    async def session() -> tuple[str, float]:
        began = time.perf_counter()
        command = (sys.executable, "-m", "zmqfuzz.targets.examples.rep")
        async with Spec(command, name="rep").harness() as harness:
            surface = harness.surfaces(await harness.standing())[0]
            served = await harness.calibrate(surface.key)
        return (served.detail or "no answer") if not served.ok else "", time.perf_counter() - began

    try:
        why, seconds = trio.run(session)
    except (ZmqfuzzError, OSError) as error:
        why, seconds = str(error).splitlines()[0], 0.0
    if why:
        return no(f"a small service could not be started and asked: {why}", "report this with `zmqfuzz doctor --json`")
    return ok(f"a small service was started, asked and ended in {seconds:.2f} s, with all that it started (warden)")


def _timing() -> Fact:
    """Whether what is judged by the clock can be judged here, now."""
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    late = []
    for _ in range(_NAPS):
        began = time.perf_counter()
        time.sleep(_NAP)
        late.append(time.perf_counter() - began - _NAP)
    resolution = time.get_clock_info("perf_counter").resolution
    said = (
        f"{cores} core{'s' * (cores != 1)}, load {load:.1f}; sleeps {statistics.median(late) * 1e3:.2f} ms late,"
        f" at most {max(late) * 1e3:.1f}; clock resolution {resolution * 1e9:.0f} ns"
    )
    if load > cores or max(late) > LATE:
        return warn(said, "busy: what is judged by the clock may be inconclusive; end other programs, or run longer")
    return ok(said)


def _throughput() -> Fact:
    block = bytes(1 << 18)
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as ours:
        theirs, _ = door.accept()
        ours.settimeout(10)

        def send() -> None:
            with theirs:
                try:
                    for _ in range(_VOLUME // len(block)):
                        theirs.sendall(block)
                except OSError:
                    pass  # we have given up

        sender = threading.Thread(target=send, daemon=True)
        began = time.perf_counter()
        sender.start()
        got = 0
        while chunk := ours.recv(len(block)):
            got += len(chunk)
        seconds = time.perf_counter() - began
        sender.join()
    rate = got / seconds / MIB
    said = f"loopback carries {rate:,.0f} MiB a second"
    return ok(said) if rate >= SLOW else warn(said, "slow: give --for longer for what large sizes show")


def _disk(store: Path) -> Fact:
    place = store.absolute()
    while not place.exists():
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        return no(f"{place} cannot be written to ({error.strerror})", "give --store DIR, or free space")
    said = f"{free // MIB:,} MiB free for {store}"
    if free < STORE_NEEDS:
        return no(said, "free space, or give --store DIR")
    return ok(said) if free >= STORE_WANTS else warn(said, "little for a long run; free space, or give --store DIR")


def _advisories() -> Fact:
    known = table()
    said = f"{len(known.advisories)} advisories of libzmq (of pyzmq none is public), compared on {known.checked}"
    if stale := known.stale(date.today()):
        return warn(said, stale)
    return ok(said)


def _schemathesis() -> Fact:
    try:
        version = metadata.version(SCHEMATHESIS)
    except metadata.PackageNotFoundError:
        return ok("nothing is installed that is known to disturb Hypothesis")
    return warn(
        f"{SCHEMATHESIS} {version} is installed: it blanks the values that Hypothesis prints in other tests",
        "findings of zmqfuzz print their own; for other tests add -p no:schemathesis",
    )


def _without_store(check: Callable[[], Fact]) -> Callable[[Path], Fact]:
    return lambda store: check()


CHECKS: dict[str, Callable[[Path], Fact]] = {
    "python": lambda store: _python(),
    "packages": lambda store: _packages(),
    "libzmq": lambda store: _libzmq(),
    "curve": lambda store: _curve(),
    "ipc": lambda store: _feature("ipc", "ipc endpoints", "pip install --force-reinstall pyzmq"),
    "draft": lambda store: _feature("draft", "draft sockets", "only a program that uses them needs them"),
    "engine": lambda store: _engine(),
    **{name: _without_store(check) for name, check in KERNEL.items()},
    "timing": lambda store: _timing(),
    "throughput": lambda store: _throughput(),
    "disk": _disk,
    "advisories": lambda store: _advisories(),
    "hypothesis": lambda store: _schemathesis(),
}
"""By the name that ``--require`` takes; each is given the folder where findings are to be kept."""


def examine(store: Path) -> Examined:
    """Try everything."""
    return Examined({name: _safe(name, partial(check, store)) for name, check in CHECKS.items()})


def _safe(name: str, check: Callable[[], Fact]) -> Fact:
    """A machine that no check was written for is a fact, too."""
    try:
        return check()
    except Exception as error:
        return no(f"{name} could not be tried ({type(error).__name__}: {error})", "report this with its sentence")
