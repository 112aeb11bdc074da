"""Handshakes of a well-behaved peer: NULL (RFC 37) and PLAIN (RFC 24), and the contract every mechanism keeps.

Contract: a mechanism sees the other side's handshake commands in order and returns the honest answers; it knows no
octets and no greeting. :class:`~zmqfuzz.zmtp.connection.Connection` starts it once both greetings named it, reads
ERROR by itself (it is spelt alike in every mechanism) and passes nothing on after :class:`MechanismError`. Once
``complete``, every frame of traffic goes through ``wrap`` and ``unwrap``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zmqfuzz.zmtp.reader import read_properties
from zmqfuzz.zmtp.wire import Command, CurveCommand, Frame, Property, encode_properties, unsealed

__all__ = [
    "Mechanism",
    "MechanismError",
    "Null",
    "PlainClient",
    "PlainServer",
    "Reply",
    "error_command",
    "own_properties",
]

Reply = Command | CurveCommand
"""What a mechanism says of itself."""

_WITH_IDENTITY = ("REQ", "DEALER", "ROUTER")
"""Socket types whose READY always has an Identity, be it empty (libzmq ``src/mechanism.cpp:add_basic_properties``)."""


class MechanismError(Exception):
    """The other side broke the mechanism's rules; ``reason`` says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Mechanism(Protocol):
    """One side of one handshake. Not reusable: every connection has its own."""

    @property
    def name(self) -> bytes:
        """The name in the greeting."""

    @property
    def as_server(self) -> bool:
        """What the greeting's as-server octet says."""

    @property
    def seals(self) -> bool:
        """Whether what it wraps is different each time, so that nothing can be sent twice."""

    @property
    def complete(self) -> bool:
        """Traffic may flow."""

    @property
    def peer_properties(self) -> tuple[Property, ...]:
        """The other side's metadata, as far as it was sent."""

    def start(self) -> tuple[Reply, ...]:
        """What to send once the greetings are exchanged."""

    def receive(self, command: Command) -> tuple[Reply, ...]:
        """The honest answers to a handshake command.

        Raises:
            MechanismError: the other side may not send this, or not now.
        """

    def seal(self, unit: CurveCommand) -> Frame:
        """The frame to put on the wire for a CURVE command, whatever it says; never raises."""

    def wrap(self, frame: Frame) -> Frame:
        """The frame to put on the wire for a frame of traffic."""

    def unwrap(self, frame: Frame) -> Frame:
        """The frame of traffic inside a frame from the wire.

        Raises:
            MechanismError: it cannot be opened.
        """


def error_command(reason: bytes) -> Command:
    """RFC 37: ``error = %d5 "ERROR" error-reason``; a reason is at most 255 octets."""
    return Command(b"ERROR", bytes([len(reason[:255])]) + reason[:255])


def own_properties(socket_type: str, identity: bytes, properties: tuple[Property, ...]) -> tuple[Property, ...]:
    """Our metadata, in the order libzmq has it; an empty ``socket_type`` is left out."""
    own = [Property(b"Socket-Type", socket_type.encode("utf-8", "backslashreplace"))] if socket_type else []
    if identity or socket_type in _WITH_IDENTITY:
        own.append(Property(b"Identity", identity))
    return (*own, *properties)


class _Plaintext:
    """What mechanisms without encryption share: who we are, who they are, traffic as it is."""

    seals = False

    def __init__(self, socket_type: str, identity: bytes, properties: tuple[Property, ...]) -> None:
        self.complete = False
        self.peer_properties: tuple[Property, ...] = ()
        self._metadata = own_properties(socket_type, identity, properties)

    def seal(self, unit: CurveCommand) -> Frame:
        """There is no key here: zeros stand where a box would."""
        return unsealed(unit)

    def wrap(self, frame: Frame) -> Frame:
        return frame

    def unwrap(self, frame: Frame) -> Frame:
        return frame

    def _learn(self, command: Command) -> None:
        properties, wrong = read_properties(command.data + encode_properties(command.properties))
        if properties is None:
            raise MechanismError(f"{_spell(command)}: {wrong}")
        self.peer_properties = properties


