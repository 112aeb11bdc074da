"""What a target wants to know before it lets a peer in: PLAIN user name and password, CURVE keys.

Contract: a secret is never written beside a finding; what must be given again for a replay is named instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from zmqfuzz.errors import UsageError

__all__ = ["NEAR", "Credentials", "nearly", "z85_decode", "z85_encode"]

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
"""RFC 32."""

_KEY = 32
_Z85_KEY = 40
"""Octets of a key, and characters in Z85."""

_SECRETS = ("password", "client_secret", "our_secret")


def z85_encode(octets: bytes) -> str:
    """RFC 32; the number of octets must be a multiple of four."""
    text = ""
    for place in range(0, len(octets), 4):
        value = int.from_bytes(octets[place : place + 4], "big")
        text += "".join(_Z85[value // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


def z85_decode(text: str) -> bytes:
    """RFC 32. Raises ValueError: not Z85."""
    octets = b""
    for place in range(0, len(text), 5):
        value = 0
        for letter in text[place : place + 5].rjust(5):
            value = value * 85 + _Z85.index(letter)
        if value >> 32:
            raise ValueError(text)
        octets += value.to_bytes(4, "big")
    return octets


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we know; an empty field: nothing. Keys are 32 octets.

    ``username`` and ``password`` for PLAIN. ``server_key`` is the public key of a CURVE server that the target is,
    ``client_public`` and ``client_secret`` our own pair where not any will do; ``our_secret`` our secret key where a
    CURVE client connects to us.
    """

    username: str | None = None
    password: str = ""
    server_key: bytes = b""
    client_public: bytes = b""
    client_secret: bytes = b""
    our_secret: bytes = b""

    def fit(self, mechanism: str, side: str) -> bool:
        """Whether an honest handshake by ``mechanism`` can be completed with a target on ``side`` (bind, connect)."""
        match mechanism:
            case "" | "NULL":
                return True
            case "PLAIN":  # as the server we take any
                return side == "connect" or self.username is not None
            case "CURVE":
                return bool(self.server_key if side == "bind" else self.our_secret)
        return False

    def locks(self, side: str) -> tuple[str, ...]:
        """The mechanisms that keep strangers away from a target on ``side``: those whose key or user name was given."""
        if side == "connect":
            return ("CURVE",) if self.our_secret else ()
        given = (("CURVE", bool(self.server_key)), ("PLAIN", self.username is not None))
        return tuple(mechanism for mechanism, there in given if there)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What goes over the wire as it is, and is stored nowhere."""
        return (self.password.encode(),) if self.password else ()

    def unused(self, mechanisms: Collection[str]) -> str:
        """What was given although no door asks for it: such a door may be open to everyone. Empty: nothing."""
        if self.server_key and "CURVE" not in mechanisms:
            return "a CURVE key was given, but no door asks for one: are the target's keys set before it binds?"
        if self.username is not None and "PLAIN" not in mechanisms:
            return "a user name was given, but no door asks for one: is PLAIN set before the target binds?"
        return ""

    @classmethod
    def read(
        cls,
        *,
        username: str | None = None,
        password: str | None = None,
        server_key: str | None = None,
        client_key: str | None = None,
        our_secret_key: str | None = None,
    ) -> Credentials:
        """From what a user gives: keys in Z85 (40 characters), ``client_key`` as ``PUBLIC:SECRET``, ``@FILE`` for each.

        A file holds the same text, or is a certificate of ``zmq.auth``. Raises UsageError, which shows no secret.
        """
        public, secret = _pair(client_key or "")
        return cls(
            username,
            password or "",
            _key("--server-key", _text("--server-key", server_key or "", "public-key")),
            public,
            secret,
            _key("--our-secret-key", _text("--our-secret-key", our_secret_key or "", "secret-key")),
        )

    def to_plain(self) -> dict[str, object]:
        """For JSON, without secrets: ``secrets`` names those that there are."""
        plain: dict[str, object] = {"secrets": [name for name in _SECRETS if getattr(self, name)]}
        if self.username is not None:
            plain["username"] = self.username
        if self.server_key:
            plain["server_key"] = z85_encode(self.server_key)
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, object], given: Credentials | None = None) -> Credentials:
        """What ``to_plain`` wrote, together with what is ``given`` again. Raises UsageError: a secret is missing."""
        given = given or cls()
        values = {item.name: getattr(given, item.name) for item in fields(cls)}
        if given.username is None and isinstance(name := plain.get("username"), str):
            values["username"] = name
        if not given.server_key and isinstance(key := plain.get("server_key"), str):
            values["server_key"] = _key("the saved server key", key)
        names = plain.get("secrets", ())
        for name in names if isinstance(names, list) else ():
            if name in values and not values[name]:
                option = {"client_secret": "--client-key", "our_secret": "--our-secret-key"}.get(name, f"--{name}")
                raise UsageError(f"The finding was made with a secret, which is never saved; give {option} again.")
        return cls(**values)


def _text(option: str, text: str, wanted: str) -> str:
    """The text itself, or what a file holds; of a certificate the value called ``wanted``."""
    if not text.startswith("@") or (len(text) in (_Z85_KEY, 2 * _Z85_KEY + 1) and not Path(text[1:]).is_file()):
        return text  # a key may begin with "@", too
    try:
        held = Path(text[1:]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{option}: {text[1:]} cannot be read ({reason}).") from None
    found = _certified(held, wanted)
    return found or held


def _certified(held: str, wanted: str) -> str:
    """The value of a line ``wanted = "..."``, as in a certificate of zmq.auth; empty when there is none."""
    for line in held.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == wanted:
            return value.strip().strip('"')
    return ""


def _key(option: str, text: str) -> bytes:
    try:
        key = z85_decode(text)
    except ValueError:
        key = b"?"
    if text and len(key) != _KEY:
        raise UsageError(f"{option}: a key is 40 characters of Z85, as zmq.curve_keypair() gives it, or @FILE.")
    return key


def _pair(text: str) -> tuple[bytes, bytes]:
    if not text:
        return b"", b""
    held = _text("--client-key", text, "")
    public, secret = _certified(held, "public-key"), _certified(held, "secret-key")
    if not (public and secret):
        public, secret = held[:40], held[41:]  # a colon may be part of a key
        if held[40:41] != ":":
            raise UsageError("--client-key: give PUBLIC:SECRET, each 40 characters of Z85, or @FILE.")
    return _key("--client-key", public), _key("--client-key", secret)


NEAR = ("first", "shorter", "longer", "case", "nul")
"""How a password may be wrong, and still be let in by what compares a part of it, or something else than its octets."""


def nearly(password: bytes, how: str) -> bytes:
    """A password like this one, and never the same: a part of it, more than it, in other letters. Empty: none is."""
    made = {
        "first": password[:1],
        "shorter": password[:-1],
        "longer": password + b"x",
        "case": password.swapcase(),
        "nul": password + b"\0",
    }.get(how, b"")
    return made if made != password else b""
