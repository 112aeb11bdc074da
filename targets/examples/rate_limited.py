"""A service that takes ``--rate`` messages a second, and no more: ``rate_limited.py [--rate 50] [--hardened]``.

Weak: there is no limit. ``--per-connection``: there is one, a token bucket for each connection, so that a client with
eight connections gets eight times as much. Hardened: one bucket for all. What is beyond it is dropped, or (``--over
wait``) waits until there are tokens, or (``--over error``) is answered with another word.

``--socket PULL`` hands on what it takes with PUSH at ``--out``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

import zmq


class Bucket:
    """A token bucket: so many a second, and a second's worth at once."""

    def __init__(self, rate: float) -> None:
        self.rate = self.tokens = rate
        self.at = time.monotonic()

    def wait(self) -> float:
        """Seconds until there is a token; 0: one was taken."""
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


class Limiter:
    """One bucket for all connections, or one for each."""

    def __init__(self, rate: float, *, each: bool) -> None:
        self.rate, self.each = rate, each
        self.buckets: dict[bytes, Bucket] = {}

    def wait(self, peer: bytes) -> float:
        """As of the bucket of this peer."""
        key = peer if self.each else b""
        if key not in self.buckets:
            self.buckets[key] = Bucket(self.rate)
        return self.buckets[key].wait()


def serve(socket: zmq.Socket[bytes], out: zmq.Socket[bytes] | None, limiter: Limiter | None, over: str) -> None:
    message = socket.recv_multipart()
    peer = message[0] if socket.socket_type == zmq.ROUTER else b""
    while limiter is not None and (left := limiter.wait(peer)):
        if over == "wait":
            time.sleep(left)
            continue
        if over == "error":
            socket.send_multipart([*message[:-1], b"slow down"])
        return
    try:
        (out or socket).send_multipart(message, zmq.NOBLOCK)
    except zmq.ZMQError:  # the one who asked is gone
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--out", default="tcp://127.0.0.1:*", metavar="ENDPOINT")
    parser.add_argument("--socket", choices=("ROUTER", "PULL"), default="ROUTER")
    parser.add_argument("--rate", type=float, default=50.0, metavar="NUMBER")
    parser.add_argument("--over", choices=("drop", "wait", "error"), default="drop")
    parser.add_argument("--per-connection", action="store_true")
    parser.add_argument("--hardened", action="store_true")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    limiter = None
    if options.hardened or options.per_connection:
        limiter = Limiter(options.rate, each=not options.hardened)
    with zmq.Context() as context, context.socket(zmq.SocketType[options.socket]) as socket:
        socket.linger, socket.maxmsgsize, socket.rcvhwm = 0, 1 << 20, 1000
        out = context.socket(zmq.PUSH) if options.socket == "PULL" else None
        if out is not None:
            out.linger = 0
            out.bind(options.out)
        socket.bind(options.bind)
        print("listening on", socket.get_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
        while True:
            if socket.poll(500):
                serve(socket, out, limiter, options.over)


if __name__ == "__main__":
    main()
