"""An echo service behind a ZAP handler (RFC 27): ``zap.py [--mechanism MECHANISM] [--handler KIND] [--hardened]``.

Its own handler lets in the user ``--user`` (PLAIN), the key ``--allow`` (CURVE; else any), or whoever comes (NULL).
Weak: what a stranger can make of a name or a key before anyone knows him ends the handler's thread: a user name that
is no UTF-8, a key that it does not hold. From then on nobody is let in any more. With NULL, where libzmq asks the
handler about nothing but addresses, the worker ends of an Identity that is no UTF-8. Hardened: such a stranger is
refused, and whatever calls itself so is "unknown".

``--trusting``: it lets in every name and every key. ``--closes``: its socket is closed when its thread ends, which
CURVE takes for permission (zmq_setsockopt(3), ZMQ_ZAP_ENFORCE_DOMAIN). Hardened, it does neither, and the option is
set.

Other kinds: pyzmq's authenticators (``thread``, ``asyncio``); ``slow`` answers a second late, one after another
(hardened: all at the same time); ``dead`` never answers; ``gone`` has ended and closed its socket, which CURVE and NULL
take for permission unless ZMQ_ZAP_ENFORCE_DOMAIN is set (hardened); ``wrong`` answers as ``--reply`` says, and with
``--spare`` only to those whom it would refuse.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from zmq.auth import Authenticator
from zmq.auth.asyncio import AsyncioAuthenticator
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

DOMAIN = b"echo"
DELAY = 1.0
WRONG: dict[str, Callable[[list[bytes]], list[bytes]]] = {  # of an honest reply: version, id, status, text, user, data
    "version": lambda reply: [b"2.0", *reply[1:]],
    "id": lambda reply: [reply[0], b"other", *reply[2:]],
    "frames": lambda reply: reply[:-1],
    "metadata": lambda reply: [*reply[:-1], b"\x04name\xff\xff\xff\xff"],
    "300": lambda reply: [*reply[:2], b"300", b"Later", b"", b""],
    "400": lambda reply: [*reply[:2], b"400", b"No", b"", b""],
    "500": lambda reply: [*reply[:2], b"500", b"Broken", b"", b""],
    "999": lambda reply: [*reply[:2], b"999", b"What", b"", b""],
}

log = logging.getLogger("zap")


class Gate(threading.Thread):
    """A ZAP handler of the application's own, and the users it knows."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], options: argparse.Namespace, stop: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.kind, self.stop = options.handler, stop
        self.careful = options.hardened or self.kind != "own"
        self.delay = DELAY if self.kind == "slow" else 0.0
        self.together = options.hardened
        self.wrong = WRONG[options.reply] if self.kind == "wrong" else None
        self.spare = options.spare
        self.trusting = options.trusting and not options.hardened
        self.closes = options.closes
        name, _, password = options.user.partition(":")
        self.passwords = {name: password}
        self.keys = {options.allow: "client"} if options.allow else {}
        self.socket = context.socket(zmq.ROUTER)  # its own once the thread has started
        self.socket.linger = 0
        self.socket.bind("inproc://zeromq.zap.01")

    def run(self) -> None:
        """The thread: nothing catches what ends it."""
        if self.kind == "gone":
            self.socket.close()
        elif self.kind == "dead":
            self.stop.wait()
        else:
            try:
                self.serve()
            finally:
                if self.closes:
                    self.socket.close()

    def serve(self) -> None:
        """Answer each request, at once or late, in the order in which they came."""
        due: deque[tuple[float, list[bytes]]] = deque()
        while not self.stop.is_set():
            if self.socket.poll(10 if due else 100):
                reply = self.answer(self.socket.recv_multipart())
                if not self.together:
                    self.stop.wait(self.delay)
                due.append((time.monotonic() + self.delay * self.together, reply))
            while due and due[0][0] <= time.monotonic():
                self.socket.send_multipart(due.popleft()[1])

    def answer(self, request: list[bytes]) -> list[bytes]:
        """The reply to one request, routing id and delimiter in front of both."""
        *envelope, version, number, _domain, _address, _identity, mechanism = request[:8]
        try:
            user = self.user(mechanism, request[8:])
        except (ValueError, LookupError):
            if not self.careful:
                raise
            user = ""
        reply = [version, number, b"200", b"OK", user.encode(), b""] if user else [version, number, b"400", b"No"]
        reply += [b""] * (6 - len(reply))
        if self.wrong is not None and not (self.spare and user):
            reply = self.wrong(reply)
        return [*envelope, *reply]

    def user(self, mechanism: bytes, credentials: list[bytes]) -> str:
        """Who it is; empty: nobody who may come in."""
        if self.trusting:
            return "anyone"
        if mechanism == b"PLAIN":
            name, password = (text.decode() for text in credentials)
            return name if name and self.passwords.get(name) == password else ""
        if mechanism == b"CURVE" and self.keys:
            (key,) = credentials
            return self.keys[z85.encode(key).decode()]
        return "anyone"


