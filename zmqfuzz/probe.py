"""Honest clients: does the target still serve? Real libzmq through pyzmq, never the misbehaving peers.

A completed handshake proves only that libzmq's I/O thread lives. Whether the application lives is asked with the
socket pattern's own round trip; which round trip an unknown program answers is found out once, by calibration,
before the first attack.
"""

from __future__ import annotations

import math
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from zmqfuzz.credentials import Credentials, z85_encode
from zmqfuzz.errors import UsageError
from zmqfuzz.older import greets, is_old
from zmqfuzz.seeds import Heard, Message
from zmqfuzz.trial import READING, ProbeResult, Surface
from zmqfuzz.zmtp.wire import peer_type

__all__ = ["UNASKED", "Exchange", "Prober", "UserProbe", "split"]

UserProbe = Callable[[str], bool] | str | None
"""A user's own check: a callable given the endpoint (False or an exception: not served), or a shell-like command
in which ``{endpoint}`` is replaced (exit code 0: served)."""

UNASKED = "not asked"
"""The level of a probe that could not be made: the mechanism needs a secret."""

PATIENCE = 1.0
"""Seconds beyond a handshake that a calibration waits for an answer before it takes the target for one that does not
answer this."""

_BROKEN_OFF = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
)
"""What a client's monitor says of a handshake that the other side ended (zmq_socket_monitor(3))."""

_BODIES = ((b"", b"zmqfuzz"), (b"zmqfuzz",), (b"", b"{}"))
_AHEAD = 32
_DRAIN = 3000 + _AHEAD
_BLOCK = bytes(1024)
"""More messages than a default high-water mark holds (1000), of more octets than the kernel keeps beside them; AHEAD of
them may wait on our own side: handed to libzmq one by one they take our processor four times as long."""

_DRAIN_WITHIN = 3.0
MOST_PATIENT = 5
"""Times the patience with a target that takes nothing, for one that takes it slowly, or where we are slow."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A round trip that worked: our socket type, what we send (nothing: we only listen), whether we fill."""

    kind: int
    parts: tuple[bytes, ...] = ()
    drain: bool = False