class Null(_Plaintext):
    """NULL: each side sends READY with its metadata, in either order (RFC 37 "The NULL Security Mechanism").

    The other side's Socket-Type is not judged here: a target of the wrong type is a fact to record, and libzmq
    refuses an incompatible type itself (``src/null_mechanism.cpp``).
    """

    name = b"NULL"
    as_server = False

    def __init__(self, socket_type: str, identity: bytes = b"", properties: tuple[Property, ...] = ()) -> None:
        super().__init__(socket_type, identity, properties)

    def start(self) -> tuple[Command, ...]:
        """Our READY, without waiting for theirs."""
        return (Command(b"READY", properties=self._metadata),)

    def receive(self, command: Command) -> tuple[Command, ...]:
        """Their READY ends the handshake."""
        if command.name != b"READY":
            raise MechanismError(f"{_spell(command)} where NULL wants READY")
        self._learn(command)
        self.complete = True
        return ()


class PlainClient(_Plaintext):
    """PLAIN, client side: HELLO, then WELCOME, INITIATE and READY (RFC 24).

    A user name or password over 255 octets does not fit RFC 24; it is sent whole, its length octet wrapped around.
    """

    name = b"PLAIN"
    as_server = False

    def __init__(
        self,
        socket_type: str,
        username: bytes,
        password: bytes,
        identity: bytes = b"",
        properties: tuple[Property, ...] = (),
    ) -> None:
        super().__init__(socket_type, identity, properties)
        self._credentials = b"".join([bytes([len(item) & 0xFF]) + item for item in (username, password)])
        self._welcomed = False

    def start(self) -> tuple[Command, ...]:
        """RFC 24: ``hello = "HELLO" username password``, each after its length in one octet."""
        return (Command(b"HELLO", self._credentials),)

    def receive(self, command: Command) -> tuple[Command, ...]:
        """WELCOME is answered with INITIATE; READY ends the handshake."""
        wanted = b"READY" if self._welcomed else b"WELCOME"
        if command.name != wanted:
            raise MechanismError(f"{_spell(command)} where a PLAIN client waits for {wanted.decode()}")
        if self._welcomed:
            self._learn(command)
            self.complete = True
            return ()
        if command.data:
            raise MechanismError(f"WELCOME with {len(command.data)} octets behind its name")
        self._welcomed = True
        return (Command(b"INITIATE", properties=self._metadata),)


def _accept_all(_username: bytes, _password: bytes) -> bool:
    return True


class PlainServer(_Plaintext):
    """PLAIN, server side (RFC 24); ``check`` decides about user name and password.

    A refusal is answered with the ERROR of RFC 37, which libzmq's own PLAIN clients do not understand (they wait
    for ``^RROR``, see :func:`~zmqfuzz.zmtp.reader.read_error`).
    """

    name = b"PLAIN"
    as_server = True

    def __init__(
        self,
        socket_type: str,
        check: Callable[[bytes, bytes], bool] = _accept_all,
        *,
        identity: bytes = b"",
        properties: tuple[Property, ...] = (),
    ) -> None:
        super().__init__(socket_type, identity, properties)
        self._check = check
        self._wanted = b"HELLO"
        self.credentials: tuple[bytes, bytes] | None = None

    def start(self) -> tuple[Command, ...]:
        """Nothing: the client speaks first."""
        return ()

    def receive(self, command: Command) -> tuple[Command, ...]:
        """HELLO is answered with WELCOME or ERROR, INITIATE with READY."""
        if command.name != self._wanted or not self._wanted:
            wanted = self._wanted.decode() or "nothing"
            raise MechanismError(f"{_spell(command)} where a PLAIN server waits for {wanted}")
        if self._wanted == b"INITIATE":
            self._learn(command)
            self._wanted = b""
            self.complete = True
            return (Command(b"READY", properties=self._metadata),)
        self.credentials = _credentials(command.data)
        if not self._check(*self.credentials):
            self._wanted = b""
            return (error_command(b"400"),)
        self._wanted = b"INITIATE"
        return (Command(b"WELCOME"),)


def _credentials(octets: bytes) -> tuple[bytes, bytes]:
    """User name and password of a HELLO, whose lengths must add up (libzmq ``src/plain_server.cpp``)."""
    user_end = 1 + octets[0] if octets else 0
    username, rest = octets[1:user_end], octets[user_end:]
    if not rest or rest[0] != len(rest) - 1:
        raise MechanismError(f"HELLO of {len(octets)} octets whose lengths do not add up")
    return username, rest[1:]


def _spell(command: Command) -> str:
    return command.name[:32].decode("ascii", "backslashreplace") or "a command without a name"
