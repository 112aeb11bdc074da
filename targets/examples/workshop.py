"""A workshop's server, as it grew over the years: orders (REP), machine readings (PULL), badges (REP), settings (REP).

Five weaknesses of different kinds. Orders: a count of nought divides by nought and the process ends; an order that
cannot be read leaves its file open. Readings: those that cannot be read are kept for ever. Badges: a name that is no
UTF-8 ends the only thread that answers there, and nobody notices. Settings: they come pickled, so whoever can connect
has any code run.
(A sixth came by itself: an item that no UTF-8 can hold.)
Hardened: the same services without them.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections import deque
from typing import Any

import zmq

STOCK = 500


class Orders:
    """Answers how often an order can be served from stock; the newest order is kept in a file until it is read."""

    def __init__(self, hardened: bool) -> None:
        self.answer = self.answer_hardened if hardened else self.answer_weak

    def answer_weak(self, text: bytes) -> bytes:
        """As it grew."""
        file, path = tempfile.mkstemp(prefix="order-")
        os.unlink(path)
        os.write(file, text)
        try:
            order = json.loads(text)
            item, count = order["item"], order["count"]
            times = STOCK // count
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return b"error: " + type(error).__name__.encode()
        os.close(file)
        return f"{item}: {times} times".encode()[:1000]

    def answer_hardened(self, text: bytes) -> bytes:
        """Whatever the order is, the file is closed and an answer given."""
        with tempfile.TemporaryFile(prefix="order-") as file:
            file.write(text)
            try:
                order = json.loads(text)
                item, count = order["item"], order["count"]
                times = STOCK // count
            except (ValueError, KeyError, TypeError, RecursionError, ArithmeticError) as error:
                return b"error: " + type(error).__name__.encode()
            return f"{str(item)[:100]}: {times} times".encode(errors="replace")[:1000]


class Readings:
    """Sums what machines report; what cannot be read is kept for a later look."""

    def __init__(self, hardened: bool) -> None:
        self.sum = 0.0
        self.unread: deque[bytes] = deque(maxlen=64 if hardened else None)
        self.longest = 1024 if hardened else None

    def take(self, text: bytes) -> None:
        """One reading."""
        try:
            self.sum += float(text)
        except ValueError:
            self.unread.append(text[: self.longest])


class Settings:
    """A few named values."""

    def __init__(self, hardened: bool) -> None:
        self.read: Any = json.loads if hardened else pickle.loads
        self.values: dict[str, str] = {"speed": "3"}

    def answer(self, octets: bytes) -> bytes:
        """What becomes of one request."""
        try:
            request = self.read(octets)
            if isinstance(request, dict) and request.get("name") in self.values:
                if "value" in request:
                    self.values[request["name"]] = str(request["value"])[:100]
                return self.values[request["name"]].encode(errors="replace")
            return b"error: unknown"
        except Exception as error:  # whatever a request can raise ends that request only
            return b"error: " + type(error).__name__.encode()


def welcome(socket: zmq.Socket[bytes], hardened: bool, stop: threading.Event) -> None:
    """The badge desk: greets by name."""
    while not stop.is_set():
        if socket.poll(100):
            name = b"".join(socket.recv_multipart())
            socket.send_string("welcome, " + name.decode(errors="replace" if hardened else "strict")[:100])


def serve(orders: zmq.Socket[bytes], readings: zmq.Socket[bytes], settings: zmq.Socket[bytes], hardened: bool) -> None:
    """Orders, readings and settings, until the process is told to end."""
    book, sums, values = Orders(hardened), Readings(hardened), Settings(hardened)
    poller = zmq.Poller()
    for socket in (orders, readings, settings):
        poller.register(socket, zmq.POLLIN)
    while True:
        for socket, _ in poller.poll(500):  # not for ever: a signal just before the wait would wait too
            message = b"".join(socket.recv_multipart())
            if socket is orders:
                orders.send(book.answer(message))
            elif socket is readings:
                sums.take(message)
            else:
                settings.send(values.answer(message))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("orders", "readings", "badges", "settings"):
        parser.add_argument(f"--{name}", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    stop = threading.Event()
    with zmq.Context() as context:
        types = {"orders": zmq.REP, "readings": zmq.PULL, "badges": zmq.REP, "settings": zmq.REP}
        sockets = {name: context.socket(type_) for name, type_ in types.items()}
        for name, socket in sockets.items():
            socket.linger = 0
            socket.maxmsgsize = 1 << 20
            socket.rcvhwm = 64
            socket.bind(getattr(options, name))
            print(f"{name} at", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        badges = sockets.pop("badges")
        desk = threading.Thread(target=welcome, args=(badges, options.hardened, stop), daemon=True)
        desk.start()  # from here on the socket is its own
        try:
            serve(**sockets, hardened=options.hardened)
        finally:
            stop.set()
            desk.join()
            for socket in (badges, *sockets.values()):
                socket.close()


if __name__ == "__main__":
    main()
