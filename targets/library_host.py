"""One socket of any libzmq, in a process of its own: the shared library is loaded with ctypes, pyzmq is not used.

    library_host.py /usr/lib/libzmq.so.5 router --bind tcp://127.0.0.1:5555 --mechanism curve

Works with libzmq 4.1 and newer; a socket option that the library does not have is left out. The socket behaves as an
application of its pattern: ROUTER, DEALER and PAIR echo, part by part, REP the last part; PULL, SUB and XSUB read all;
PUB, XPUB and PUSH say something every 10 ms, and XPUB reads; REQ asks again when it was answered, or was not for 250
ms; DEALER and PAIR speak first where they connect; what they say has one to three parts. With PLAIN and CURVE the side
that binds is the server: a ZAP handler (RFC 27) in a thread lets in who has the given name and password, or the given
client key, and everybody where none was given. A connection that is lost is made anew after 10 ms. ``--mended``: it
connects anew itself where libzmq has given its endpoint up (libzmq issue 4196); ``--impatient``: also where it has
heard nothing for 100 ms, as clients with a watchdog do (zguide, Lazy Pirate).

Says in one line what it is (and its CURVE public key), then what libzmq says. Bad input ends it with exit code 2 and
one sentence.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import struct
import sys
import threading
import time
from typing import NoReturn

from zmqfuzz.targets.libzmq import (
    CURVE_PUBLICKEY,
    CURVE_SECRETKEY,
    CURVE_SERVER,
    CURVE_SERVERKEY,
    EVENT_DISCONNECTED,
    LINGER,
    PLAIN_PASSWORD,
    PLAIN_SERVER,
    PLAIN_USERNAME,
    RCVHWM,
    RECONNECT_IVL,
    REQ_RELAXED,
    SUBSCRIBE,
    TYPES,
    ZAP_DOMAIN,
    Library,
    Socket,
    fail,
)

ECHOES = {"REP", "ROUTER", "DEALER", "PAIR"}
SPEAKS = {"PUB": 0.01, "XPUB": 0.01, "PUSH": 0.01, "REQ": 0.01}
SPEAKS_FIRST = {"DEALER": 0.05, "PAIR": 0.05}
"""Seconds between two messages of its own; the second table where it connects."""

UNANSWERED = 0.25
PATIENCE = 0.2
SILENT = 0.1
SILENT_TYPES = {"REQ", "SUB", "XSUB", "PULL", "DEALER", "PAIR"}
"""An impatient client's patience, in seconds, and the types that have something to wait for."""

RECONNECT = 10
"""Milliseconds after which a connection is made anew (``RECONNECT_IVL``), a tenth of libzmq's own: it meets more peers
in the same time."""

GIVEN_UP = 0.2
"""Seconds without a connection after which libzmq does not try by itself (it does after at most twice RECONNECT)."""

CORES = "ZMQFUZZ_CORES"
"""Variable of the environment: the folder to work in, and to leave a core file in after a crash."""

CORE = 64 << 20
"""Octets of a core file, at most: the stacks are within them in a process that has not grown."""

AT_ONCE = 256
"""Messages that are read in a row before it looks whether it is time to speak."""


class Gate(threading.Thread):
    """The ZAP handler (RFC 27): ``allowed`` is (user name, password), (client key as Z85,), or empty for everybody."""

    def __init__(self, library: Library, allowed: tuple[bytes, ...]) -> None:
        super().__init__(daemon=True)
        self._library = library
        self._allowed = allowed
        self._socket = library.socket("REP")
        self._socket.open("bind", "inproc://zeromq.zap.01")

    def run(self) -> None:
        """Answer until the process ends."""
        while True:
            version, number, _domain, _address, _identity, mechanism, *credentials = self._socket.receive()
            if mechanism == b"CURVE" and credentials:
                credentials = [self._library.z85(credentials[0])]
            good = not self._allowed or tuple(credentials) == self._allowed
            answer = (b"200", b"OK") if good else (b"400", b"refused")
            self._socket.send(version, number, *answer, b"", b"", flags=0)


def secure(library: Library, socket: Socket, options: argparse.Namespace) -> str:
    """Set the mechanism's options, and start the handler of a server; what there is to say about it."""
    serves = options.connect is None
    if options.mechanism == "null":
        return ""
    if serves:
        socket.set(ZAP_DOMAIN, b"library")
    if options.mechanism == "plain":
        name, password = options.username.encode(), options.password.encode()
        if serves:
            done = socket.set(PLAIN_SERVER, 1)
            Gate(library, (name, password) if name or password else ()).start()
        else:
            done = socket.set(PLAIN_USERNAME, name or b"zmqfuzz") and socket.set(PLAIN_PASSWORD, password or b"zmqfuzz")
        if not done:
            fail(f"libzmq {library.said_version} was built without PLAIN ({library.why()}).")
        return ""
    public, secret = library.keypair()
    if options.secret_key:
        public, secret = options.public_key.encode(), options.secret_key.encode()
    done = socket.set(CURVE_SECRETKEY, secret)
    if serves:
        done = done and socket.set(CURVE_SERVER, 1)
        Gate(library, (options.allow_key.encode(),) if options.allow_key else ()).start()
    else:
        if not options.server_key:
            fail("a CURVE client needs the server's public key.")
        done = done and socket.set(CURVE_PUBLICKEY, public) and socket.set(CURVE_SERVERKEY, options.server_key.encode())
    if not done:
        fail("a key is not one: 40 characters of Z85 are needed.")
    return f", public key {public.decode()}"


