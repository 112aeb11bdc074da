"""Doors that speak no ZMTP 3: how an honest peer shakes hands with them.

Contract: libzmq waits for the other side's version before it says more than eleven octets of its own greeting, and so
meets peers of ZMTP 2.0 in their own version (4.3.5 ``src/zmtp_engine.cpp:receive_greeting_versioned``); others, such as
JeroMQ before 0.4, take the twelfth octet of a 3.x greeting for a socket type, and what follows for frames. So at such
a door an honest handshake is that of RFC 15 from the beginning. libzmq tells its monitor of no handshake with them.
"""

from __future__ import annotations

import socket
import time
from dataclasses import replace

from zmqfuzz.endpoints import parse
from zmqfuzz.script import Attack, Expect, Script, Send, Shake, Step
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.connection import Connection, State
from zmqfuzz.zmtp.reader import OLD_VERSIONS
from zmqfuzz.zmtp.wire import Greeting2, SocketTypeByte

__all__ = ["attack_at", "greets", "is_old", "script_at"]

GREETS_WITHIN = 0.4
"""Seconds for a greeting, which is all that the other side owes; an attack may have sixty connections."""


def is_old(surface: Surface) -> bool:
    """Whether the door has no handshake behind its greeting."""
    return surface.version in OLD_VERSIONS


def _greeting(kind: str, identity: bytes = b"") -> Greeting2:
    """RFC 15 has no octet for the types that came later; libzmq checks it nowhere."""
    octet = SocketTypeByte[kind] if kind in SocketTypeByte.__members__ else SocketTypeByte.DEALER
    return Greeting2(octet, identity)


def script_at(script: Script, surface: Surface) -> Script:
    """The script, with each honest handshake as this door knows it."""
    if not is_old(surface):
        return script
    steps: list[Step] = []
    for step in script.steps:
        if isinstance(step, Shake) and step.mechanism in ("", "NULL") and not (step.instead or step.properties):
            within = min(step.within, GREETS_WITHIN)
            steps += [Send((_greeting(step.socket_type, step.identity),)), Expect("greeting", within=within)]
        else:
            steps.append(step)
    return replace(script, steps=tuple(steps))


def attack_at(attack: Attack, surface: Surface) -> Attack:
    """The same for each script of an attack."""
    if not is_old(surface):
        return attack
    return replace(attack, scripts=tuple(script_at(script, surface) for script in attack.scripts))


def greets(surface: Surface, kind: str, within: float) -> bool:
    """Whether the door says its greeting to an honest peer of type ``kind``, all of it. Blocking."""
    where = parse(surface.address)
    connection, deadline = Connection(), time.monotonic() + within
    ours = connection.send(_greeting(kind))
    try:
        with _opened(where.unix_name if where.transport == "ipc" else (where.host, where.port), within) as sock:
            sock.sendall(ours)
            while not connection.complete and connection.state is not State.CLOSED:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                sock.settimeout(left)
                connection.receive_data(sock.recv(4096))
                while connection.next_event() is not None:
                    pass
    except OSError:
        return False
    return connection.complete


def _opened(address: str | tuple[str, int], within: float) -> socket.socket:
    if isinstance(address, tuple):
        return socket.create_connection(address, within)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(within)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
