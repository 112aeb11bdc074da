"""A command that was started and runs: its processes, how its main process ended, and where a signal met it."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace
from pathlib import Path

from zmqfuzz import processes
from zmqfuzz.cores import crash_place, newest_core
from zmqfuzz.targets.leash import Leash
from zmqfuzz.trial import Exit, Surface

__all__ = ["RunningChild"]

_KILL_WITHIN = 2.0  # seconds kill() may block; a GiB takes some 0.2 s to free
_REPORT_WITHIN = 1.0  # seconds from a death to the warden's report of it


class RunningChild:
    """See :class:`zmqfuzz.target.Running`. Its last words and its exit can still be asked after the block."""

    can_kill = True

    def __init__(
        self,
        leash: Leash,
        surfaces: tuple[Surface, ...],
        main: int,
        stop_signal: signal.Signals,
        cores: Path,
        all_doors: bool = False,
    ) -> None:
        self.all_doors = all_doors
        self._stop_signal = stop_signal
        self._cores = cores
        self._ended: Exit | None = None
        self._leash = leash
        self._surfaces = surfaces
        self._main = main

    @property
    def surfaces(self) -> tuple[Surface, ...]:
        """The doors that were found; none where the target connects to us."""
        return self._surfaces

    @property
    def killed_at_cap(self) -> bool:
        """Whether the warden killed it for passing the hard cap."""
        self._leash.read()
        return self._leash.cap_passed_at > 0

    def pids(self) -> tuple[int, ...]:
        """The main process, then all others that were started, orphans too."""
        found = processes.descendants(self._leash.warden_pid)
        return tuple(sorted(found, key=lambda pid: pid != self._main))

    def exit(self) -> Exit | None:
        """How the main process ended. At its very death this waits (1 s at most) for the warden's word."""
        if self._ended is not None:
            return self._ended
        self._leash.read()
        ended = self._leash.exits.get(self._main)
        if ended is None and ((record := processes.stat(self._main)) is None or not record.alive):
            ended = self._leash.wait_exit(self._main, _REPORT_WITHIN) or Exit()
        if ended is not None and ended.signal is not None:
            core = newest_core(self._cores)
            self._ended = ended = replace(ended, place=crash_place(core) if core is not None else "")
        return ended

    def log_tail(self) -> str:
        """The end of its stdout and stderr."""
        return self._leash.log_tail()

    def wrote(self, since: int = 0) -> tuple[str | None, int]:
        """Its stdout and stderr behind ``since`` octets, unless more was written than is kept."""
        octets, size = self._leash.wrote(since)
        kept = len(octets) == size - since and not octets.startswith(b"\0")  # the warden has cut it there
        return octets.decode("utf-8", "backslashreplace") if kept else None, size

    def stop(self) -> str:
        """Tell the main process, and no other, to stop; returns at once, with the name of the signal."""
        if self.exit() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._main, self._stop_signal)
        return self._stop_signal.name

    def kill(self) -> None:
        """SIGKILL everything, wherever it moved; returns when it is gone (after 2 s at the latest)."""
        self._leash.kill(_KILL_WITHIN)
