"""CURVE (RFC 26, CurveZMQ), the handshakes of client and server; the contract of every mechanism.

The honest answers are :class:`~zmqfuzz.zmtp.wire.CurveCommand` values, too, so that what is sent instead of one starts
from the same state. How they are sealed, and traffic, is in :mod:`zmqfuzz.zmtp.sealing`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from zmqfuzz.zmtp.keys import KEY, Jar, Octets, agreed, keypair, open_secret, public_key
from zmqfuzz.zmtp.mechanism import MechanismError, Reply, error_command
from zmqfuzz.zmtp.sealing import Curve, opened
from zmqfuzz.zmtp.wire import Command, CurveCommand, Property

__all__ = ["CurveClient", "CurveServer"]


class CurveClient(Curve):
    """Client side: HELLO, then WELCOME is answered with INITIATE, and READY ends the handshake.

    ``server_key``: the server's public key, 32 octets; another is invented where it is not known, which no server
    accepts. ``pair``: our long-term public and secret key; without one, new.
    """

    def __init__(
        self,
        socket_type: str,
        server_key: bytes,
        pair: tuple[bytes, bytes] | None = None,
        *,
        identity: bytes = b"",
        properties: tuple[Property, ...] = (),
        random: Octets = os.urandom,
        jar: Jar | None = None,
    ) -> None:
        server = server_key if len(server_key) == KEY else keypair(random)[0]
        pair = pair or keypair(random)
        super().__init__(socket_type, identity, properties, server=server, pair=pair, random=random, jar=jar)
        self._welcomed = False

    def start(self) -> tuple[Reply, ...]:
        """HELLO."""
        return (CurveCommand(b"HELLO"),)

    def receive(self, command: Command) -> tuple[Reply, ...]:
        """WELCOME is answered with INITIATE; READY ends the handshake."""
        wanted = b"READY" if self._welcomed else b"WELCOME"
        if command.name != wanted:
            raise MechanismError(f"{_spell(command)} where a CURVE client waits for {wanted.decode()}")
        if self._welcomed:
            self._learn("READY", self._opened("READY", command.data, b"CurveZMQREADY---"))
            self.complete = True
            return ()
        if len(command.data) != 160:
            raise MechanismError(f"WELCOME with {len(command.data)} octets behind its name")
        nonce, box = command.data[:16], command.data[16:]
        plaintext = opened("WELCOME", box, b"WELCOME-" + nonce, agreed(self._server, self._secret, self._random))
        self._meet(plaintext[:KEY])
        self._cookie = plaintext[KEY:]
        self._welcomed = True
        return (CurveCommand(b"INITIATE", properties=self._metadata),)


def _accept_all(_client: bytes) -> bool:
    return True


class CurveServer(Curve):
    """Server side; ``check`` decides about the client's long-term public key (32 octets), which is ``client_key`` then.

    ``secret``: our long-term secret key.
    """

    as_server = True
    _ours, _theirs = b"CurveZMQMESSAGES", b"CurveZMQMESSAGEC"

    def __init__(
        self,
        socket_type: str,
        secret: bytes,
        check: Callable[[bytes], bool] = _accept_all,
        *,
        identity: bytes = b"",
        properties: tuple[Property, ...] = (),
        random: Octets = os.urandom,
        jar: Jar | None = None,
    ) -> None:
        secret = secret if len(secret) == KEY else random(KEY)
        public = public_key(secret)
        pair = public, secret
        super().__init__(socket_type, identity, properties, server=public, pair=pair, random=random, jar=jar)
        self._check = check
        self._wanted = b"HELLO"
        self.client_key = b""

    def start(self) -> tuple[Reply, ...]:
        """Nothing: the client speaks first."""
        return ()

    def receive(self, command: Command) -> tuple[Reply, ...]:
        """HELLO is answered with WELCOME, INITIATE with READY or ERROR."""
        if command.name != self._wanted or not self._wanted:
            wanted = self._wanted.decode() or "nothing"
            raise MechanismError(f"{_spell(command)} where a CURVE server waits for {wanted}")
        if self._wanted == b"HELLO":
            self._greet(command.data)
            self._wanted = b"INITIATE"
            return (CurveCommand(b"WELCOME"),)
        self._learn("INITIATE", self._admit(command.data))
        self._wanted = b""
        if not self._check(self.client_key):
            return (error_command(b"400"),)
        self.complete = True
        return (CurveCommand(b"READY", properties=self._metadata),)

    def _greet(self, data: bytes) -> None:
        if len(data) != 194 or data[:2] != b"\x01\x00":
            raise MechanismError(f"HELLO of version {data[:2].hex('.')} with {len(data)} octets behind its name")
        their_public, nonce, box = data[74:106], data[106:114], data[114:]
        self._their_nonce = int.from_bytes(nonce, "big")
        signature = opened(
            "HELLO", box, b"CurveZMQHELLO---" + nonce, agreed(their_public, self._long_secret, self._random)
        )
        if any(data[2:74]) or any(signature):
            raise MechanismError("HELLO with octets other than zero in its padding or signature")
        self._meet(their_public)

    def _admit(self, data: bytes) -> bytes:
        """The metadata of an INITIATE whose cookie and vouch are right."""
        cookie = open_secret(data[16:96], b"COOKIE--" + data[:16], self._cookie_key)
        if cookie != self._their_public + self._secret:
            raise MechanismError("INITIATE with a cookie that is not ours")
        plaintext = self._opened("INITIATE", data[96:], b"CurveZMQINITIATE")
        client, nonce, vouch, metadata = plaintext[:32], plaintext[32:48], plaintext[48:128], plaintext[128:]
        vouched = opened("INITIATE's vouch", vouch, b"VOUCH---" + nonce, agreed(client, self._secret, self._random))
        if vouched != self._their_public + self._long_public:
            raise MechanismError("INITIATE with a vouch for other keys")
        self.client_key = client
        return metadata


def _spell(command: Command) -> str:
    return command.name[:32].decode("ascii", "backslashreplace") or "a command without a name"
