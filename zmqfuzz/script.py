"""What will be done, as plain data: a Step, a Script of steps for one peer, an Attack of several scripts.

An :class:`Attack` holds everything its replay needs, by meaning rather than by recorded bytes: it is saved as
readable JSON lines (:mod:`zmqfuzz.campaign.plain`) and minimised on its own structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.zmtp.wire import Property, Unit

__all__ = [
    "Attack",
    "Close",
    "Connect",
    "Expect",
    "Reset",
    "Script",
    "Send",
    "Shake",
    "ShutdownWrite",
    "Step",
    "Wait",
]


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection; where zmqfuzz is the server, accept one. A script may connect again after it closed."""


@dataclass(frozen=True, slots=True)
class Shake:
    """Exchange greetings and do the honest handshake of a well-behaved peer, and wait until it is complete.

    ``version`` is the ZMTP 3 version we announce. When it is not complete ``within`` seconds the script goes on.
    """

    socket_type: str
    identity: bytes = b""
    mechanism: str = "NULL"
    username: bytes = b""
    password: bytes = b""
    properties: tuple[Property, ...] = ()
    version: tuple[int, int] = (3, 1)
    within: float = 2.0


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``units`` in order, the whole sequence ``times`` over.

    ``chunk`` octets go out per write (``None``: as the kernel takes them), ``every`` seconds apart.
    """

    units: tuple[Unit, ...]
    times: int = 1
    chunk: int | None = None
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for something from the target, at most ``within`` seconds; its absence is recorded, not an error.

    ``event``: ``bytes`` (anything), ``greeting`` (it is complete), ``ready`` (its READY, ERROR or other handshake
    command), ``message`` (a traffic frame or command), ``close`` (FIN or RST).
    """

    event: str
    within: float = 1.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for ``seconds``; what arrives is still read."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ShutdownWrite:
    """Half-close: send FIN, go on reading."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close with RST (``SO_LINGER`` 0); on a unix socket, which has no RST, a plain close."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close as a program that exits does: FIN, or RST when bytes are left unread."""


Step = Connect | Shake | Send | Expect | Wait | ShutdownWrite | Reset | Close


@dataclass(frozen=True, slots=True)
class Script:
    """What one peer does; ``times`` peers do the same at once.

    A connection that the script leaves open stays open until every script has ended and the target was observed.
    """

    steps: tuple[Step, ...]
    times: int = 1
    label: str = "attacker"


@dataclass(frozen=True, slots=True)
class Attack:
    """Scripts that are played together; ``strategy`` is the family that drew it, ``seed`` the seed it came from."""

    scripts: tuple[Script, ...]
    strategy: str = ""
    seed: int = 0
