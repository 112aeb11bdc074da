"""The sockets of a target, as a test sees them: each as it was opened, and what the audit says of them.

Contract: the target is started once more, with the shim in its environment (:mod:`zmqfuzz.shim`), when the first
question is asked; no attack is played at it, it is told to stop, and nothing of it is left.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, overload

import trio

from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.listed import at
from zmqfuzz.audit.report import told
from zmqfuzz.audit.running import lines_of
from zmqfuzz.errors import Inconclusive, UsageError
from zmqfuzz.finding import Severity
from zmqfuzz.opened import Door, OpenedSocket, Recorded, Value, read
from zmqfuzz.shim import environment
from zmqfuzz.threaded import in_a_thread
from zmqfuzz.verdicts import HERE, AttackFailed, lines_printable

if TYPE_CHECKING:
    from zmqfuzz.assembly import Spec

__all__ = ["Audited", "SeenSocket"]

_LOOK = 0.05
_QUIET = 0.5
"""Seconds without another socket after which the program is taken to have opened all that it opens at its start."""

_END_WITHIN = 5.0


@dataclass(frozen=True, slots=True)
class SeenSocket:
    """One ``bind`` or ``connect`` of a program. ``options`` are those in force then, by pyzmq's names.

    ``given`` is the endpoint as the program wrote it, ``endpoint`` as libzmq had it; ``line`` as ``server.py:48``.
    """

    type: str
    verb: str
    given: str
    endpoint: str
    options: Mapping[str, Value]
    line: str


class Audited(Sequence[SeenSocket]):
    """What the target of ``spec`` opens, in the order in which it does.

    Raises TargetDidNotStart; UsageError: it is not started by us; Inconclusive: it is not a Python program with pyzmq.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    @property
    def findings(self) -> list[Line]:
        """What ``zmqfuzz audit -- COMMAND`` says: code, severity, line, sentence and remedy."""
        return lines_of(self.recorded)

    def check(self, fail_on: str | None = None) -> None:
        """Raise AttackFailed with all findings of this severity or worse; default: that of the session (fail_on)."""
        __tracebackhide__ = True
        worst = Severity(fail_on or HERE.session.fail_on).rank
        lines = [line for line in self.findings if line.severity.rank <= worst]
        if lines:
            first = f"{lines[0].code} {lines[0].sentence} ({lines[0].path}:{lines[0].line})"
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            text = "\n\n".join("\n".join(told(line)) for line in lines)
            raise AttackFailed(lines_printable(text) + "\n", lines_printable(first + more))

    @cached_property
    def recorded(self) -> Recorded:
        """All that was written down, also what was set afterwards, and how it was closed."""
        __tracebackhide__ = True
        spec = self._spec
        if not spec.command:
            raise UsageError("Sockets are recorded from the start on; give the target a command, not connect=.")
        recorded = in_a_thread(self._watched)
        name = spec.target().name
        if not recorded.processes:
            raise Inconclusive(f"No socket of {name} was recorded: it is not Python, or was started with -I or -E.")
        if not any(one.versions for one in recorded.processes):
            raise Inconclusive(f"No socket of {name} was recorded: its Python processes did not import pyzmq.")
        return recorded

    async def _watched(self) -> Recorded:
        with tempfile.TemporaryDirectory(prefix="zmqfuzz-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            async with self._spec.target(environment(folder, os.environ)).run() as running:
                seen, since = -1, trio.current_time()
                opened = bool(running.surfaces)  # one that connects may take its time until it does
                while running.exit() is None and trio.current_time() - since < (
                    _QUIET if opened else self._spec.start_within
                ):
                    count = sum(bool(one.doors) for one in read(folder).sockets)
                    if count != seen:
                        seen, since, opened = count, trio.current_time(), opened or count > 0
                    await trio.sleep(_LOOK)
                running.stop()
                with trio.move_on_after(_END_WITHIN):
                    while running.exit() is None:
                        await trio.sleep(_LOOK)
            return read(folder)

    @cached_property
    def _sockets(self) -> tuple[SeenSocket, ...]:
        return tuple(_seen(socket, door) for socket in self.recorded.sockets for door in socket.doors)

    @overload
    def __getitem__(self, place: int) -> SeenSocket: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[SeenSocket, ...]: ...
    def __getitem__(self, place: int | slice) -> SeenSocket | tuple[SeenSocket, ...]:
        return self._sockets[place]

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[SeenSocket]:
        return iter(self._sockets)


def _seen(socket: OpenedSocket, door: Door) -> SeenSocket:
    return SeenSocket(socket.type, door.verb, door.given, door.endpoint or door.given, door.options, at(door.place))
