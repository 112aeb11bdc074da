"""The sockets of a program, as its shim wrote them down (:mod:`zmqfuzz.shim`): JSON lines to plain data.

Contract: what is half written or not understood is left out. All of it comes from the program: hostile text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["Closed", "Door", "Injection", "OpenedSocket", "Place", "Recorded", "Refusal", "SetOption", "Value", "read"]

Value = int | str | bool

_LARGEST = 32 << 20
"""Octets of a file; a process writes 5000 lines of 1 KiB at most."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of the program: its file (absolute, or ``<string>``), counted from 1, and the function."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class SetOption:
    """One call that set an option. ``order`` counts the lines of its process, as that of a Door does.

    ``default``: given to a context for the sockets that it makes afterwards.
    """

    name: str
    value: Value
    place: Place | None
    order: int
    default: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """One bind or connect: as ``given``, ``endpoint`` as libzmq then had it, and the options in force by pyzmq's names.

    ``files``: the soft limit on descriptors then (RLIMIT_NOFILE).
    """

    verb: str
    given: str
    endpoint: str
    options: dict[str, Value]
    place: Place | None
    order: int
    files: int = 0


@dataclass(frozen=True, slots=True)
class Closed:
    """``close``, with the linger in force (milliseconds, -1 for ever); ``collected``: by the garbage collector."""

    linger: int
    place: Place | None
    collected: bool


