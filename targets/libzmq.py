"""The calls of libzmq that :mod:`zmqfuzz.targets.library_host` needs, over ctypes: any libzmq from 4.1 on, no pyzmq.

Contract: what a library cannot do, or is not, ends the program with exit code 2 and one sentence. Numbers and layouts
are those of libzmq's ``include/zmq.h``; they have not changed since 4.1.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
from typing import NoReturn

TYPES = {
    name: number
    for number, name in enumerate(
        ("PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB")
    )
}
SUBSCRIBE, LINGER, RECONNECT_IVL, RCVHWM, REQ_RELAXED, ZAP_DOMAIN = 6, 17, 18, 24, 53, 55
PLAIN_SERVER, PLAIN_USERNAME, PLAIN_PASSWORD = 44, 45, 46
CURVE_SERVER, CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY = 47, 48, 49, 50
DONTWAIT, SNDMORE, POLLIN = 1, 2, 1
EVENT_CONNECTED, EVENT_DISCONNECTED = 0x0001, 0x0200


def fail(sentence: str) -> NoReturn:
    """End with exit code 2 and ``sentence``."""
    print(f"library_host: {sentence}", file=sys.stderr, flush=True)
    raise SystemExit(2)


class Message(ctypes.Structure):
    """``zmq_msg_t``: 64 octets, aligned as a pointer (32 before libzmq 4.1)."""

    _fields_ = [("_", ctypes.c_void_p * 8)]


class PollItem(ctypes.Structure):
    """``zmq_pollitem_t``."""

    _fields_ = [
        ("socket", ctypes.c_void_p),
        ("fd", ctypes.c_int),
        ("events", ctypes.c_short),
        ("revents", ctypes.c_short),
    ]


def load(path: str) -> ctypes.CDLL:
    """Load libzmq; libraries that lie beside it under names of their own (as in wheels) first."""
    folder = os.path.dirname(os.path.abspath(path))
    for _ in range(8):
        try:
            return ctypes.CDLL(path, use_errno=True)
        except OSError as error:
            missing = re.match(r"([^/:]+): cannot open shared object file", str(error))
            beside = os.path.join(folder, missing[1]) if missing else ""
            if not os.path.isfile(beside):
                fail(f"{path} cannot be loaded ({error}); give a libzmq that was built for this system.")
            try:
                ctypes.CDLL(beside, mode=ctypes.RTLD_GLOBAL)
            except OSError as inner:
                fail(f"{beside}, which {path} needs, cannot be loaded ({inner}).")
    fail(f"{path} cannot be loaded: it needs too many libraries that are not installed.")


class Library:
    """The calls of libzmq that are used here. A call that fails gives -1 (or None); ``errno`` says why."""

    def __init__(self, path: str) -> None:
        self.api = load(path)
        if not hasattr(self.api, "zmq_msg_recv") or not hasattr(self.api, "zmq_ctx_new"):
            fail(f"{path} is a library, but not libzmq; give the path of a libzmq.so.")
        for name in ("zmq_ctx_new", "zmq_socket", "zmq_z85_encode"):
            if hasattr(self.api, name):
                getattr(self.api, name).restype = ctypes.c_void_p
        self.api.zmq_strerror.restype = ctypes.c_char_p
        self.api.zmq_msg_data.restype = ctypes.c_void_p
        self.api.zmq_msg_size.restype = ctypes.c_size_t
        numbers = [ctypes.c_int() for _ in range(3)]
        self.api.zmq_version(*[ctypes.byref(number) for number in numbers])
        self.version = tuple(number.value for number in numbers)
        if self.version < (4, 1, 0):
            fail(f"{path} is libzmq {self.said_version}; 4.1.0 or newer is needed.")
        self.context = ctypes.c_void_p(self.api.zmq_ctx_new())

    @property
    def said_version(self) -> str:
        """As ``4.3.5``."""
        return ".".join(map(str, self.version))

    def why(self) -> str:
        """The text of the last error of this thread."""
        return str(self.api.zmq_strerror(ctypes.get_errno()).decode())

    def has(self, feature: str) -> bool:
        """Whether it was built with ``feature`` (``curve``, ``draft``)."""
        return bool(self.api.zmq_has(feature.encode()))

    def socket(self, kind: str) -> Socket:
        """A new socket. Ends the program where there is none."""
        handle = self.api.zmq_socket(self.context, TYPES[kind])
        if not handle:
            fail(f"libzmq {self.said_version} opens no {kind} socket ({self.why()}).")
        return Socket(self, handle)

    def keypair(self) -> tuple[bytes, bytes]:
        """A CURVE public and secret key, each 40 characters of Z85."""
        public, secret = (ctypes.create_string_buffer(41) for _ in range(2))
        if self.api.zmq_curve_keypair(public, secret) != 0:
            fail(f"libzmq {self.said_version} was built without CURVE; take another build, or another mechanism.")
        return public.value, secret.value

    def z85(self, key: bytes) -> bytes:
        """Octets (a multiple of four) as Z85."""
        text = ctypes.create_string_buffer(len(key) * 5 // 4 + 1)
        self.api.zmq_z85_encode(text, key, ctypes.c_size_t(len(key)))
        return text.value


class Socket:
    """A socket; to be used by one thread at a time."""

    def __init__(self, library: Library, handle: int) -> None:
        self._library = library
        self._api = library.api
        self._handle = ctypes.c_void_p(handle)
        self._message = Message()

    def set(self, option: int, value: int | bytes) -> bool:
        """Set an option; False where this libzmq has none such, or does not take the value."""
        if isinstance(value, int):
            number = ctypes.c_int(value)
            return bool(self._api.zmq_setsockopt(self._handle, option, ctypes.byref(number), ctypes.c_size_t(4)) == 0)
        return bool(self._api.zmq_setsockopt(self._handle, option, value, ctypes.c_size_t(len(value))) == 0)

    def open(self, verb: str, endpoint: str) -> None:
        """``bind`` or ``connect``. Ends the program where that fails."""
        if getattr(self._api, f"zmq_{verb}")(self._handle, endpoint.encode()) != 0:
            fail(f"cannot {verb} to {endpoint} ({self._library.why()}); give a free endpoint.")

    def again(self, endpoint: str) -> None:
        """Drop the connection to ``endpoint``, or what libzmq has left of it, and connect anew."""
        self._api.zmq_disconnect(self._handle, endpoint.encode())
        self.open("connect", endpoint)

    def monitored(self) -> Socket:
        """A socket that receives this one's connections and disconnections (``zmq_socket_monitor``)."""
        name = b"inproc://monitor"
        events = EVENT_CONNECTED | EVENT_DISCONNECTED
        if self._api.zmq_socket_monitor(self._handle, name, events) != 0:
            fail(f"the socket cannot be watched ({self._library.why()}).")
        monitor = self._library.socket("PAIR")
        monitor.open("connect", name.decode())
        return monitor

    def readable(self, seconds: float) -> bool:
        """Wait until a message can be read, ``seconds`` at most."""
        item = PollItem(self._handle, 0, POLLIN, 0)
        return bool(self._api.zmq_poll(ctypes.byref(item), 1, ctypes.c_long(int(seconds * 1000))) > 0)

    def send(self, *parts: bytes, flags: int = DONTWAIT) -> bool:
        """Send a message; False where it cannot be sent now."""
        for number, part in enumerate(parts, 1):
            more = SNDMORE if number < len(parts) else 0
            if self._api.zmq_send(self._handle, part, ctypes.c_size_t(len(part)), flags | more) < 0:
                return False
        return True

    def receive(self) -> list[bytes]:
        """The next message, whenever it comes."""
        parts: list[bytes] = []
        while True:
            self._api.zmq_msg_init(ctypes.byref(self._message))
            if self._api.zmq_msg_recv(ctypes.byref(self._message), self._handle, 0) < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                fail(f"cannot receive ({self._library.why()}).")
            parts.append(self._octets())
            more = self._api.zmq_msg_more(ctypes.byref(self._message))
            self._api.zmq_msg_close(ctypes.byref(self._message))
            if not more:
                return parts

    def _octets(self) -> bytes:
        data = self._api.zmq_msg_data(ctypes.byref(self._message))
        return ctypes.string_at(data, self._api.zmq_msg_size(ctypes.byref(self._message)))

    def take(self, *, echo: bool, whole: bool = False) -> bool:
        """Read a message that is there, and send each part back or drop it; False where there was none.

        Parts are passed on as they come, like a proxy's: nothing is collected here. A message that cannot be sent
        back is read to its end. ``whole``: only its last part is sent back, as REP may not answer before the end.
        """
        message = ctypes.byref(self._message)
        while True:
            self._api.zmq_msg_init(message)
            if self._api.zmq_msg_recv(message, self._handle, DONTWAIT) < 0:
                self._api.zmq_msg_close(message)
                return False
            more = self._api.zmq_msg_more(message)
            flags = DONTWAIT | (SNDMORE if more else 0)
            if echo and not (whole and more) and self._api.zmq_msg_send(message, self._handle, flags) < 0:
                echo = False
            self._api.zmq_msg_close(message)
            if not more:
                return True
