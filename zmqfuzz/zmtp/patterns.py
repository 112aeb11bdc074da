"""Which socket type may talk to which. Standard library only."""

from __future__ import annotations

__all__ = ["ONE_PEER", "SOCKET_TYPES", "peer_type"]

_COUNTERPARTS = {
    "REQ": ("ROUTER", "REP"),
    "REP": ("REQ", "DEALER"),
    "DEALER": ("ROUTER", "REP", "DEALER"),
    "ROUTER": ("DEALER", "REQ", "ROUTER"),
    "PUSH": ("PULL",),
    "PULL": ("PUSH",),
    "PUB": ("SUB", "XSUB"),
    "XPUB": ("SUB", "XSUB"),
    "SUB": ("PUB", "XPUB"),
    "XSUB": ("PUB", "XPUB"),
    "PAIR": ("PAIR",),
}

SOCKET_TYPES = tuple(_COUNTERPARTS)
"""Every socket type of a stable libzmq that speaks ZMTP (STREAM speaks raw TCP)."""


ONE_PEER = ("PAIR", "CHANNEL")
"""Socket types that serve one peer, and close every other connection (RFC 31: "SHALL NOT accept")."""


def peer_type(socket_type: str) -> tuple[str, ...]:
    """Socket types that may talk to ``socket_type`` (libzmq ``src/mechanism.cpp:check_socket_type``).

    An unknown type is answered with every type: the caller then tries what it likes.
    """
    return _COUNTERPARTS.get(socket_type.upper(), SOCKET_TYPES)
