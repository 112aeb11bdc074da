"""A program that is started for an audit: what its shim, the kernel and the wire showed, as what an audit takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import trio

from zmqfuzz.advisories import table
from zmqfuzz.assembly import run
from zmqfuzz.audit.lines import Line
from zmqfuzz.audit.listed import at
from zmqfuzz.audit.outer import Outer
from zmqfuzz.audit.seen import plain_address
from zmqfuzz.audit.setting import changed_defaults
from zmqfuzz.budget import Limits
from zmqfuzz.elsewhere import connect_from_elsewhere
from zmqfuzz.exposure import Loaded, version_text
from zmqfuzz.mapped import loaded
from zmqfuzz.opened import Recorded, read
from zmqfuzz.outside import Measured, look_at
from zmqfuzz.sockets import Listener
from zmqfuzz.watched import Watched, watch

__all__ = ["Seen", "watch_it"]

SILENT, MOST_SILENT = 3.0, 40.0
"""Seconds for which peers that say nothing are watched: as long as the program is, within these."""


@dataclass(frozen=True, slots=True)
class Seen:
    """``recorded`` by the shim; ``outer``: listeners that only the kernel and the wire showed; ``said``: sentences.

    ``lines``: of the libraries; ``limits`` by endpoint, the largest frame (None: no limit); ``reached``: from another
    network namespace.
    """

    recorded: Recorded
    outer: tuple[Outer, ...]
    said: tuple[str, ...]
    lines: tuple[Line, ...]
    limits: tuple[tuple[str, int | None], ...]
    reached: dict[str, bool]


@dataclass(slots=True)
class _Looked:
    """What was found while it ran. ``unknown``: listeners that no recorded socket opened; ``why``: the network was not
    tried from elsewhere."""

    measured: list[Measured] = field(default_factory=list)
    libraries: list[Loaded] = field(default_factory=list)
    reached: dict[str, bool] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    why: str = ""


def watch_it(command: tuple[str, ...], seconds: float, probe: bool, beside: Sequence[Sequence[str]] = ()) -> Seen:
    """Start the program, watch it, and stop it; ``probe``: measure its listeners also where the shim showed them.

    ``beside``: its peers, which are started after it and recorded, too. Raises TargetDidNotStart, UsageError.
    """
    looked = _Looked()

    async def look(folder: Path, listeners: tuple[Listener, ...], pids: tuple[int, ...]) -> None:
        looked.libraries += await trio.to_thread.run_sync(lambda: loaded(pids, ours=True))
        known = {plain_address(door.endpoint) for socket in read(folder).sockets for door in socket.doors}
        looked.unknown = {one.bound for one in listeners if one.bound not in known}
        asked = [one for one in listeners if probe or one.bound in looked.unknown]
        looked.measured += await look_at(asked, pids, max(SILENT, min(seconds, MOST_SILENT)))
        ports = {one.bound: int(one.bound.rpartition(":")[2]) for one in listeners if one.bound.startswith(_BY_IPV4)}
        if probe and ports:
            tried = await trio.to_thread.run_sync(connect_from_elsewhere, tuple(ports.values()))
            looked.why = tried.why
            looked.reached = {bound: tried.reached[port] for bound, port in ports.items() if port in tried.reached}

    watched = run(lambda: watch(command, seconds, hard_cap=Limits().hard_cap, look=look, beside=beside))
    libraries = looked.libraries or [Loaded(path, why="it ended too soon") for path in watched.libraries]
    sized = [each.seen for each in looked.measured if each.seen.limit is not None or each.seen.unlimited]
    measured = [f"{each.seen.bound}: {sentence}" for each in looked.measured for sentence in each.said]
    return Seen(
        watched.recorded,
        tuple(each.seen for each in looked.measured if each.seen.bound in looked.unknown),
        (*_told(watched), *map(_library, libraries), *_places(watched, looked), *measured),
        tuple(
            line
            for one in libraries
            if one.version is not None
            for line in changed_defaults(one.path, version_text(one.version), dict(one.defaults))
        ),
        tuple((each.bound, each.limit) for each in sized),
        looked.reached,
    )


def _library(one: Loaded) -> str:
    """Which libzmq it is, its build, and what is published about it."""
    if one.version is None:
        return f"It has mapped {one.path}: its version is not known ({one.why})."
    features = "" if one.features is None else f", with {', '.join(one.features) or 'no options'}"
    said = f"It has mapped {one.path}: {one.name}{' linked in' if one.part else ''}{features}."
    about = ", ".join(each.id for each in table().about(one.version))
    if about and one.vendor:
        said += f" {about} are published about it; {one.vendor} may have mended them."
    elif about:
        said += f" Published about it: {about}; `zmqfuzz run --only exposure` says how far a peer gets to them."
    old = table().stale(date.today())
    return f"{said} ({old[0].upper()}{old[1:]}.)" if old else said


_BY_IPV4 = ("tcp://0.0.0.0:", "tcp://127.", "tcp://[::]:")
"""What is tried by an address of ours: one address of another network says nothing of these."""


def _places(watched: Watched, looked: _Looked) -> list[str]:
    """From the line that binds to the listener, and from where that was reached; and listeners without such a line."""
    recorded = [
        (plain_address(door.endpoint), at(door.place))
        for socket in watched.recorded.sockets
        for door in socket.doors
        if door.verb == "bind" and not door.given.startswith("inproc:")
    ]
    said = []
    for one in watched.listeners if recorded else ():
        lines = sorted({place for endpoint, place in recorded if endpoint == one.bound})
        where = f"bound at {', '.join(lines)}" if lines else "bound by no socket that was recorded"
        if one.bound in looked.reached:
            word = "reached" if looked.reached[one.bound] else "not reached"
            where += f"; {word} from another network namespace"
        said.append(f"It listens on {one.bound} (process {one.pid}): {where}.")
    if looked.why:
        said.append(f"What is reached from another network namespace was not tried: {looked.why}.")
    return said


def _told(watched: Watched) -> list[str]:
    """What is to be said of a run beside its sockets."""
    said = []
    if watched.end is not None:
        code = watched.end.code if watched.end.code is not None else f"signal {watched.end.signal}"
        said.append(f"It ended by itself after {watched.seconds:.1f} s (exit code {code}).")
        if not watched.recorded.sockets:
            said += [f"It said: {line}" for line in watched.log.strip().splitlines()[-3:]]
    if not watched.recorded.processes:
        said.append(
            "No Python process of it took our PYTHONPATH: it is in another language, or was started with -I or -E."
        )
    elif not any(one.versions for one in watched.recorded.processes):
        said.append("Its Python processes did not import pyzmq.")
    if not watched.recorded.sockets:
        said += [f"It listens on {each.bound} (process {each.pid})." for each in watched.listeners]
    return said
