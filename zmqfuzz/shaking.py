"""The mechanism for a handshake that a script asks for, with the keys and passwords of the run where it names none."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmqfuzz.credentials import Credentials, nearly
from zmqfuzz.script import Shake
from zmqfuzz.zmtp.connection import Connection, Role
from zmqfuzz.zmtp.curve import CurveClient, CurveServer
from zmqfuzz.zmtp.keys import Jar, keypair, seeded
from zmqfuzz.zmtp.mechanism import Mechanism, Null, PlainClient, PlainServer
from zmqfuzz.zmtp.wire import Greeting

__all__ = ["Keyring"]

_STRANGER = (b"zmqfuzz", b"not the password")


@dataclass(slots=True)
class Keyring:
    """What the peers of one attack know together: credentials, and what they sent and were given (for replays).

    ``seed``: the client key pair comes from it where none was given, so that it stays the same in a replay.
    """

    credentials: Credentials = field(default_factory=Credentials)
    seed: int = 0
    jar: Jar = field(default_factory=Jar)

    def mechanism(self, step: Shake, role: Role) -> Mechanism:
        """A new mechanism, honest; for an unknown name NULL. Never raises."""
        server = role is Role.SERVER
        if step.mechanism == "PLAIN" and server:
            return PlainServer(step.socket_type, identity=step.identity, properties=step.properties)
        if step.mechanism == "PLAIN":
            return PlainClient(step.socket_type, *self._login(step), step.identity, step.properties)
        if step.mechanism == "CURVE" and server:
            secret = b"" if step.stranger else self.credentials.our_secret
            return CurveServer(
                step.socket_type, secret, identity=step.identity, properties=step.properties, jar=self.jar
            )
        if step.mechanism == "CURVE":
            return CurveClient(
                step.socket_type,
                step.server_key or self.credentials.server_key,
                self._pair(step),
                identity=step.identity,
                properties=step.properties,
                jar=self.jar,
            )
        return Null(step.socket_type, step.identity, step.properties)

    def begin(self, connection: Connection, step: Shake, role: Role) -> tuple[bytes, str]:
        """Give ``connection`` what ``step`` asks for; the octets it begins with, and words for them."""
        connection.mechanism = self.mechanism(step, role)
        if step.instead or step.honest:
            connection.instead.extend((*(None for _ in range(min(step.honest, 8))), *step.instead))
        what = "something else" if step.instead else f"READY Socket-Type={step.socket_type}"
        note = f"greeting {step.version[0]}.{step.version[1]} {step.mechanism or 'NULL'}, then {what}"
        return connection.start(Greeting(major=step.version[0], minor=step.version[1])), note

    def _login(self, step: Shake) -> tuple[bytes, bytes]:
        known = self.credentials
        if step.known_name:
            return (known.username or "").encode(), nearly(known.password.encode(), step.near) or step.password
        if step.username or step.password:
            return step.username, step.password
        if step.stranger:
            return _STRANGER
        return (known.username or "").encode(), known.password.encode()

    def _pair(self, step: Shake) -> tuple[bytes, bytes]:
        if self.credentials.client_secret and not step.stranger:
            return self.credentials.client_public, self.credentials.client_secret
        return keypair(seeded(f"{'stranger' if step.stranger else 'client'} {self.seed}"))
