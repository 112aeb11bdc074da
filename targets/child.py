"""A target that we start: any command, in any language, with whatever children it has.

Contract: each ``run`` is a fresh start; after the block, and after any death of this process, nothing of it is left
(see :mod:`zmqfuzz.warden`). The doors are found by asking the system where the processes listen. Linux only.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from zmqfuzz import processes, sockets
from zmqfuzz.endpoints import connect, free_port, parse
from zmqfuzz.errors import TargetDidNotStart, UsageError
from zmqfuzz.targets.doors import Found, find
from zmqfuzz.targets.leash import Leash, NotStarted
from zmqfuzz.targets.readiness import parse_readiness
from zmqfuzz.targets.running import RunningChild
from zmqfuzz.trial import Exit

__all__ = ["ChildTarget", "RunningChild", "parse_signal"]

_NAME_MAX = 60
_LAST_LINES = 5
_DEFAULTS = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}  # so that the log holds a crash's traceback


@dataclass(frozen=True, slots=True)
class _Places:
    """What the placeholders stand for at one start."""

    endpoint: str
    ipc: str
    cores: str

    def fill(self, text: str) -> str:
        port = str(parse(self.endpoint).port) if self.endpoint.startswith("tcp:") else ""
        filled = text.replace("{endpoint}", self.endpoint).replace("{port}", port)
        return filled.replace("ipc://{ipc}", "{ipc}").replace("{ipc}", f"ipc://{self.ipc}")


class ChildTarget:
    """A command to start.

    In ``command``, ``endpoints`` and the values of ``env``, ``{endpoint}`` stands for ``tcp://127.0.0.1:`` and a free
    port, ``{port}`` for that port, ``{ipc}`` (or ``ipc://{ipc}``) for ``ipc://`` and a fresh path; anew at each start.
    Its environment names a folder, ``ZMQFUZZ_CORES``, where a core file that it leaves is looked at.

    Args:
        endpoints: these doors only; without them, all that the processes open.
        socket_type: taken for every door, whatever it announces.
        env: added to our own environment.
        start_within: seconds until the doors must be open.
        hard_cap: octets of resident memory of all its processes together, above which all are killed.
        ready: ``handshake`` (a door answers), or before that ``log:REGEX``, ``file:PATH``, ``sleep:SECONDS``.
        connecting: the target listens nowhere but connects to us, at ``endpoints[0]`` if given; ``run`` yields as
            soon as it is started (and ``ready``), without surfaces.
        stop_signal: what tells it to stop, as a supervisor would.
        copies: a second process beside the first disturbs neither.
    """

    restartable = True

    def __init__(
        self,
        command: Sequence[str],
        *,
        hard_cap: int,
        name: str | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        endpoints: tuple[str, ...] = (),
        socket_type: str = "",
        start_within: float = 20.0,
        ready: str = "handshake",
        connecting: bool = False,
        stop_signal: signal.Signals = signal.SIGTERM,
        copies: bool = False,
    ) -> None:
        self.copies = copies
        if isinstance(command, str):
            raise UsageError(f"The target's command must be a list of words, as {shlex.split(command)!r}.")
        self._command = tuple(os.fspath(word) for word in command)
        self._name = name or shlex.join(self._command)
        if len(self._name) > _NAME_MAX:
            self._name = self._name[: _NAME_MAX - 3] + "..."
        self._cwd = cwd
        self._env = dict(env or {})
        self._endpoints = endpoints
        self._socket_type = socket_type
        self._start_within = start_within
        self._hard_cap = hard_cap
        self._ready = parse_readiness(ready)
        self._connecting = connecting
        self._stop_signal = stop_signal
        self._expected: frozenset[str] = frozenset()
        self._first: tuple[str, ...] = ()
        trial = _Places("tcp://127.0.0.1:1", "/x", "/x")
        for endpoint in endpoints:
            parse(trial.fill(endpoint))

    @property
    def name(self) -> str:
        """The given name, or the command, shortened."""
        return self._name

    def run(self) -> AbstractAsyncContextManager[RunningChild]:
        """Start it and wait for its doors. Raises TargetDidNotStart with the reason and the remedy, UsageError."""
        return self._run()

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[RunningChild]:
        with ExitStack() as stack:
            places = self._choose(stack)
            only = tuple(places.fill(endpoint) for endpoint in self._endpoints)
            if not self._connecting:
                await _refuse_taken(only)
            own = {"ZMQFUZZ_CORES": places.cores}
            environment = {
                **_DEFAULTS,
                **os.environ,
                **own,
                **{key: places.fill(text) for key, text in self._env.items()},
            }
            command = [places.fill(word) for word in self._command]
            leash = Leash(command, cwd=self._cwd, env=environment, hard_cap=self._hard_cap)
            try:
                await leash.started()
                if leash.not_started is not None:
                    raise TargetDidNotStart(_why_not_started(leash.not_started, command[0], self._cwd))
                yield await self._found(leash, only, Path(places.cores))
            finally:
                await leash.close()

    def _choose(self, stack: ExitStack) -> _Places:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="zmqfuzz-", ignore_cleanup_errors=True))
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        if self._connecting and self._endpoints:
            endpoint = self._endpoints[0]
        return _Places(endpoint, f"{folder}/socket", folder)

    async def _found(self, leash: Leash, only: tuple[str, ...], cores: Path) -> RunningChild:
        def members() -> tuple[int, ...]:
            return processes.descendants(leash.warden_pid)

        def ended() -> bool:
            # A command that ends well and leaves processes behind has put itself in the background.
            leash.read()
            last = leash.exits.get(leash.pid)
            return leash.cap_passed_at > 0 or (last is not None and (last.code != 0 or not members()))

        def look() -> tuple[str, ...]:
            # Ports may be others at each start, in another order; the order in which sockets are made stays.
            first = {address: place for place, address in enumerate(self._first)}
            found = sockets.listening(members())
            ordered = sorted(found, key=lambda door: (first.get(door.reach, len(first)), door.inode))
            return tuple(listener.reach for listener in ordered)

        deadline = trio.current_time() + self._start_within
        if not await self._ready.reached(leash.whole_log, ended=ended, within=self._start_within):
            raise TargetDidNotStart(self._why_not_ready(leash, ended()))
        if self._connecting:
            return RunningChild(leash, (), leash.pid, self._stop_signal, cores)
        found = await find(
            look,
            ended=ended,
            within=max(0.0, deadline - trio.current_time()),
            only=only,
            expected=self._expected,
            socket_type=self._socket_type,
            busy=lambda: processes.runnable(members()) > 0,
        )
        if ended() or not found.surfaces or (only and found.others):
            raise TargetDidNotStart(self._why_no_door(leash, found, only, ended()))
        self._expected = frozenset(surface.key for surface in found.surfaces)
        self._first = self._first or tuple(surface.address for surface in found.surfaces)
        return RunningChild(leash, found.surfaces, _main(leash, found), self._stop_signal, cores, not only)

    def _why_not_ready(self, leash: Leash, ended: bool) -> str:
        if ended:
            return self._why_ended(leash)
        return (
            f"The target ({self._name}) runs, but {self._ready} did not come true within {self._start_within:g} s; "
            f"correct it, or allow more time with --start-within.{_said(leash)}"
        )

    def _why_ended(self, leash: Leash) -> str:
        if leash.cap_passed_at:
            return (
                f"The target ({self._name}) was killed at start with {leash.cap_passed_at >> 20} MiB of resident "
                f"memory, above the hard cap of {self._hard_cap >> 20} MiB; allow more with --mem-cap."
            )
        return (
            f"The target ({self._name}) ended with {_how(leash.exits.get(leash.pid, Exit()))} before it listened; "
            f"run the command by hand, and correct what it says.{_said(leash)}"
        )

    def _why_no_door(self, leash: Leash, found: Found, only: tuple[str, ...], ended: bool) -> str:
        if ended:
            return self._why_ended(leash)
        bound = {
            listener.reach: listener.bound for listener in sockets.listening(processes.descendants(leash.warden_pid))
        }
        elsewhere = ", ".join(sorted(bound.values()))
        if only:
            where = f"it listens on {elsewhere}" if elsewhere else "it listens nowhere"
            return (
                f"The target ({self._name}) runs, but no ZMTP peer answered at {', '.join(found.others)} within "
                f"{self._start_within:g} s ({where}); correct --connect, or allow more time with --start-within."
                f"{_said(leash)}"
            )
        if elsewhere:
            return (
                f"The target ({self._name}) listens on {elsewhere}, but does not speak ZMTP there within "
                f"{self._start_within:g} s; check that it is a ZeroMQ program, or name its endpoint with --connect."
            )
        return (
            f"The target ({self._name}) runs, but opened no listening socket within {self._start_within:g} s; "
            "if it is a program that connects, give the endpoint where we shall listen with --bind EP; "
            f"if it starts slowly, allow more time with --start-within.{_said(leash)}"
        )


def parse_signal(text: str) -> signal.Signals:
    """A signal by its name, with or without SIG. Raises UsageError: there is none, or it cannot be caught."""
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    found = signal.Signals.__members__.get(name)
    if found is None or found in (signal.SIGKILL, signal.SIGSTOP):
        raise UsageError(f"--stop-signal: {text!r} is no signal that a program can obey; write TERM, INT or HUP.")
    return found


def _main(leash: Leash, found: Found) -> int:
    """The process that was started; the owner of the first door when that one went into the background."""
    if leash.pid not in leash.exits:
        return leash.pid
    owners = {door.reach: door.pid for door in sockets.listening(processes.descendants(leash.warden_pid))}
    return owners.get(found.surfaces[0].address, leash.pid)


async def _refuse_taken(only: tuple[str, ...]) -> None:
    """Somebody else's program must not be attacked in place of the target. Raises TargetDidNotStart."""
    for endpoint in only:
        with trio.move_on_after(1.0):
            try:
                (await connect(endpoint)).close()
            except OSError:
                continue
            raise TargetDidNotStart(
                f"Something listens on {endpoint} already, before the target was started; stop it, or let zmqfuzz "
                "choose a port by writing {endpoint} in the command."
            )


def _how(end: Exit) -> str:
    if end.signal is not None:
        try:
            return f"signal {signal.Signals(end.signal).name}"
        except ValueError:
            return f"signal {end.signal}"
    return f"exit code {end.code}"


def _said(leash: Leash) -> str:
    lines = [line for line in leash.log_tail().splitlines() if line.strip()][-_LAST_LINES:]
    return " It said last:\n" + "\n".join(f"    {line}" for line in lines) if lines else " It printed nothing."


def _why_not_started(failure: NotStarted, program: str, folder: str | None) -> str:
    reason = os.strerror(failure.errno)
    if failure.stage == "folder":
        return f"The target's working folder {folder!r} cannot be entered ({reason}); correct it."
    if failure.stage == "warden":
        return f"This system lets no process adopt orphans ({reason}), which zmqfuzz needs; use Linux 3.4 or newer."
    exists = os.path.exists(os.path.join(folder or "", program)) if "/" in program else shutil.which(program)
    if failure.errno == errno.ENOENT and not exists:
        return (
            f"The command {program!r} was not found; check its spelling and PATH, or give its path "
            "(./ before a program in this folder)."
        )
    if failure.errno == errno.ENOENT:
        return f"{program!r} exists, but the interpreter in its first line does not; correct that line (#!...)."
    if failure.errno in (errno.EACCES, errno.ENOEXEC):
        return (
            f"{program!r} is not executable ({reason}); make it so with chmod +x and a first line #!..., or put its "
            "interpreter before it (python server.py)."
        )
    return f"The command {program!r} could not be run ({reason}); run it by hand to see why."
