"""What a CURVE connection says (RFC 26, CurveZMQ): every command in its layout, sealed, honest unless told to lie.

Contract: ``seal`` turns any :class:`~zmqfuzz.zmtp.wire.CurveCommand` into a frame whatever its fields say, with the
keys and nonces of this connection. Either side may send any command. Keys and long nonces come from ``random``, see
:mod:`zmqfuzz.zmtp.keys`.
"""

from __future__ import annotations

from zmqfuzz.zmtp.keys import KEY, LAST_NONCE, Jar, Octets, agreed, close, close_secret, keypair, open_box, short
from zmqfuzz.zmtp.mechanism import MechanismError, own_properties
from zmqfuzz.zmtp.reader import read_properties
from zmqfuzz.zmtp.wire import CurveCommand, Frame, Property, body_bytes, encode_properties, finished, flipped

__all__ = ["Curve", "opened"]

_GAP = 1 << 20
_MESSAGE = b"\x07MESSAGE"


class Curve:
    """What both sides share: keys, nonces, and the layout of every command (either side may send any)."""

    name = b"CURVE"
    as_server = False
    seals = True
    _ours, _theirs = b"CurveZMQMESSAGEC", b"CurveZMQMESSAGES"

    def __init__(
        self,
        socket_type: str,
        identity: bytes,
        properties: tuple[Property, ...],
        *,
        server: bytes,
        pair: tuple[bytes, bytes],
        random: Octets,
        jar: Jar | None,
    ) -> None:
        self.complete = False
        self.peer_properties: tuple[Property, ...] = ()
        self._metadata = own_properties(socket_type, identity, properties)
        self._random = random
        self._jar = jar or Jar()
        self._place = self._jar.join()
        self._server = server  # the server's long-term public key
        self._long_public, self._long_secret = pair
        self._public, self._secret = keypair(random)  # for this connection only
        self._their_public = b""  # the other side's for this connection
        self._session = random(KEY)  # until both transient keys are known: one that opens nothing
        self._cookie = b""
        self._cookie_key = random(KEY)
        self._nonce = 0  # the last short nonce that we used, and that they did
        self._their_nonce = 0

    # sending

    def seal(self, unit: CurveCommand) -> Frame:
        """The frame to send for a command, honest or not."""
        body = None
        if unit.replay:
            body = (self._jar.another if unit.replay == "another" else self._jar.own)(unit.name, self._place)
        if body is None:
            body = self._command(unit)
            self._jar.keep(unit.name, self._place, body)
        return finished(unit, body)

    def wrap(self, frame: Frame) -> Frame:
        """A frame of traffic as MESSAGE; what it says wrongly about its size and flags, the outer frame says."""
        payload = body_bytes(frame.body)
        self._nonce += 1
        nonce = short(self._nonce)
        flags = bytes([frame.more | frame.command << 1])
        body = b"".join((_MESSAGE, nonce, close(flags + payload, self._ours + nonce, self._session)))
        self._jar.keep(b"MESSAGE", self._place, body)
        added = len(body) - len(payload)
        declared = None if frame.declared_size is None else frame.declared_size + added
        return Frame(body, long=frame.long, declared_size=declared, reserved=frame.reserved)

    def _command(self, unit: CurveCommand) -> bytes:
        name = unit.name if unit.spelling is None else unit.spelling
        layouts = {
            b"HELLO": self._hello,
            b"WELCOME": self._welcome,
            b"INITIATE": self._initiate,
            b"READY": self._ready,
            b"ERROR": self._error,
        }
        return bytes([len(name) & 0xFF]) + name + layouts.get(unit.name, self._message)(unit)

    def _hello(self, unit: CurveCommand) -> bytes:
        """RFC 26: version (2), padding (72), C' (32), nonce (8), ``Box [64 * %x0](C'->S)``."""
        nonce = self._short_nonce(unit)
        version = bytes(octet & 0xFF for octet in unit.version[:2]).ljust(2, b"\0")
        box = self._boxed(
            unit, bytes(64), b"CurveZMQHELLO---" + nonce, agreed(self._server, self._secret, self._random)
        )
        return version + bytes([unit.padding & 0xFF]) * 72 + self._key(unit, self._public) + nonce + box

    def _welcome(self, unit: CurveCommand) -> bytes:
        """RFC 26: nonce (16), ``Box [S' + cookie](S->C')``, cookie = nonce (16) + ``Box [C' + s'](K)``."""
        theirs = self._their_public.ljust(KEY, b"\0")
        kept = self._random(16)
        cookie = kept + close_secret(theirs + self._secret, b"COOKIE--" + kept, self._cookie_key)
        nonce = self._random(16)
        plaintext = self._key(unit, self._public) + self._chosen_cookie(unit, cookie)
        return nonce + self._boxed(
            unit, plaintext, b"WELCOME-" + nonce, agreed(theirs, self._long_secret, self._random)
        )

    def _initiate(self, unit: CurveCommand) -> bytes:
        """RFC 26: cookie (96), nonce (8), ``Box [C + vouch + metadata](C'->S')``; vouch: ``Box [C',S](C->S')``."""
        nonce = self._short_nonce(unit)
        vouch = self._random(96)
        if unit.vouch == "zero":
            vouch = bytes(96)
        elif unit.vouch != "random":
            secret = self._random(KEY) if unit.vouch == "foreign" else self._long_secret
            shared = agreed(self._their_public, secret, self._random)
            vouch = vouch[:16] + close(self._public + self._server, b"VOUCH---" + vouch[:16], shared)
        plaintext = self._key(unit, self._long_public) + vouch + encode_properties(unit.properties)
        cookie = self._chosen_cookie(unit, self._cookie.ljust(96, b"\0"))
        return cookie + nonce + self._boxed(unit, plaintext, b"CurveZMQINITIATE" + nonce, self._session)

    def _ready(self, unit: CurveCommand) -> bytes:
        """RFC 26: nonce (8), ``Box [metadata](S'->C')``."""
        nonce = self._short_nonce(unit)
        plaintext = encode_properties(unit.properties)
        return nonce + self._boxed(unit, plaintext, b"CurveZMQREADY---" + nonce, self._session)

    def _message(self, unit: CurveCommand) -> bytes:
        """RFC 26: nonce (8), ``Box [flags + payload](A'->B')``."""
        nonce = self._short_nonce(unit)
        plaintext = bytes([unit.flags & 0xFF]) + body_bytes(unit.body)
        return nonce + self._boxed(unit, plaintext, self._ours + nonce, self._session)

    def _error(self, unit: CurveCommand) -> bytes:
        """RFC 26: the length of the reason in one octet, the reason; in clear."""
        reason = body_bytes(unit.body)
        return bytes([len(reason) & 0xFF]) + reason

    def _short_nonce(self, unit: CurveCommand) -> bytes:
        match unit.nonce:
            case "repeat":
                return short(self._nonce)
            case "lower":
                return short(max(0, self._nonce - 1))
            case "last":
                return short(LAST_NONCE)
            case "zero":
                return short(0)
        self._nonce += _GAP if unit.nonce == "gap" else 1
        return short(self._nonce)

    def _key(self, unit: CurveCommand, own: bytes) -> bytes:
        return bytes(KEY) if unit.key == "zero" else self._random(KEY) if unit.key == "random" else own

    def _chosen_cookie(self, unit: CurveCommand, given: bytes) -> bytes:
        match unit.cookie:
            case "zero":
                return bytes(96)
            case "random":
                return self._random(96)
            case "another":
                return self._jar.another(b"cookie", self._place) or self._random(96)
        self._jar.keep(b"cookie", self._place, given)
        return given

    def _boxed(self, unit: CurveCommand, plaintext: bytes, nonce: bytes, shared: bytes) -> bytes:
        if unit.flip_inside is not None:
            plaintext = flipped(plaintext, unit.flip_inside)
        match unit.box:
            case "open":
                return bytes(16) + plaintext
            case "random":
                return self._random(16 + len(plaintext))
            case "foreign":
                shared = self._random(KEY)
        return close(plaintext, nonce, shared)

    # reading

    def unwrap(self, frame: Frame) -> Frame:
        """The frame inside a MESSAGE. Raises MechanismError, as a peer that validates all would close."""
        body = body_bytes(frame.body)
        if not body.startswith(_MESSAGE):
            raise MechanismError("a frame in clear after the CURVE handshake")
        plaintext = self._opened("MESSAGE", body[len(_MESSAGE) :], self._theirs)
        if not plaintext:
            raise MechanismError("MESSAGE without a flags octet")
        return Frame(plaintext[1:], more=bool(plaintext[0] & 1), command=bool(plaintext[0] & 2))

    def _opened(self, name: str, octets: bytes, prefix: bytes) -> bytes:
        """The plaintext behind a short nonce, which must be higher than the last one."""
        nonce = int.from_bytes(octets[:8], "big")
        plaintext = opened(name, octets[8:], prefix + octets[:8], self._session)
        if nonce <= self._their_nonce:
            raise MechanismError(f"{name} with nonce {nonce} after {self._their_nonce}")
        self._their_nonce = nonce
        return plaintext

    def _meet(self, their_public: bytes) -> None:
        self._their_public = their_public
        self._session = agreed(their_public, self._secret, self._random)

    def _learn(self, name: str, metadata: bytes) -> None:
        properties, wrong = read_properties(metadata)
        if properties is None:
            raise MechanismError(f"{name}: {wrong}")
        self.peer_properties = properties


def opened(name: str, box: bytes, nonce: bytes, shared: bytes) -> bytes:
    """What is in the box. Raises MechanismError, which says that it is that of ``name``."""
    plaintext = open_box(box, nonce, shared)
    if plaintext is None:
        raise MechanismError(f"{name} whose box does not open")
    return plaintext