@dataclass(frozen=True, slots=True)
class Injection:
    """An option of ours that was set; ``error``: libzmq's refusal, empty where it took it."""

    name: str
    value: Value
    error: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An option that raised; ``known``: libzmq has one of this name, and did not take it for this socket."""

    name: str
    error: str
    place: Place | None
    known: bool


@dataclass(frozen=True, slots=True)
class OpenedSocket:
    """One socket. ``context`` tells contexts of its process apart. ``parts``, ``pyobj``: where such calls were seen.

    ``made``: the order of its making. ``monitor``: where it was made as another socket's monitor. ``polled``: something
    polled or read it; ``waits``: where a REQ, not polled before, first waited for a reply without any limit.
    """

    pid: int
    number: int
    type: str
    context: int
    created: Place | None = None
    doors: tuple[Door, ...] = ()
    settings: tuple[SetOption, ...] = ()
    injected: tuple[Injection, ...] = ()
    closed: Closed | None = None
    parts: Place | None = None
    pyobj: Place | None = None
    made: int = 0
    refused: tuple[Refusal, ...] = ()
    monitor: Place | None = None
    polled: bool = False
    waits: Place | None = None

    @property
    def place(self) -> Place | None:
        """The line that names it: where it is first bound or connected, else where it is made."""
        return next((door.place for door in self.doors if door.place), self.created)


@dataclass(frozen=True, slots=True)
class Process:
    """A Python process that the shim ran in; ``versions`` where it imported zmq."""

    pid: int
    argv: tuple[str, ...]
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """All that was written. ``contexts``: options of contexts, by process and context. ``full``: some left some out."""

    processes: tuple[Process, ...] = ()
    sockets: tuple[OpenedSocket, ...] = ()
    contexts: tuple[tuple[int, int, SetOption], ...] = ()
    full: bool = False

    @property
    def zap(self) -> frozenset[tuple[int, int]]:
        """The processes and contexts in which a ZAP handler was bound (RFC 27: ``inproc://zeromq.zap.01``)."""
        return frozenset(
            (one.pid, one.context)
            for one in self.sockets
            for door in one.doors
            if door.verb == "bind" and door.given == "inproc://zeromq.zap.01"
        )

    def at(self, address: str, kind: str = "", verb: str = "bind") -> OpenedSocket | None:
        """The socket that was opened at ``address``; without one there, the only one of that type and verb."""
        fitting = [
            one
            for one in self.sockets
            for door in one.doors
            if door.verb == verb and not door.given.startswith("inproc:") and kind in ("", one.type)
        ]
        for one in fitting:
            if any(_same(door.endpoint, address) for door in one.doors if door.verb == verb):
                return one
        places = {one.place for one in fitting}
        return fitting[0] if len(places) == 1 else None


def _same(endpoint: str, address: str) -> bool:
    """Whether a door is reached at ``address``: a wildcard is, at any host with its port."""
    if endpoint == address:
        return True
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    wild = host in ("0.0.0.0", "[::]", "*")
    return endpoint.startswith("tcp://") and wild and address.startswith("tcp://") and address.endswith(f":{port}")


def read(folder: Path) -> Recorded:
    """What the processes wrote into ``folder`` so far."""
    processes: list[Process] = []
    sockets: dict[tuple[str, int], OpenedSocket] = {}
    contexts: list[tuple[int, int, SetOption]] = []
    full = False
    for file in sorted(folder.glob("*.jsonl"), key=_age):
        for order, event in enumerate(_events(file)):
            try:
                match event["event"]:
                    case "process":
                        words = tuple(str(word) for word in event.get("argv", ()))
                        processes.append(Process(int(event["pid"]), words, str(event.get("python", ""))))
                    case "zmq" if processes:
                        said = {str(key): str(value) for key, value in dict(event["versions"]).items()}
                        processes[-1] = replace(processes[-1], versions=said)
                    case "context":
                        default = event.get("default") is True
                        one = SetOption(str(event["option"]), _value(event["value"]), _place(event), order, default)
                        contexts.append((int(event["pid"]), int(event["context"]), one))
                    case "full":
                        full = True
                    case _:
                        key = (file.name, int(event["socket"]))
                        before = sockets.get(key) or OpenedSocket(
                            int(event["pid"]), key[1], str(event["type"]), int(event["context"])
                        )
                        sockets[key] = _with(before, event, order)
            except (KeyError, TypeError, ValueError):
                continue
    return Recorded(tuple(processes), tuple(sockets.values()), tuple(contexts), full)


def _age(file: Path) -> tuple[float, str]:
    """Files in the order in which their processes began, as far as that is known."""
    try:
        return file.stat().st_ctime, file.name
    except OSError:
        return 0.0, file.name


def _events(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(file, "rb") as stream:
            lines = stream.read(_LARGEST).split(b"\n")
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and "event" in event:
            yield event


def _place(event: dict[str, Any]) -> Place | None:
    said = event.get("place")
    return Place(str(said[0]), int(said[1]), str(said[2])) if said else None


def _value(said: object) -> Value:
    return said if isinstance(said, int | str) else str(said)


def _with(before: OpenedSocket, event: dict[str, Any], order: int) -> OpenedSocket:
    place = _place(event)
    match event["event"]:
        case "create":
            return replace(before, created=place, made=order)
        case "bind" | "connect" as verb:
            options = {str(name): _value(value) for name, value in dict(event["options"]).items()}
            files = int(event.get("files", 0))
            door = Door(verb, str(event["given"]), str(event["endpoint"]), options, place, order, files)
            return replace(before, doors=(*before.doors, door))
        case "set":
            setting = SetOption(str(event["option"]), _value(event["value"]), place, order)
            return replace(before, settings=(*before.settings, setting))
        case "injected":
            one = Injection(str(event["option"]), _value(event["value"]), str(event["error"]))
            return replace(before, injected=(*before.injected, one))
        case "close":
            return replace(before, closed=Closed(int(event["linger"]), place, bool(event["collected"])))
        case "refused":
            refusal = Refusal(str(event["option"]), str(event["error"]), place, event["known"] is True)
            return replace(before, refused=(*before.refused, refusal))
        case "monitor":
            return replace(before, monitor=place)
        case "polled":
            return replace(before, polled=True)
        case "waits":
            return before if before.polled or not event["value"] else replace(before, waits=place)
        case "parts":
            return replace(before, parts=place)
        case "pyobj":
            return replace(before, pyobj=place)
    return before
