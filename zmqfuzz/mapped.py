"""Which shared libraries a process has loaded, and which libzmq is among them. Linux only.

Contract: what cannot be read is not known, and never an error. Files are taken from the process's own file system
(``/proc/PID/root``), as a container has others under the same names.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from zmqfuzz.exposure import Loaded, Version
from zmqfuzz.vendored import vendor

__all__ = ["libraries", "loaded", "version_in"]

MARK = b"inproc://zeromq.zap.01"
"""In every libzmq from 4.0 on, and in what it is linked into (``src/session_base.cpp:zap_connect``)."""

LARGEST = 512 << 20
"""Octets of a file that is looked through; no program with libzmq in it is near that."""

_NAMED = re.compile(r"libzmq[-.\d]")  # and not libzmqpp, a wrapper
_ASK_WITHIN = 30.0  # seconds to load a library in a process of its own; a busy machine takes one
_ASK = (sys.executable, "-m", "zmqfuzz.targets.library_facts")

_STORED = re.compile(rb"\xc7\x07(.{4})\xc7\x06(.{4})\xc7\x02(.{4})", re.DOTALL)
_STORED_PLAINLY = re.compile(
    rb"\x48\x8b\x45\xf8\xc7\x00(.{4})\x48\x8b\x45\xf0\xc7\x00(.{4})\x48\x8b\x45\xe8\xc7\x00(.{4})", re.DOTALL
)
"""``zmq_version`` (``src/zmq.cpp``) as x86-64 compilers make it, with and without optimisation: three numbers stored
where the three arguments point to (System V ABI: rdi, rsi, rdx)."""


def libraries(pids: Iterable[int], word: str) -> tuple[str, ...]:
    """Files with ``word`` in their name that the processes have mapped, by paths that this process can open."""
    return tuple({place: None for _, path, place in _files(pids) if word in path.rpartition("/")[2]})


def loaded(pids: Iterable[int], *, ours: bool) -> tuple[Loaded, ...]:
    """Each libzmq in the processes, also one that is linked into a program or another library.

    ``ours``: we started them, so that what they have loaded may be loaded into a process of our own, to be asked; else
    a library is only asked where it belongs to the system or to this user. Blocks for up to some seconds.
    """
    files = list({place: (pid, path, place) for pid, path, place in _files(pids)}.values())
    named = [file for file in files if _NAMED.match(file[1].rpartition("/")[2])]
    found = [_shared(*file, ours=ours) for file in named]
    if not found:
        found = [one for file in files if (one := _linked(*file)) is not None]
    return tuple(found)


def _files(pids: Iterable[int]) -> Iterator[tuple[int, str, str]]:
    """Process, path as it sees it, path for us, of each file with code in it that a process has mapped."""
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
        except OSError:
            continue
        # proc(5): address, permissions, offset, device, inode, and the path where there is one
        parts = (line.split(maxsplit=5) for line in lines)
        for path in dict.fromkeys(fields[5] for fields in parts if len(fields) == 6 and fields[5].startswith("/")):
            yield pid, path, _place(pid, path)


def _place(pid: int, path: str) -> str:
    """``path`` where that is the same file for us, else by way of the process."""
    inside = f"/proc/{pid}/root{path}"
    try:
        return path if os.path.samefile(path, inside) else inside
    except OSError:
        return path if os.path.exists(path) and not os.path.lexists(inside) else inside


def _shared(pid: int, path: str, place: str, *, ours: bool) -> Loaded:
    """A libzmq in a file of its own."""
    if path.endswith(" (deleted)"):
        why = "the file was replaced or removed since the program loaded it"
        return Loaded(path.removesuffix(" (deleted)"), why=why)
    package, patched = vendor(path, f"/proc/{pid}/root")
    facts = _ask(place) if _may_load(place, ours) else {}
    version = _numbers(facts["version"]) if facts else version_in(place)
    why = "" if version else "it can neither be loaded here nor read"
    return Loaded(
        path,
        version,
        _words(facts.get("features")),
        why,
        vendor=package,
        mended=patched,
        defaults=_named_numbers(facts.get("defaults")),
    )


def _may_load(place: str, ours: bool) -> bool:
    """Loading runs its code as this user: nothing that another user, or a container, could have put there."""
    if place.startswith("/proc/"):
        return False
    try:
        return ours or os.stat(place).st_uid in (0, os.getuid())
    except OSError:
        return False


def _ask(place: str) -> dict[str, object]:
    """What the library says of itself in a process of its own; empty where it does not."""
    try:
        done = subprocess.run([*_ASK, place], capture_output=True, timeout=_ASK_WITHIN, check=False)
        facts = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    return facts if isinstance(facts, dict) and {"version", "features"} <= facts.keys() else {}


def _numbers(plain: object) -> Version | None:
    return (plain[0], plain[1], plain[2]) if isinstance(plain, list) and len(plain) == 3 else None


def _words(plain: object) -> tuple[str, ...] | None:
    return tuple(map(str, plain)) if isinstance(plain, list) else None


def _named_numbers(plain: object) -> tuple[tuple[str, int], ...]:
    items = plain.items() if isinstance(plain, dict) else ()
    return tuple((str(name), value) for name, value in items if isinstance(value, int))


def _linked(pid: int, path: str, place: str) -> Loaded | None:
    """The libzmq that is a part of a program or of another library; None: there is none."""
    try:
        with _octets(place) as octets:
            here = octets.find(MARK) >= 0
    except (OSError, ValueError):
        return None
    if not here:
        return None
    version = version_in(place)
    why = "" if version else "it is linked in, and its number was not found in the program's code"
    return Loaded(path, version, why=why, part=True)


def _octets(place: str) -> mmap.mmap:
    """A file's octets. Raises OSError, ValueError: it cannot be mapped, or is too large."""
    with open(place, "rb") as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise ValueError("too large")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def version_in(place: str) -> Version | None:
    """The version that the code of ``zmq_version`` in a file gives; None: it is not there, or there are several.

    Needs no symbols. For x86-64 only.
    """
    try:
        with _octets(place) as octets:
            found = {
                tuple(struct.unpack("<I", number)[0] for number in match.groups())
                for pattern in (_STORED, _STORED_PLAINLY)
                for match in pattern.finditer(octets)
            }
    except (OSError, ValueError):
        return None
    likely = {(major, minor, patch) for major, minor, patch in found if 2 <= major <= 9 and minor < 100 > patch}
    return likely.pop() if len(likely) == 1 else None
