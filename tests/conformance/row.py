"""What a row of the table is: one illegal or odd input, where it is sent, and how libzmq reacts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zmqfuzz.zmtp import Unit

__all__ = ["Reaction", "Row", "Stage"]


class Reaction(StrEnum):
    """What libzmq does, as a peer and the application see it."""

    CLOSES = "closes"
    COMES_BACK = "closes, connects again"
    GIVES_UP = "closes, never connects again"
    TIMER = "waits for the timer"
    ACCEPTS = "accepts"
    DROPS = "drops"
    DELIVERS = "delivers"
    STALLS = "stalls"


class Stage(StrEnum):
    """When the units are sent: what the peer does before them, and after them where the connection can go on.

    ``OPENING``: at once, nothing else is sent. ``GREETING``: in place of the greeting, then READY and an honest
    message. ``HANDSHAKE``: after honest greetings, in place of our first handshake command, then an honest message.
    ``TRAFFIC``: after an honest handshake, then an honest message. ``V1`` and ``V2``: after an honest greeting of
    ZMTP 1.0 or 2.0, then an honest message in the same version.
    """

    OPENING = "opening"
    GREETING = "greeting"
    HANDSHAKE = "handshake"
    TRAFFIC = "traffic"
    V1 = "ZMTP 1.0"
    V2 = "ZMTP 2.0"


@dataclass(frozen=True, slots=True)
class Row:
    """``units`` are sent to a ``socket_type`` socket of libzmq with its default options.

    ``rfc`` names the rule that is broken or bent. ``side``: libzmq listens (``bind``) or connects to us
    (``connect``). ``alone``: no honest message follows, as what was sent is unfinished or would swallow it.
    ``max_size``: MAXMSGSIZE in octets, -1 for none. ``mechanism``: the socket's; with PLAIN and CURVE it is the server.
    """

    name: str
    rfc: str
    units: tuple[Unit, ...]
    reaction: Reaction
    stage: Stage = Stage.TRAFFIC
    socket_type: str = "PULL"
    side: str = "bind"
    alone: bool = False
    max_size: int = -1
    mechanism: str = "NULL"

    @property
    def id(self) -> str:
        """Names the row; no two are alike."""
        where = self.socket_type if self.mechanism == "NULL" else f"{self.socket_type} {self.mechanism}"
        return f"{self.stage}: {self.name} ({where}, {self.side})"