class Mender:
    """Connects anew where libzmq has given the endpoint up, or after ``silent`` seconds without a message."""

    def __init__(self, socket: Socket, endpoint: str, silent: float | None) -> None:
        self._socket = socket
        self._endpoint = endpoint
        self._silent = silent
        self.heard = time.monotonic()
        self._events = socket.monitored()
        self._lost: float | None = None

    def look(self) -> None:
        """To be called often, by the socket's thread."""
        while self._events.readable(0):
            event, _ = struct.unpack("=HI", self._events.receive()[0])
            self._lost = time.monotonic() if event == EVENT_DISCONNECTED else None
        now = time.monotonic()
        silent = self._silent is not None and now - self.heard > self._silent
        if silent or (self._lost is not None and now - self._lost > GIVEN_UP):
            self._lost, self.heard = None, now
            self._socket.again(self._endpoint)


def serve(socket: Socket, kind: str, interval: float | None, mender: Mender | None) -> NoReturn:
    """Behave as an application of this pattern until the process is killed."""
    said, due = 0, time.monotonic()
    while True:
        if mender is not None:
            mender.look()
        now = time.monotonic()
        if interval is not None and now >= due:
            own = (b"message %d" % said, *(b"and more",) * (said % 3))
            parts = (b"tick", b"%d" % said) if kind in ("PUB", "XPUB") else own
            said += socket.send(*parts)
            due = time.monotonic() + (UNANSWERED if kind == "REQ" else interval)
        wait = PATIENCE if interval is None else max(0.0, due - time.monotonic())
        if mender is not None:
            wait = min(wait, SILENT / 2)
        if kind in ("PUB", "PUSH"):
            time.sleep(wait)
            continue
        if not socket.readable(wait):
            continue
        for _ in range(AT_ONCE):
            if not socket.take(echo=kind in ECHOES, whole=kind == "REP"):
                break
            if mender is not None:
                mender.heard = time.monotonic()
            if kind == "REQ":
                due = time.monotonic() + SPEAKS[kind]
                break


def named(text: str) -> tuple[str, int, int]:
    """``NAME=NUMBER=VALUE``. Raises ValueError."""
    name, option, value = text.split("=")
    return name, int(option), int(value)


def parse(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", help="path of a libzmq shared library")
    parser.add_argument("socket_type", type=str.upper, choices=TYPES)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--bind", metavar="ENDPOINT")
    where.add_argument("--connect", metavar="ENDPOINT")
    where.add_argument("--version", action="store_true", help="print the library's version, if all else is possible")
    parser.add_argument("--rcvhwm", type=int, help="messages that wait unread for each peer")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=named,
        metavar="NAME=N=VALUE",
        help="a socket option, by its number",
    )
    parser.add_argument("--mended", action="store_true", help="connect anew where libzmq has given up")
    parser.add_argument("--impatient", action="store_true", help="connect anew where nothing was heard for 100 ms")
    parser.add_argument("--mechanism", type=str.lower, choices=("null", "plain", "curve"), default="null")
    parser.add_argument("--username", default="", help="PLAIN: the only one let in, or the one that is sent")
    parser.add_argument("--password", default="")
    parser.add_argument("--public-key", default="", help="CURVE: its own, Z85; without both, new ones are made")
    parser.add_argument("--secret-key", default="")
    parser.add_argument("--allow-key", default="", help="CURVE server: the only client key let in")
    parser.add_argument("--server-key", default="", help="CURVE client: the server's public key")
    return parser.parse_args(words)


def main() -> None:
    """Run the program."""
    options = parse(sys.argv[1:])
    if folder := os.environ.get(CORES):
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (CORE if most < 0 else min(CORE, most), most))
        os.chdir(folder)
        faulthandler.disable()  # it would raise the signal anew, in a place of its own
    library = Library(options.library)
    socket = library.socket(options.socket_type)
    socket.set(LINGER, 0)
    socket.set(RECONNECT_IVL, RECONNECT)
    socket.set(REQ_RELAXED, 1)
    if options.rcvhwm is not None:
        socket.set(RCVHWM, options.rcvhwm)
    for name, option, value in options.option:
        if not socket.set(option, value):
            fail(f"libzmq {library.said_version} does not take {name}={value} ({library.why()}).")
    told = secure(library, socket, options)
    if options.version:
        print(library.said_version)
        return
    kind, verb = options.socket_type, "bind" if options.bind else "connect"
    if kind == "SUB":
        socket.set(SUBSCRIBE, b"")
    mender = None
    if options.connect and (options.mended or options.impatient):
        mender = Mender(socket, options.connect, SILENT if options.impatient and kind in SILENT_TYPES else None)
    socket.open(verb, options.bind or options.connect)
    if kind == "XSUB":
        socket.send(b"\x01")
    print(f"libzmq {library.said_version} {kind} {verb} {options.mechanism}{told}", flush=True)
    serve(socket, kind, (SPEAKS if options.bind else {**SPEAKS, **SPEAKS_FIRST}).get(kind), mender)


if __name__ == "__main__":
    main()