class Prober:
    """Asks one door, in the way that calibration found it to answer. ``heard`` keeps what that says.

    ``asks``: recorded messages, which are tried before any of ours; what a program takes for nonsense, it may ignore.
    ``unread`` is how messages are sent to a door that answered none, and did not take off its socket what was sent;
    ``once``: an answer came to the first who asked a fresh process, and none to the next.
    """

    def __init__(
        self,
        user: UserProbe = None,
        credentials: Credentials | None = None,
        heard: Heard | None = None,
        asks: Sequence[Message] = (),
    ) -> None:
        self._heard = heard or Heard()
        self._user = user
        self._asks = asks
        self._credentials = credentials or Credentials()
        self._words = split(user) if isinstance(user, str) else []
        self._context = zmq.Context()
        self.exchange: Exchange | None = None
        self.unread: Exchange | None = None
        self.once = False
        self.level = "user" if user else "handshake"
        self.usual = 0.0
        self.each = 0.0
        self._sent_at = 0.0

    def close(self) -> None:
        """Drop every socket at once."""
        self._context.destroy(linger=0)

    def calibrate(self, surface: Surface, fresh: Callable[[], Surface] | None = None) -> ProbeResult:
        """Find the strongest round trip that this door answers, and how long it usually takes.

        ``fresh``: starts the target anew, and says where its door is then. What a question has done to a program that
        did not answer it must not be taken for the answer to the next. The result says ``ok=False`` only when not even
        a handshake works. Blocking; call it in a thread.
        """
        shaken = self._handshake(surface, 5.0)
        if not shaken.ok or shaken.level == UNASKED or self._user is not None:
            return self.ask(surface, 10.0) if self._user is not None else shaken
        answered: Exchange | None = None
        for exchange in _candidates(surface.socket_type, self._asks):
            patience = PATIENCE + 2 * shaken.seconds  # each question shakes hands anew
            if self._settle(surface, exchange, patience, "application"):
                return ProbeResult(self.level, True, self.usual)
            answered = answered or (exchange if self.usual and exchange.parts else None)
            if fresh is not None and (exchange.parts or exchange.drain):
                surface = fresh()
            if exchange.drain:
                self.unread = exchange
        if answered is not None and fresh is not None:
            self.exchange, self.level, self.once, self.usual = answered, "application", True, PATIENCE
            return ProbeResult(self.level, True, self.usual)
        if (reader := _reader(surface.socket_type)) is not None:
            if self._settle(surface, reader, _DRAIN_WITHIN + 2 * shaken.seconds, READING):
                return ProbeResult(self.level, True, self.usual)
            self.unread = reader
            if fresh is not None:
                fresh()
        self.usual = shaken.seconds
        return shaken

    def _settle(self, surface: Surface, exchange: Exchange, patience: float, level: str) -> bool:
        """Whether this round trip works three times; then it is the one that is asked for from now on.

        What answers once and then no more is not something to hold it to.
        """
        self.usual = 0.0
        for _ in range(3):
            seconds = self._try(surface, exchange, patience)
            if seconds is None:
                return False
            self.usual = max(self.usual, seconds)
        self.exchange, self.level = exchange, level
        self.each = self.usual / (_DRAIN if exchange.drain else 1)
        return True

    def untaken(self, surface: Surface, patience: float) -> float:
        """Seconds for which nothing more could be sent; 0: all of it was. Blocking.

        Gives up when nothing could be sent for ``patience`` seconds, or when it takes MOST_PATIENT times as long.
        """
        asked = self.unread or self.exchange
        if asked is None:
            return 0.0
        taken = self._try(surface, asked, MOST_PATIENT * patience, stuck=patience)
        return 0.0 if taken is not None else time.monotonic() - self._sent_at

    def ask(self, surface: Surface, within: float) -> ProbeResult:
        """One question, answered or not ``within`` seconds (asked anew until then). Blocking."""
        started = time.monotonic()
        if self._user is not None:
            return self._ask_user(surface, within)
        while True:
            left = within - (time.monotonic() - started)
            if self.exchange is None:
                result = self._handshake(surface, max(left, 0.05))
            else:
                took = self._try(surface, self.exchange, min(max(left, 0.05), max(1.0, 20 * self.usual)))
                result = ProbeResult(self.level, took is not None, took or 0.0)
            elapsed = time.monotonic() - started
            if result.ok or elapsed >= within:
                return ProbeResult(result.level, result.ok, elapsed, result.detail or _said(result.ok, within))
            time.sleep(0.02)

    def _ask_user(self, surface: Surface, within: float) -> ProbeResult:
        started = time.monotonic()
        while True:
            ok, detail = self._run_user(surface, max(within - (time.monotonic() - started), 0.1))
            elapsed = time.monotonic() - started
            if ok or elapsed >= within:
                return ProbeResult("user", ok, elapsed, detail)
            time.sleep(0.1)

    def _run_user(self, surface: Surface, within: float) -> tuple[bool, str]:
        if callable(self._user):
            try:
                return bool(self._user(surface.address) is not False), "the probe function"
            except Exception as error:
                return False, f"the probe function raised {type(error).__name__}: {error}"
        command = [word.replace("{endpoint}", surface.address) for word in self._words]
        try:
            done = subprocess.run(command, timeout=within, capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise UsageError(f"--probe: {command[0]!r} is not a command that can be run; check its path.") from error
        except subprocess.TimeoutExpired:
            return False, f"the probe command did not end within {within:.1f} s"
        return done.returncode == 0, f"the probe command ended with exit code {done.returncode}"

    def _handshake(self, surface: Surface, within: float) -> ProbeResult:
        """Connect a real libzmq socket and wait for its HANDSHAKE_SUCCEEDED event; what was seen instead is said."""
        kind = getattr(zmq, peer_type(surface.socket_type)[0])
        started = time.monotonic()
        if not self._credentials.fit(surface.mechanism, surface.side):
            return ProbeResult(UNASKED, True, 0.0, f"{surface.mechanism} needs a key or a password")
        if surface.mechanism == "PLAIN" and not self._credentials.password:  # zmq_setsockopt(3): at least one octet
            return ProbeResult(UNASKED, True, 0.0, "libzmq's clients cannot send an empty password")
        if is_old(surface):
            ok = greets(surface, peer_type(surface.socket_type)[0], within)
            return ProbeResult("handshake", ok, time.monotonic() - started, _said(ok, within))
        with self.socket(surface, kind) as sock:
            monitor = sock.get_monitor_socket(zmq.EVENT_CONNECTED | _BROKEN_OFF | zmq.EVENT_HANDSHAKE_SUCCEEDED)
            seen = 0
            try:
                sock.connect(surface.address)
                while seen != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    left = within - (time.monotonic() - started)
                    if left <= 0 or not monitor.poll(int(left * 1000) + 1):
                        break
                    event = int(recv_monitor_message(monitor)["event"])
                    seen = seen if seen & _BROKEN_OFF and event == zmq.EVENT_CONNECTED else event
            finally:
                sock.disable_monitor()
                monitor.close(linger=0)
        ok = seen == zmq.EVENT_HANDSHAKE_SUCCEEDED
        said = _said(ok, within)
        if seen == zmq.EVENT_CONNECTED:
            said += "; connected, but its handshake is not completed: does its ZAP handler (RFC 27) answer?"
        elif not ok and surface.mechanism in ("PLAIN", "CURVE"):
            said += "; are the keys and the password the right ones?"
        return ProbeResult("handshake", ok, time.monotonic() - started, said)

    def socket(self, surface: Surface, kind: int) -> zmq.Socket[bytes]:
        """A socket that can shake hands at this door; to be closed by whoever asked for it."""
        known, sock = self._credentials, self._context.socket(kind)
        sock.linger = 0
        sock.ipv6 = "[" in surface.address  # else libzmq reads no such address (zmq_setsockopt(3))
        if surface.mechanism == "PLAIN":
            sock.plain_username, sock.plain_password = (known.username or "").encode(), known.password.encode()
        elif surface.mechanism == "CURVE":
            pair = (z85_encode(known.client_public).encode(), z85_encode(known.client_secret).encode())
            sock.curve_publickey, sock.curve_secretkey = pair if known.client_secret else zmq.curve_keypair()
            sock.curve_serverkey = z85_encode(known.server_key).encode()
        return sock

    def _try(self, surface: Surface, exchange: Exchange, within: float, stuck: float = math.inf) -> float | None:
        """Seconds that a round trip took; None when it did not come back ``within`` seconds.

        ``stuck``: or when nothing could be sent for so many seconds, where many messages are.
        """
        started = time.monotonic()
        with self.socket(surface, exchange.kind) as sock:
            if exchange.kind == zmq.SUB:
                sock.subscribe(b"")
            if exchange.drain:
                sock.set(zmq.SNDHWM, _AHEAD)
                sock.set(zmq.SNDBUF, 4096)
                sock.connect(surface.address)
                return self._drain(sock, exchange.kind, started + within, stuck)
            sock.connect(surface.address)
            if exchange.parts:
                if not sock.poll(int(within * 1000), zmq.POLLOUT):
                    return None
                sock.send_multipart(exchange.parts)
            if not sock.poll(int(max(0.0, within - (time.monotonic() - started)) * 1000), zmq.POLLIN):
                return None
            took = time.monotonic() - started
            parts = sock.recv_multipart()
            self._heard.add(exchange.parts)
            self._heard.add(parts[1:] if exchange.kind == zmq.ROUTER else parts)
            return took

    def _drain(self, sock: zmq.Socket[bytes], kind: int, end: float, stuck: float) -> float | None:
        """Push more than a default high-water mark holds: it only goes through if somebody reads."""
        parts = (b"", _BLOCK) if kind == zmq.DEALER else (_BLOCK,)
        started = self._sent_at = time.monotonic()
        for _ in range(_DRAIN):
            left = min(end, self._sent_at + stuck) - time.monotonic()
            if left <= 0 or not sock.poll(int(left * 1000), zmq.POLLOUT):
                return None
            sock.send_multipart(parts)
            self._sent_at = time.monotonic()
        return time.monotonic() - started


def split(command: str, option: str = "--probe") -> list[str]:
    """The words of a command that a user gave with ``option``. Raises UsageError, which begins with that."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{option}: {command!r} cannot be read as a command ({error}); close its quotes.") from error
    if not words:
        raise UsageError(f"{option}: the command is empty; give one, for example 'python ask.py'.")
    return words


def _said(ok: bool, within: float) -> str:
    return "answered" if ok else f"no answer within {within:.1f} s"


def _candidates(socket_type: str, asks: Sequence[Message] = ()) -> tuple[Exchange, ...]:
    """Round trips worth trying: what was recorded, then the least intrusive first."""
    match socket_type.upper():
        case "REP":
            bodies = [message[message[0] == b"" :] for message in asks]
            return tuple(Exchange(zmq.REQ, body) for body in (*filter(None, bodies), (b"zmqfuzz",), (b"{}",)))
        case "ROUTER":
            delimited = [(b"", *message) for message in asks[:1] if message[0]]
            return tuple(Exchange(zmq.DEALER, parts) for parts in (*asks, *delimited, *_BODIES))
        case "DEALER":
            recorded = [Exchange(zmq.DEALER, message) for message in asks]
            return (Exchange(zmq.DEALER), *recorded, Exchange(zmq.DEALER, (b"", b"zmqfuzz")), Exchange(zmq.REP))
        case "PUB" | "XPUB":
            return (Exchange(zmq.SUB),)
        case "PUSH":
            return (Exchange(zmq.PULL),)
        case "REQ":
            return (Exchange(zmq.ROUTER),)
        case "PULL":
            return (Exchange(zmq.PUSH, drain=True),)
        case "PAIR":
            recorded = [Exchange(zmq.PAIR, message) for message in asks]
            return (Exchange(zmq.PAIR), *recorded, Exchange(zmq.PAIR, (b"zmqfuzz",)))
        case _:
            return ()


def _reader(socket_type: str) -> Exchange | None:
    """How to see that a door takes messages off its socket; None where its type does not make a sender wait."""
    match socket_type.upper():
        case "REP" | "ROUTER" | "DEALER":
            return Exchange(zmq.DEALER, drain=True)
        case _:  # a PAIR serves one peer, and may take the next one late
            return None
