"""Names of pyzmq, written in one way, whichever of its doors a program imports them from."""

from __future__ import annotations

import re

__all__ = ["canonical", "receiving", "sending"]

_DOORS = re.compile(r"^zmq\.(asyncio|green|sugar|_future|sugar\.socket|sugar\.context|green\.core|constants)\.(?=\w)")
_KINDS = re.compile(r"^zmq\.(SocketType|SocketOption|ContextOption|Flag|constants)\.(?=\w)")
_INNER = re.compile(r"^zmq\.(socket|context)\.(?=[A-Z])")


def canonical(name: str) -> str:
    """``zmq.asyncio.Context`` and ``zmq.sugar.context.Context`` are ``zmq.Context``; other names stay."""
    if name.startswith("zmq.") and name != "zmq.green":
        for _ in range(3):
            name = _INNER.sub("zmq.", _KINDS.sub("zmq.", _DOORS.sub("zmq.", name)))
    return "zmq" if name in ("zmq.green", "zmq.asyncio") else name


def receiving(method: str) -> bool:
    """Whether a method of this name reads from a socket."""
    return method.startswith("recv")


def sending(method: str) -> bool:
    """Whether a method of this name writes to a socket."""
    return method.startswith("send")
