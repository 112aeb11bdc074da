"""Starts a program, watches it for some seconds, and says what sockets it opened: by its shim, and by the kernel.

Contract: the program runs as a target does (:mod:`zmqfuzz.targets.child`): nothing of it is left afterwards. At the end
it is told to stop, so that what it does with its sockets then is recorded, too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import trio

from zmqfuzz import sockets
from zmqfuzz.audit.listed import told, written
from zmqfuzz.errors import ZmqfuzzError
from zmqfuzz.mapped import libraries
from zmqfuzz.opened import Recorded, read
from zmqfuzz.shim import environment
from zmqfuzz.target import Running, Target
from zmqfuzz.targets.child import ChildTarget
from zmqfuzz.trial import Exit

__all__ = ["Watched", "inside", "watch"]

_LOOK = 0.05
_START_WITHIN = 20.0
_END_WITHIN = 5.0
"""Seconds between two looks, for the first socket to be opened, and for the program to end when it is told to."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen in ``seconds``. ``listeners``: where its processes listened; ``libraries``: the libzmqs mapped.

    ``end``: how it ended before it was told to; None: it did not. ``log``: the end of its output.
    """

    recorded: Recorded
    listeners: tuple[sockets.Listener, ...]
    libraries: tuple[str, ...]
    seconds: float
    end: Exit | None
    log: str


async def inside(make: Callable[[dict[str, str]], Target]) -> dict[str, tuple[str, str]]:
    """Start the target that ``make`` gives for an environment, once: of its doors, by key, the line and the options.

    Doors of which nothing was recorded are left out, and so are all where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="zmqfuzz-", ignore_cleanup_errors=True) as name:
        try:
            async with make(environment(Path(name), os.environ)).run() as running:
                surfaces, recorded = running.surfaces, read(Path(name))
        except ZmqfuzzError:
            return {}
    found = {}
    for surface in surfaces:
        socket = recorded.at(surface.address, surface.socket_type)
        if socket is not None and socket.place is not None:
            door = next(door for door in socket.doors if door.place == socket.place)
            found[surface.key] = (
                str(socket.place),
                f"{socket.type} {door.verb} {door.given}\n{written(told(door, socket))}",
            )
    return found


async def watch(
    command: Sequence[str],
    seconds: float,
    *,
    hard_cap: int,
    look: Callable[[Path, tuple[sockets.Listener, ...], tuple[int, ...]], Awaitable[None]] | None = None,
    beside: Sequence[Sequence[str]] = (),
) -> Watched:
    """Run ``command`` for ``seconds`` from its first socket on, or until it ends. Raises TargetDidNotStart, UsageError.

    ``look`` is awaited, when the time is over and it still runs, with the folder of what it wrote, its listeners and
    its processes. ``beside``: programs that are started when it has opened its first socket, and recorded, too.
    """
    with tempfile.TemporaryDirectory(prefix="zmqfuzz-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        added = environment(folder, os.environ)
        target = ChildTarget(command, hard_cap=hard_cap, env=added, connecting=True)
        listeners: tuple[sockets.Listener, ...] = ()
        mapped: tuple[str, ...] = ()
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(target.run())
            others: list[Running] = []
            began = first = trio.current_time()
            opened = False
            least = max(seconds, _START_WITHIN)
            while running.exit() is None and trio.current_time() - first < (seconds if opened else least):
                await trio.sleep(_LOOK)
                pids = (*running.pids(), *(pid for other in others for pid in other.pids()))
                listeners, mapped = sockets.listening(pids) or listeners, libraries(pids, "libzmq") or mapped
                if not opened and (listeners or any(one.doors for one in read(folder).sockets)):
                    for words in beside:
                        other = ChildTarget(words, hard_cap=hard_cap, env=added, connecting=True)
                        others.append(await stack.enter_async_context(other.run()))
                    opened, first = True, trio.current_time()
            end, took = running.exit(), trio.current_time() - began
            if end is None and look is not None:
                await look(folder, listeners, (*running.pids(), *(pid for other in others for pid in other.pids())))
            for one in (*others, running):
                one.stop()
            with trio.move_on_after(_END_WITHIN):
                while any(one.exit() is None for one in (*others, running)):
                    await trio.sleep(_LOOK)
            log = running.log_tail()
        return Watched(read(folder), listeners, mapped, took, end, log)
