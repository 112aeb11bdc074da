"""What a target showed without an attack, in words: observations, and what nothing can be said of. Pure."""

from __future__ import annotations

from datetime import date

from zmqfuzz.advisories import reaches, table
from zmqfuzz.binds import every_address
from zmqfuzz.budget import Limits
from zmqfuzz.exposure import Exposure, Loaded, version_text

__all__ = ["libraries", "perhaps", "places", "tells", "untold"]


def libraries(seen: Exposure) -> tuple[str, ...]:
    """Each libzmq whose version is known, and what it was built with."""
    return tuple(dict.fromkeys(_library(one) for one in seen.loaded if one.version is not None))


def untold(seen: Exposure, limits: Limits, today: date) -> list[str]:
    """What nothing can be said of, and why."""
    said = []
    for one in seen.loaded:
        if one.version is None:
            said.append(f"ZF651: the version of {one.path} is not known ({one.why})")
        elif one.vendor and (open_to := perhaps(one, seen)):
            said.append(
                f"ZF651: {one.name} at {one.path} is of {one.vendor}, which may have mended {', '.join(open_to)}"
                " without another version; ask it"
            )
    if not seen.loaded:
        said.append("ZF651: no libzmq was seen in its processes (another implementation, or another user's processes)")
    elif old := table().stale(today):
        said.append(f"ZF651: {old}")
    hidden = [
        one.bound for one in seen.listening if one.zmtp and one.anyone is None and one.bound.startswith("ipc:///")
    ]
    if hidden and limits.expose is not None:
        said.append(f"ZF653: the permissions of {', '.join(hidden)} cannot be seen")
    return said


def tells(seen: Exposure, code: str) -> bool:
    """Whether the look put an invariant to the test: a library must be known, and an ipc socket be there."""
    if code == "ZF653":
        return any(one.zmtp and one.anyone is not None for one in seen.listening)
    doubtful = [one for one in seen.loaded if one.version is None or (one.vendor and perhaps(one, seen))]
    return code != "ZF651" or (bool(seen.loaded) and not doubtful)


def places(seen: Exposure) -> tuple[str, ...]:
    """Where it listens, in words: doors first, and other places only where they are not of this machine alone."""
    shown = [one for one in seen.listening if one.zmtp or one.bound.startswith("tcp://")]
    return tuple(one.bound + (" (every address)" if every_address(one.bound) else "") for one in shown)


def _library(one: Loaded) -> str:
    features = "" if one.features is None else f" (with {', '.join(one.features) or 'no options'})"
    linked = " linked in" if one.part else ""
    return f"libzmq {version_text(one.version)}{linked}{features}" if one.version is not None else one.name


def perhaps(one: Loaded, seen: Exposure) -> list[str]:
    """Advisories that the version has, and of which its package does not say that they are mended, worst first."""
    assert one.version is not None
    found = [row for row in table().about(one.version) if not one.mended & {row.id, *row.aliases}]
    found.sort(key=lambda row: -max((reaches(row, door)[0] for door in seen.surfaces), default=0))
    return [row.id for row in found]
