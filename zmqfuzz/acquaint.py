"""What a door says only to who is let in: the socket type behind PLAIN and CURVE.

Contract: one honest handshake that names no socket type of ours (libzmq ``src/mechanism.cpp:parse_metadata`` checks it
only where it is given), and nothing after it. And which doors are to keep strangers out, as far as we were told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from zmqfuzz.credentials import Credentials
from zmqfuzz.endpoints import connect
from zmqfuzz.script import Shake
from zmqfuzz.shaking import Keyring
from zmqfuzz.trial import Surface
from zmqfuzz.zmtp.connection import Connection, Role, State
from zmqfuzz.zmtp.reader import property_value

__all__ = ["acquaint", "locked"]

_WITHIN = 3.0


async def acquaint(surface: Surface, credentials: Credentials) -> Surface:
    """The door, with whether we know what it asks for, and its socket type where it tells us that."""
    surface = replace(surface, known=credentials.fit(surface.mechanism, surface.side))
    if surface.socket_type or not surface.known or surface.side != "bind":
        return surface
    connection = Connection(Keyring(credentials).mechanism(Shake("", mechanism=surface.mechanism), Role.CLIENT))
    try:
        with trio.move_on_after(_WITHIN):
            with await connect(surface.address) as sock:
                await _shake(sock, connection)
    except OSError:
        pass  # it refuses us: it stays as unknown as it was
    kind = property_value(connection.peer_properties, b"Socket-Type") or b""
    return replace(surface, socket_type=kind.decode("ascii", "backslashreplace").upper())


async def _shake(sock: trio.socket.SocketType, connection: Connection) -> None:
    octets = connection.start()
    while not connection.complete and connection.state is not State.CLOSED:
        while octets:
            octets = octets[await sock.send(octets) :]
        connection.receive_data(await sock.recv(65536))
        while connection.next_event() is not None:
            pass
        octets = connection.data_to_send()


def locked(surfaces: Sequence[Surface], credentials: Credentials) -> tuple[Surface, ...]:
    """The doors, each with the lock that the credentials promise for it.

    A door that asks for what was given is to be locked; and one that asks for nothing, where no door asks, or where it
    leads to a socket of the same type as a door that does: one socket has one set of keys, but only those endpoints
    are locked that were bound after these were set (zmq_curve(7)). Of any other open door nothing is promised. The same
    for what connects to us, where PLAIN asks for nothing, either: it proves no server (RFC 24).
    """
    found = []
    for surface in surfaces:
        locks = credentials.locks(surface.side)
        asking = {one.socket_type: one.mechanism for one in surfaces if one.mechanism in locks}
        lock = surface.mechanism if surface.mechanism in locks else ""
        weaker = ("", "NULL") if surface.side == "bind" else ("", "NULL", "PLAIN")
        if not lock and locks and surface.mechanism in weaker:
            lock = asking.get(surface.socket_type, "") if asking else locks[0]
        listed = surface.side == "bind" and lock == "CURVE" and bool(credentials.client_secret)
        found.append(replace(surface, lock=lock, listed=listed))
    return tuple(found)
