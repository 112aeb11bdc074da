"""What a connection read, as plain data: one value for each thing that happened, in order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zmqfuzz.zmtp.reader import GreetingReceived
from zmqfuzz.zmtp.wire import Command, Frame, Property

__all__ = [
    "Breach",
    "Closed",
    "CommandReceived",
    "ErrorReceived",
    "Event",
    "FrameReceived",
    "GreetingReceived",
    "HandshakeComplete",
    "Role",
    "State",
]


class Role(Enum):
    """Which side of the TCP connection we are; NULL does not care (RFC 37: as-server says nothing about TCP)."""

    CLIENT = "client"
    SERVER = "server"


class State(Enum):
    """What is read next."""

    GREETING = "greeting"
    HANDSHAKE = "handshake"
    TRAFFIC = "traffic"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A command. ``properties`` are those of a READY or INITIATE whose metadata parses; else ``data`` has it all."""

    command: Command


@dataclass(frozen=True, slots=True)
class HandshakeComplete:
    """Traffic may flow. ``properties``: their metadata; of a 2.0 peer socket type and identity, of 1.0 the identity."""

    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A message frame, opened when the mechanism encrypts."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """ERROR instead of a handshake (RFC 37); it is reported by this event only, not as a command."""

    reason: bytes


@dataclass(frozen=True, slots=True)
class Breach:
    """The other side broke ZMTP; reading goes on unless ``state`` says CLOSED."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream has ended."""


Event = GreetingReceived | CommandReceived | HandshakeComplete | FrameReceived | ErrorReceived | Breach | Closed
