"""A target that runs already: we find its doors, watch it where we may, and never end it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from zmqfuzz import processes, sockets
from zmqfuzz.endpoints import parse
from zmqfuzz.errors import TargetDidNotStart, UsageError
from zmqfuzz.targets.doors import Found, by_address, find, number
from zmqfuzz.targets.identify import identify
from zmqfuzz.trial import Exit, Surface

__all__ = ["AttachedTarget", "RunningAttached"]

_ANSWER_WITHIN = 5.0  # seconds for a greeting: it runs already, but may be busy
_FIND_WITHIN = 5.0  # seconds for the doors of a process


class RunningAttached:
    """See :class:`zmqfuzz.target.Running`. Without a pid there is nothing to watch and no exit to see."""

    can_kill = False
    all_doors = False

    def __init__(self, surfaces: tuple[Surface, ...], pid: int | None) -> None:
        self._surfaces = surfaces
        self._pid = pid
        record = processes.stat(pid) if pid is not None else None
        self._born = record.starttime if record is not None else None

    @property
    def surfaces(self) -> tuple[Surface, ...]:
        """The doors that were found."""
        return self._surfaces

    @property
    def killed_at_cap(self) -> bool:
        """Never: it is not ours to kill."""
        return False

    def pids(self) -> tuple[int, ...]:
        """The given process and its descendants."""
        return processes.tree(self._pid) if self._pid is not None and self.exit() is None else ()

    def exit(self) -> Exit | None:
        """``Exit()`` when the process is gone, or its number belongs to another: not our child, so no code."""
        if self._pid is None:
            return None
        record = processes.stat(self._pid)
        here = record is not None and record.alive and record.starttime == self._born
        return None if here else Exit()

    def log_tail(self) -> str:
        """Empty: its output is not ours."""
        return ""

    def wrote(self, since: int = 0) -> tuple[str | None, int]:
        """Nothing: its output is not ours."""
        return None, 0

    def stop(self) -> str:
        """Nothing: we did not start it."""
        return ""

    def kill(self) -> None:
        """Nothing: we did not start it."""


class AttachedTarget:
    """What listens on ``endpoints``; or, with ``pid`` and no endpoints, on any door of that process and its children.

    Whether the endpoints may be attacked (:func:`zmqfuzz.endpoints.check_allowed`) is the caller's question.
    ``socket_type``, if given, is taken for every door.
    """

    restartable = False
    copies = False

    def __init__(
        self, endpoints: tuple[str, ...], *, pid: int | None = None, socket_type: str = "", name: str = ""
    ) -> None:
        if not endpoints and pid is None:
            raise UsageError("Nothing to attach to; give --connect ENDPOINT, or --pid PID.")
        self._endpoints = tuple(str(parse(endpoint)) for endpoint in endpoints)
        self._pid = pid
        self._socket_type = socket_type
        self._name = name

    @property
    def name(self) -> str:
        """What it was given, or the endpoints, or the process."""
        return self._name or ", ".join(self._endpoints) or f"process {self._pid}"

    def run(self) -> AbstractAsyncContextManager[RunningAttached]:
        """Find the doors. Raises UsageError (no such process) and TargetDidNotStart (nothing there, not ZMTP)."""
        return self._run()

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[RunningAttached]:
        if self._pid is not None and not processes.tree(self._pid):
            raise UsageError(f"There is no process {self._pid}; check the number given to --pid.")
        surfaces = await self._named() if self._endpoints else await self._discovered(self._pid or 0)
        yield RunningAttached(surfaces, self._pid)

    async def _named(self) -> tuple[Surface, ...]:
        doors: list[Surface] = []
        for endpoint in self._endpoints:
            try:
                door = await identify(endpoint, _ANSWER_WITHIN)
            except OSError as error:
                raise TargetDidNotStart(
                    f"Nothing can be reached at {endpoint} ({error.strerror or error}); "
                    "start the target first, correct the endpoint, or give the target's command after --."
                ) from error
            if door is None:
                raise TargetDidNotStart(
                    f"What listens on {endpoint} does not speak ZMTP; give the endpoint of a ZeroMQ socket."
                )
            doors.append(door)
        return number(by_address(doors), self._socket_type)

    async def _discovered(self, pid: int) -> tuple[Surface, ...]:
        def look() -> tuple[str, ...]:
            return tuple(listener.reach for listener in sockets.listening(processes.tree(pid)))

        def ended() -> bool:
            return not processes.tree(pid)

        found: Found = await find(look, ended=ended, within=_FIND_WITHIN, socket_type=self._socket_type)
        if not found.surfaces:
            seen = f"only on {', '.join(found.others)}, none of them ZMTP" if found.others else "nowhere"
            raise TargetDidNotStart(
                f"Process {pid} listens {seen}; check the number, and that it is a process of this user."
            )
        return found.surfaces
