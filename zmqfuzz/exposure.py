"""What a running target shows of itself without any attack: where it listens, and which libzmq it runs. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.trial import Surface

__all__ = ["EXPOSURE", "Exposure", "Listening", "Loaded", "Version", "version_text"]

EXPOSURE = "exposure"
"""The name under which this is selected, beside the attack families."""

Version = tuple[int, int, int]
"""Of libzmq: major, minor, patch (``zmq_version``)."""


@dataclass(frozen=True, slots=True)
class Listening:
    """One listening stream socket; ``bound`` as an endpoint, where ``0.0.0.0`` and ``[::]`` are every address.

    ``zmtp``: what answers there speaks ZMTP (of tcp only where it is a door that is attacked). Of an ipc socket with a
    path: ``anyone`` says whether every user of the machine may connect (by the permissions of the socket and of each
    folder above it), ``replaceable`` names the folder in which every user may put another socket in its place, ``why``
    has the modes; None and empty where that cannot be seen. ``reached``: whether it could be connected to from another
    network namespace; None: not tried. ``reach``: the endpoint by which it is reached on this machine.
    """

    bound: str
    zmtp: bool
    anyone: bool | None = None
    replaceable: str = ""
    why: str = ""
    reached: bool | None = None
    reach: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A libzmq in the target: the file it came from, and what that is.

    ``version`` None: not known, and ``why``. ``features``: what it was built with (``zmq_has``), where it could be
    asked; None: it could not. ``part``: it is linked into a larger program or library. ``vendor``: the package of a
    distribution that it is of (empty: of none), which may have mended it without another version; ``mended``: the
    CVEs of which the package says so. ``defaults``: options of a socket of which nothing is set, by name, where the
    library could be asked.
    """

    path: str
    version: Version | None = None
    features: tuple[str, ...] | None = None
    why: str = ""
    part: bool = False
    vendor: str = ""
    mended: frozenset[str] = frozenset()
    defaults: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """``libzmq 4.3.5``."""
        return f"libzmq {version_text(self.version) if self.version else 'of a version that is not known'}"


@dataclass(frozen=True, slots=True)
class Exposure:
    """One look at one process tree. ``kind`` as in :class:`~zmqfuzz.trial.Examination`."""

    surfaces: tuple[Surface, ...]
    listening: tuple[Listening, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    kind: str = EXPOSURE


def version_text(version: Version) -> str:
    """As ``4.3.5``."""
    return ".".join(map(str, version))
