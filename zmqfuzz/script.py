"""What will be done, as plain data: a Step, a Script of steps for one peer, an Attack of several scripts.

An :class:`Attack` holds everything its replay needs, by meaning rather than by recorded bytes: it is saved as
readable JSON lines (:mod:`zmqfuzz.campaign.plain`) and minimised on its own structure.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqfuzz.zmtp.brief import Brief
from zmqfuzz.zmtp.measure import unit_size
from zmqfuzz.zmtp.wire import Property, Unit

__all__ = [
    "Attack",
    "Await",
    "Close",
    "Connect",
    "Expect",
    "ReadOn",
    "Reset",
    "Script",
    "Send",
    "Shake",
    "ShutdownWrite",
    "Signal",
    "Step",
    "StopReading",
    "Vanish",
    "Wait",
]


@dataclass(frozen=True, slots=True, repr=False)
class Connect(Brief):
    """Open a connection; where zmqfuzz is the server, accept one. A script may connect again after it closed.

    ``buffer`` is the size in octets of our receive buffer (``SO_RCVBUF``), set before the connection opens, as the
    window that TCP announces is not taken back later; on an accepted socket it holds from then on. A small one makes
    a peer that stops reading felt soon.
    """

    buffer: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Shake(Brief):
    """Exchange greetings and do the honest handshake of a well-behaved peer, and wait until it is complete.

    ``mechanism``: NULL, PLAIN, CURVE; empty: the one the door asks for, where a family drew it and we hold what that
    one asks for, else NULL.
    ``version`` is the ZMTP 3 version we announce. When it is not complete ``within`` seconds the script goes on.
    Without ``username``, ``password`` and ``server_key`` (CURVE, 32 octets) those of the run are used, or for
    ``stranger`` a password and keys that nobody knows; with ``known_name`` the run's user name beside this
    ``password``, or where ``near`` says how beside one like the run's own (:func:`~zmqfuzz.credentials.nearly`).
    ``instead``: units sent instead of the commands that we would honestly send after the greeting and the
    first ``honest`` ones, one for each; the handshake goes on as if they had been honest.
    """

    socket_type: str
    identity: bytes = b""
    mechanism: str = ""
    username: bytes = b""
    password: bytes = b""
    properties: tuple[Property, ...] = ()
    version: tuple[int, int] = (3, 1)
    within: float = 2.0
    server_key: bytes = b""
    stranger: bool = False
    honest: int = 0
    instead: tuple[Unit, ...] = ()
    known_name: bool = False
    near: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Send(Brief):
    """Send ``units`` in order, the whole sequence ``times`` over.

    ``chunk`` octets go out per write (``None``: as the kernel takes them), ``every`` seconds apart. Where the octets
    ``fresh`` stand in a body, as many digits are sent instead that are new each time (:mod:`zmqfuzz.fresh`).
    """

    units: tuple[Unit, ...]
    times: int = 1
    chunk: int | None = None
    every: float = 0.0
    fresh: bytes = b""

    @property
    def octets(self) -> int:
        """What it sends when the target takes all of it, before any encryption."""
        return self.times * sum(map(unit_size, self.units))


@dataclass(frozen=True, slots=True, repr=False)
class Expect(Brief):
    """Wait for something from the target, at most ``within`` seconds; its absence is recorded, not an error.

    ``event``: ``bytes`` (anything), ``greeting`` (it is complete), ``ready`` (its READY, ERROR or other handshake
    command), ``message`` (a traffic frame or command), ``close`` (FIN or RST). ``keep``: what the first messages said
    is kept in the transcript, also where they are sealed.
    """

    event: str
    within: float = 1.0
    keep: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Wait(Brief):
    """Do nothing for ``seconds``; what arrives is still read, and a PING answered where the script shook hands."""

    seconds: float


@dataclass(frozen=True, slots=True, repr=False)
class StopReading(Brief):
    """From now on nothing is read from the connection, so no PING is answered either; the next one reads again."""


@dataclass(frozen=True, slots=True, repr=False)
class ReadOn(Brief):
    """Read (again), at most ``rate`` octets a second (``None``: as fast as it comes)."""

    rate: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Signal(Brief):
    """Tell every peer of the attack that awaits ``name``, now or later; of several alike the first one tells it."""

    name: str


@dataclass(frozen=True, slots=True, repr=False)
class Await(Brief):
    """Wait until a peer of the attack signalled ``name``, at most ``within`` seconds; honest meanwhile, as in Wait.

    When no script that is still played signals ``name`` the wait is over at once. Its absence is recorded.
    """

    name: str
    within: float = 1.0


@dataclass(frozen=True, slots=True, repr=False)
class Vanish(Brief):
    """Be gone as by a cut cable: from now on our side answers nothing, no ACK, no FIN, no RST, until the attack ends.

    What was sent before gets there: it is first given 0.1 s to be acknowledged. TCP only (an ipc connection cannot be
    left without its other side being told), IPv4 and IPv6, by anyone (:func:`zmqfuzz.writer.vanish`); where it is not
    possible the transcript says so, and the script goes on with the connection as it is. A later Connect opens another
    one beside.
    """


@dataclass(frozen=True, slots=True, repr=False)
class ShutdownWrite(Brief):
    """Half-close: send FIN, go on reading."""


@dataclass(frozen=True, slots=True, repr=False)
class Reset(Brief):
    """Close with RST (``SO_LINGER`` 0); on a unix socket, which has no RST, a plain close."""


@dataclass(frozen=True, slots=True, repr=False)
class Close(Brief):
    """Close as a program that exits does: FIN, or RST when bytes are left unread."""


Step = (
    Connect
    | Shake
    | Send
    | Expect
    | Wait
    | StopReading
    | ReadOn
    | Signal
    | Await
    | Vanish
    | ShutdownWrite
    | Reset
    | Close
)


@dataclass(frozen=True, slots=True, repr=False)
class Script(Brief):
    """What one peer does; ``times`` peers do the same at once.

    A connection that the script leaves open stays open until every script has ended and the target was observed.
    ``label`` is the peer's role, for people: ``attacker``, ``second attacker``, ``victim``, ``bystander`` (honest
    throughout), ``slow reader``, ``squatter``.
    """

    steps: tuple[Step, ...]
    times: int = 1
    label: str = "attacker"


@dataclass(frozen=True, slots=True, repr=False)
class Attack(Brief):
    """Scripts that are played together; ``strategy`` is the family that drew it, ``seed`` the seed it came from.

    ``at_once``: so many scripts are played at a time, the others in their order as those end or only wait for
    something (:mod:`zmqfuzz.volley`); 0: all together.
    """

    scripts: tuple[Script, ...]
    strategy: str = ""
    seed: int = 0
    at_once: int = 0
