"""What a target adapter must offer. Adapters live in :mod:`zmqfuzz.targets`; the engine knows only this."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from zmqfuzz.trial import Exit, Surface

__all__ = ["Running", "Target"]


class Running(Protocol):
    """A target that runs. All of it is cheap enough to ask between two attacks."""

    @property
    def surfaces(self) -> tuple[Surface, ...]:
        """The ZMTP doors that were found, in a stable order."""
        ...

    @property
    def all_doors(self) -> bool:
        """Whether all its doors are meant, and not only those that were named."""
        ...

    @property
    def can_kill(self) -> bool:
        """Whether we started it (and so may kill it)."""
        ...

    @property
    def killed_at_cap(self) -> bool:
        """Whether it was killed for passing the hard cap, by whoever watches it besides us."""
        ...

    def pids(self) -> tuple[int, ...]:
        """The processes to watch, the main one first; empty when they cannot be watched."""
        ...

    def exit(self) -> Exit | None:
        """How the main process ended; None while it runs."""
        ...

    def log_tail(self) -> str:
        """The end of what it wrote to stdout and stderr (at most 4 KiB), control characters as ``\\x..``."""
        ...

    def wrote(self, since: int = 0) -> tuple[str | None, int]:
        """What it wrote to stdout and stderr behind the first ``since`` octets, and how many there are by now.

        None: its output is not ours, or that is more than was kept.
        """
        ...

    def stop(self) -> str:
        """Tell the main process to stop, as its supervisor would; the signal's name. Empty: that is not ours to do."""
        ...

    def kill(self) -> None:
        """SIGKILL the whole process group now; a no-op where ``can_kill`` is False."""
        ...


class Target(Protocol):
    """Something that can be run, again and again where ``restartable``."""

    @property
    def name(self) -> str:
        """A short name for messages."""
        ...

    @property
    def restartable(self) -> bool:
        """Whether ``run`` gives a fresh process each time."""
        ...

    @property
    def copies(self) -> bool:
        """Whether a second process beside the first is known to disturb neither."""
        ...

    def run(self) -> AbstractAsyncContextManager[Running]:
        """Start it, or attach; wait until its doors are found. Nothing is left running after the block.

        Raises TargetDidNotStart, TargetVanished, UsageError.
        """
        ...