def configure(auth: Authenticator, options: argparse.Namespace) -> None:
    """The same users for an authenticator of pyzmq."""
    name, _, password = options.user.partition(":")
    auth.configure_plain(DOMAIN.decode(), {name: password})
    if options.allow:
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/client.key", "w") as file:
                file.write(f'metadata\ncurve\n    public-key = "{options.allow}"\n')
            auth.configure_curve(DOMAIN.decode(), folder)
    else:
        auth.configure_curve("*", zmq.auth.CURVE_ALLOW_ANY)


def prepared(socket: zmq.Socket[Any], options: argparse.Namespace) -> str:
    """Lock and bind it; the public key of CURVE."""
    socket.linger = 0
    socket.maxmsgsize = 1 << 20
    socket.rcvhwm = 64
    socket.zap_domain = DOMAIN
    key = ""
    if options.mechanism == "plain":
        socket.plain_server = True
    elif options.mechanism == "curve":
        secret = options.secret_key.encode() or zmq.curve_keypair()[1]
        socket.curve_server, socket.curve_secretkey = True, secret
        key = f" key {zmq.curve_public(secret).decode()}"
    if (options.handler == "gone" or options.closes) and options.hardened:
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.bind(options.bind)
    return key


def who(frame: zmq.Frame, options: argparse.Namespace) -> str:
    """What the one who asks is called: by the handler, or where nobody is asked for a name, by himself."""
    word = "Identity" if options.mechanism == "null" else "User-Id"
    if options.handler == "own" and not (options.hardened or options.closes):
        return str(frame.get(word))
    try:
        return str(frame.get(word))
    except (UnicodeDecodeError, zmq.ZMQError):  # zmq_msg_gets(3): there is no such property
        return "unknown"


def work(socket: zmq.Socket[bytes], options: argparse.Namespace, stop: threading.Event) -> None:
    while not stop.is_set():
        if socket.poll(100):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:  # REP said that there was something, and threw it away: it had no delimiter
                continue
            log.info("%s asks", who(frames[-1], options))
            try:
                socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.ZMQError:  # the one who asked is gone
                pass


async def run_asyncio(options: argparse.Namespace) -> None:
    context, ended = zmq.asyncio.Context(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    auth = AsyncioAuthenticator(context)
    auth.start()
    configure(auth, options)
    socket = context.socket(zmq.SocketType[options.socket])
    key = prepared(socket, options)
    print("listening on", socket.get_string(zmq.LAST_ENDPOINT) + key, file=sys.stderr, flush=True)

    async def echo() -> None:
        while True:
            try:
                frames = await socket.recv_multipart(copy=False)
                log.info("%s asks", who(frames[-1], options))
                await socket.send_multipart(frames, zmq.NOBLOCK)
            except zmq.ZMQError:  # as in work: Again also comes where nothing was to be waited for
                pass

    echoing = asyncio.ensure_future(echo())
    await ended.wait()
    echoing.cancel()
    auth.stop()
    context.destroy(linger=0)


def run(options: argparse.Namespace) -> None:
    stop, ended = threading.Event(), threading.Event()
    with zmq.Context() as context, context.socket(zmq.SocketType[options.socket]) as socket:
        if options.handler == "thread":
            auth = ThreadAuthenticator(context)
            auth.start()
            configure(auth, options)
        else:
            gate = Gate(context, options, stop)
            gate.start()
        key = prepared(socket, options)
        worker = threading.Thread(target=work, args=(socket, options, stop), daemon=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT) + key, file=sys.stderr, flush=True)
        worker.start()
        while not ended.wait(0.5):
            pass
        stop.set()
        worker.join()
        if options.handler == "thread":
            auth.stop()
        else:
            gate.join()
            gate.socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--socket", choices=("REP", "ROUTER"), default="REP")
    parser.add_argument("--mechanism", choices=("null", "plain", "curve"), default="plain")
    kinds = ("own", "thread", "asyncio", "slow", "dead", "gone", "wrong")
    parser.add_argument("--handler", choices=kinds, default="own")
    parser.add_argument("--user", default="ada:lovelace", metavar="NAME:PASSWORD")
    parser.add_argument("--secret-key", default="", metavar="Z85", help="without one it makes a pair at each start")
    parser.add_argument("--allow", default="", metavar="Z85", help="the only client let in with CURVE")
    parser.add_argument("--reply", choices=tuple(WRONG), default="400", help="what a wrong handler answers")
    parser.add_argument("--trusting", action="store_true", help="it lets in whoever asks")
    parser.add_argument("--closes", action="store_true", help="its socket is closed when its thread ends")
    parser.add_argument("--spare", action="store_true", help="a wrong handler is right to those whom it lets in")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    if options.handler == "asyncio":
        asyncio.run(run_asyncio(options))
    else:
        run(options)


if __name__ == "__main__":
    main()
